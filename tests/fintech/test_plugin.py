"""Another provider is a package with an entry point: its asset is there, and no line of the platform has changed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from importlib.metadata import entry_points
from pathlib import Path

import dagster as dg
import pytest

from credit_risk_platform.adapters.fintech.source import ENTRY_POINTS
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.defs import fintech
from credit_risk_platform.settings import PROJECT_ROOT, Settings

EXAMPLE = PROJECT_ROOT / "docs" / "examples" / "fintech_source"
KEY = dg.AssetKey(["bronze", "raw_sample_bank_transactions"])


def install(site: Path, monkeypatch: pytest.MonkeyPatch, points: str, code: Path = EXAMPLE) -> None:
    """What `pip install` leaves: the package on the path, and its metadata."""
    info = site / "sample_bank_for_credit_risk_platform-1.0.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: sample-bank-for-credit-risk-platform\nVersion: 1.0.0\n"
    )
    (info / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\n{points}\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.syspath_prepend(str(code))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    install(tmp_path / "site", monkeypatch, "sample_bank = sample_bank:SampleBank")
    yield
    sys.modules.pop("sample_bank", None)


def assets(settings: Settings) -> dict[dg.AssetKey, dg.AssetsDefinition]:
    found = fintech.definitions(settings).assets or ()
    return {one.key: one for one in found if isinstance(one, dg.AssetsDefinition)}


def test_without_packages_there_are_two_providers(settings: Settings) -> None:
    assert {key.path[-1] for key in assets(settings)} == {"raw_plaid_transactions", "raw_razorpayx_transactions"}


@pytest.mark.usefixtures("installed")
def test_the_sample_is_an_asset_as_soon_as_it_is_installed_and_is_imported_by_its_run_only(settings: Settings) -> None:
    asset = assets(settings)[KEY]
    assert "sample_bank 1.0.0" not in sys.modules
    assert "sample_bank" not in sys.modules
    assert "sample-bank-for-credit-risk-platform 1.0.0" in asset.descriptions_by_key[KEY]
    assert asset.partitions_def is not None


@pytest.mark.usefixtures("installed")
def test_the_sample_s_bookings_land_judged_and_tokenised(
    settings: Settings, warehouse: DuckLakeWarehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bank"
    folder.mkdir()
    good = {"ref": "R1", "iban": "DE02120300000000202051", "day": "2024-03-01", "cents": 1250, "holder": "Erika Muster"}
    (folder / "CUST_1.json").write_text(json.dumps([good, {**good, "ref": "R2", "cents": "many"}]))
    monkeypatch.setenv("SAMPLE_BANK_FOLDER", str(folder))
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize(
            [assets(settings)[KEY]],
            partition_key="2024-03-01",
            resources={"settings": settings, "warehouse": warehouse},
            instance=instance,
        )
    assert done.success
    (row,) = warehouse.query("select * from bronze.raw_sample_bank_transactions").to_pylist()
    assert (row["transaction_id"], row["amount"], row["source_system"]) == ("R1", Decimal("12.50"), "sample_bank")
    assert "Erika" not in str(row)
    assert "DE02" not in str(row)


@pytest.mark.parametrize("name", ["plaid", "Sample-Bank"])
def test_a_package_with_a_name_that_cannot_be_an_asset_s_is_named(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    install(tmp_path / "site", monkeypatch, f"{name} = sample_bank:SampleBank")
    with pytest.raises(ValueError, match=r"sample-bank-for-credit-risk-platform 1\.0\.0 adds .* rename"):
        assets(settings)


def test_the_example_s_entry_point_is_the_one_that_the_platform_looks_for() -> None:
    assert f'[project.entry-points."{ENTRY_POINTS}"]' in (EXAMPLE / "pyproject.toml").read_text()
    assert not entry_points(group=ENTRY_POINTS), "the tests before this one cleaned up"
