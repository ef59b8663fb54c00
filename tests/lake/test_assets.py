"""Assets of a lake in a bucket: what Dagster's page calls a place is the object's address, and the object is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from credit_risk_platform.adapters.bundles import Promotion
from credit_risk_platform.catalog import Models
from credit_risk_platform.defs.archive.daily import archive_daily
from credit_risk_platform.defs.ingestion.assets import landing_loans
from credit_risk_platform.defs.reports.rules import report_rules
from credit_risk_platform.resources import build_resources
from credit_risk_platform.settings import Settings
from credit_risk_platform.workbench.succession import Succession
from tests.adapters.test_bundles import METRICS, make_bundle
from tests.archive_book import DAY, ArchiveBook, write_events
from tests.lake.s3_server import BUCKET, S3Server
from tests.loan_files import loan, write


@pytest.fixture
def settings(s3: S3Server, prefix: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", pii_token_key="a key for the tests alone", **s3.settings(prefix))


@pytest.fixture
def resources(settings: Settings) -> Iterator[dict[str, Any]]:
    made = build_resources(settings)
    yield made
    made["warehouse"].close()


def made(asset: dg.AssetsDefinition, resources: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Metadata of the asset's page after a run."""
    with dg.DagsterInstance.ephemeral() as instance:
        given = {name: resources[name] for name in asset.required_resource_keys - {"io_manager"}}
        result = dg.materialize([asset], instance=instance, resources=given, **more)
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def objects(s3: S3Server, address: str, prefix: str) -> list[str]:
    """Objects that an address of a page leads to; fails for one that is elsewhere."""
    root = f"s3://{BUCKET}/{prefix}/"
    assert address.startswith(root)
    below = address.removeprefix(root)
    return [name for name in s3.objects(prefix) if name == below or name.startswith(f"{below}/")]


def test_pages_of_landing_archive_and_reports_lead_to_their_objects(
    s3: S3Server, prefix: str, settings: Settings, resources: dict[str, Any]
) -> None:
    settings.paths.landing.mkdir(parents=True)
    write(settings.paths.landing / "day.csv", [loan(1), loan(2)])
    landed = made(landing_loans, resources)
    assert landed["dagster/row_count"] == 2
    assert any(name.endswith("manifest.json") for name in objects(s3, landed["dagster/uri"], prefix))

    write_events(ArchiveBook(resources["warehouse"], None, settings.home), 8)  # type: ignore[arg-type]
    archived = made(archive_daily, resources, partition_key=DAY.isoformat())
    assert objects(s3, archived["manifest"], prefix) == [archived["manifest"].split(f"{prefix}/")[1]]
    assert len(objects(s3, archived["dagster/uri"], prefix)) > archived["files"]

    rules = made(report_rules, resources)
    assert len(objects(s3, rules["path"], prefix)) == 1
    shown = str([landed, archived, rules])
    assert str(settings.paths.lake) not in shown
    assert str(settings.paths.archive) not in shown


def test_the_champion_s_page_leads_to_the_bundle_that_scores(
    s3: S3Server, prefix: str, resources: dict[str, Any]
) -> None:
    store = resources["bundles"]
    sha = store.put(make_bundle(1).to_bytes())
    promotion = Promotion("logistic_regression", 1, sha, "2026-01-01T00:00:00+00:00", "run", "me", "why")
    run = dg.DagsterRun(job_name="model_training")
    page = Succession(Models.CHAMPION, store, resources["registry"], run, "", "").links(
        store.promote(promotion, METRICS, replaces=None)
    )
    assert objects(s3, str(page["bundle"].value), prefix) == [f"models/bundles/{sha}.zip"]
