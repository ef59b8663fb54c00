"""The scoring API: `create_app` puts the parts together and says how long they live. What they do stands with them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from credit_risk_platform.adapters.api_keys import ApiKeys, KeyRing
from credit_risk_platform.adapters.application_scorer import ApplicationScorer
from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.code_version import code_hash, git_commit
from credit_risk_platform.adapters.customer_links import CustomerLinks, link_secret
from credit_risk_platform.adapters.customer_records import CustomerRecords
from credit_risk_platform.adapters.ledger_writer import Stamp
from credit_risk_platform.adapters.policies import PolicyBook
from credit_risk_platform.adapters.tokens import TokenKey, load_token_key
from credit_risk_platform.serving import documentation, me, problems, routes, security
from credit_risk_platform.serving.answers import ModelVersions
from credit_risk_platform.serving.champion import Follower, now
from credit_risk_platform.serving.drain import Drainer
from credit_risk_platform.serving.engine import THREADS, Engine
from credit_risk_platform.serving.fields import FIELDS
from credit_risk_platform.serving.intake import Intake
from credit_risk_platform.serving.lake import OpenedWarehouse, OpenWarehouse, own_lake
from credit_risk_platform.serving.lookup import Lookup
from credit_risk_platform.serving.me import CustomerPage
from credit_risk_platform.serving.metrics import ApiMetrics, Measured
from credit_risk_platform.serving.pending import Pending
from credit_risk_platform.serving.security import DOCS_FILES, GateOptions
from credit_risk_platform.serving.security.audit import AuditLog
from credit_risk_platform.serving.security.rates import ClientRates
from credit_risk_platform.serving.spool import Spool
from credit_risk_platform.settings import Settings

BODY_BYTES = 10_000_000


@dataclass(frozen=True)
class Parts:
    """Everything a route may ask for."""

    follower: Follower
    intake: Intake
    engine: Engine
    drainer: Drainer
    lookup: Lookup
    spool: Spool
    metrics: ApiMetrics
    customers: CustomerPage


def create_app(settings: Settings, open_warehouse: OpenWarehouse = own_lake) -> FastAPI:
    """The API of a home. Nothing is opened before it starts; `open_warehouse` then, once."""
    metrics = ApiMetrics()
    # With the scripts of /docs in the package: a lender's network reaches no content network.
    app = FastAPIOffline(
        lifespan=lambda app: _alive(app, settings, metrics, open_warehouse),
        redoc_url=None,
        static_url=DOCS_FILES,
        **documentation.ABOUT,
    )
    problems.install(app, FIELDS)
    documentation.install(app)
    app.include_router(routes.router)
    app.include_router(me.router)
    keys = KeyRing(ApiKeys(settings.paths.secrets))
    audit = AuditLog(settings.paths.api)
    options = GateOptions(keys, ClientRates(settings.api_rate_limit), audit, BODY_BYTES)
    security.install(app, options)
    app.add_middleware(Measured, metrics=metrics)
    return app


@asynccontextmanager
async def _alive(
    app: FastAPI, settings: Settings, metrics: ApiMetrics, open_warehouse: OpenWarehouse
) -> AsyncIterator[None]:
    """Parts and their loops for as long as the server runs; what waits is drained at the end."""
    # One thread unless told otherwise: writing the ledger must leave the other cores to those who wait for an answer.
    warehouse = open_warehouse(settings, threads=1)
    parts = _parts(settings, warehouse, metrics)
    app.state.parts = parts
    # Before the first connection is taken: a process that joins others on their port must not answer 503 meanwhile.
    await asyncio.gather(parts.follower.look(), parts.intake.remember())
    endless = (parts.follower.follow, parts.engine.run, parts.drainer.run)
    loops = [asyncio.create_task(loop()) for loop in endless]
    try:
        yield
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        parts.engine.close()
        parts.drainer.close()
        try:
            parts.drainer.drain()
        finally:
            parts.spool.close()
            warehouse.close()


def _parts(settings: Settings, warehouse: OpenedWarehouse, metrics: ApiMetrics) -> Parts:
    bundles = BundleStore(settings.files("models"))
    scorer = ApplicationScorer(warehouse, bundles, PolicyBook(settings.policy_folder), engines=THREADS)
    follower = Follower(scorer, ModelVersions(bundles), metrics)
    spool, pending = Spool(settings.paths.api / "spool", _stamp()), Pending()
    engine = Engine(follower, spool, pending)
    return Parts(
        follower=follower,
        intake=Intake(_token_key(settings), engine, warehouse),
        engine=engine,
        drainer=Drainer(warehouse, spool, pending, metrics, warehouse.merge),
        lookup=Lookup(follower, pending, spool),
        spool=spool,
        metrics=metrics,
        customers=_customers(settings, warehouse),
    )


def _customers(settings: Settings, warehouse: OpenedWarehouse) -> CustomerPage:
    configured = settings.customer_link_key
    secret = link_secret(settings.paths.secrets, configured.get_secret_value() if configured else None)
    links = CustomerLinks(secret, settings.customer_link_days)
    return CustomerPage(links, CustomerRecords(warehouse), settings.customer_contact)


def _token_key(settings: Settings) -> TokenKey:
    secret = settings.pii_token_key
    return load_token_key(settings.paths.secrets, secret.get_secret_value() if secret else None)


def _stamp() -> Stamp:
    """Of all this process writes. Its run has no upstream assets: the inputs came with the calls."""
    return Stamp(now(), f"api-{uuid.uuid4()}", "[]", git_commit(), code_hash())
