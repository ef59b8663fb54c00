"""Front door of the `platform` code location: load the rooms, hand them their resources. No logic lives here."""

from __future__ import annotations

import dagster as dg

from credit_risk_platform.defs import (
    alerts,
    archive,
    automation,
    bank_systems,
    behaviour,
    decisions,
    early_warning,
    fintech,
    health,
    ingestion,
    marts,
    monitoring,
    parity,
    performance,
    provisioning,
    reports,
    retraining,
    risk,
    scoring,
    serving_store,
    training,
)
from credit_risk_platform.log_format import install
from credit_risk_platform.resources import build_resources
from credit_risk_platform.settings import Settings

ROOMS = (
    ingestion, fintech, bank_systems, marts, training, behaviour, scoring, decisions, early_warning, monitoring,
    performance, retraining, risk, provisioning, reports, parity, archive, serving_store, alerts, health, automation,
)  # fmt: skip


def build_definitions(settings: Settings, **overrides: object) -> dg.Definitions:
    """The whole graph on one `Settings`: production, tests and the CLI assemble it through this seam."""
    rooms = dg.Definitions.merge(*(room.definitions(settings) for room in ROOMS))
    watched = {"watched_graph": health.watched(rooms.assets or (), rooms.asset_checks or ())}
    return dg.Definitions(
        assets=automation.automate(rooms.assets or ()),
        asset_checks=rooms.asset_checks,
        jobs=rooms.jobs,
        schedules=rooms.schedules,
        sensors=rooms.sensors,
        resources={**(rooms.resources or {}), **watched, **build_resources(settings, **overrides)},
        # A run worker is a process of its own; a process per step would pay every import again.
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    settings = Settings()
    install(settings)
    return build_definitions(settings)
