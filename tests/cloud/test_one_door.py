"""Whatever opens the warehouse with CRP_TARGET=snowflake opens Snowflake, or says in one sentence why not.

None of them may read the empty lake of its home instead: nothing would look wrong, and everything would be.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from credit_risk_platform.adapters.streaming.batch import NotReadyError
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.adapters.warehouse.reader import NoLakeError
from credit_risk_platform.adapters.warehouse.snowflake import SnowflakeWarehouse
from credit_risk_platform.cli import api, demo, doctor, me_link, streaming
from credit_risk_platform.cli import dashboard as dashboard_command
from credit_risk_platform.cli.home import CommandError
from credit_risk_platform.cli.main import app
from credit_risk_platform.cli.replay import replay
from credit_risk_platform.dashboard import lake
from credit_risk_platform.resources import build_streaming_resources, open_warehouse
from credit_risk_platform.serving.notebook import score_new_loans
from credit_risk_platform.serving.schemas import EXAMPLE
from credit_risk_platform.settings import PortfolioSource, Settings, Target
from tests.api_book import BATCH, PREDICT, wish
from tests.api_server import served
from tests.archive_book import DAY, copy_archive_book
from tests.cloud.snowflake_server import Fakesnow
from tests.stream_book import new_home

TABLES = "select table_schema || '.' || table_name as name from information_schema.tables where table_catalog = 'lake'"


@pytest.fixture(scope="module")
def settings(fakesnow: Fakesnow, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home that can score, with its tables in Snowflake and no lake."""
    home = new_home(tmp_path_factory.mktemp("door") / "home")
    own = fakesnow.settings(home, policy_folder=home / "policies", portfolio_source=PortfolioSource.LANDING)
    local = DuckLakeWarehouse(home / "warehouse", threads=1)
    there = open_warehouse(own)
    for table in local.query(TABLES)["name"].to_pylist():
        there.replace_table(table, local.query(f"select * from {table}"))
    local.close()
    there.close()
    (home / "warehouse").rename(home / "the-lake-that-was")
    return own


@pytest.fixture
def warehouse(settings: Settings) -> Iterator[SnowflakeWarehouse]:
    opened = open_warehouse(settings)
    assert isinstance(opened, SnowflakeWarehouse)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _no_lake_is_made(settings: Settings) -> Iterator[None]:
    yield
    assert not (settings.paths.warehouse / "catalog.sqlite").exists()


@pytest.fixture(scope="module")
def asked_again(settings: Settings) -> dict[str, Any]:
    """One answer of the API, as it tells it again once it stands in the ledger; three more were scored as a batch."""
    with served(settings, open_warehouse=open_warehouse) as client:
        one = client.post(PREDICT, json=EXAMPLE)
        assert one.status_code == 200, one.text
        many = client.post(BATCH, json={"customers": [wish(number) for number in range(3)]})
        assert many.json()["scored"] == 3, many.text
        deadline = time.monotonic() + 60
        while client.get("/readyz").json()["waiting_for_ledger"] and time.monotonic() < deadline:
            time.sleep(0.1)
        return dict(client.get(f"/api/v1/scores/{one.json()['score_id']}").json())


def test_the_api_scores_and_writes_the_ledger_in_snowflake(
    asked_again: dict[str, Any], warehouse: SnowflakeWarehouse
) -> None:
    assert asked_again["recorded"] is True
    assert warehouse.count("gold.score_ledger") == 4


def test_a_score_of_snowflake_s_ledger_is_replayed_and_gets_its_customer_s_link(
    settings: Settings, asked_again: dict[str, Any]
) -> None:
    score_id = asked_again["score_id"]
    found = replay(settings, score_id, None, 0)
    assert (found.equal, found.replayed) == (True, 1)
    assert settings.customer_page_url in me_link.link_of(settings, score_id, datetime.now(UTC))
    with pytest.raises(CommandError, match="no application has score"):
        me_link.link_of(settings, "0" * 32, datetime.now(UTC))


def test_what_a_killed_api_left_is_drained_into_snowflake(settings: Settings, warehouse: SnowflakeWarehouse) -> None:
    assert api._drained(settings) == 0


def test_the_day_of_a_book_is_read_in_snowflake(settings: Settings, warehouse: SnowflakeWarehouse) -> None:
    days = [date(2026, 2, 3), None]
    loans = {"application_date": pa.array(days, pa.date32()), "issue_d": [date(2026, 1, 1), date(2026, 2, 1)]}
    warehouse.replace_table("bronze.lending_club_loans", pa.table(loans))
    other = settings.model_copy(update={"portfolio_source": PortfolioSource.LENDING_CLUB})
    assert demo.portfolio_as_of(other) == date(2026, 2, 28)


def test_the_demo_tells_what_became_of_its_messages_from_snowflake_s_trace(
    settings: Settings, warehouse: SnowflakeWarehouse
) -> None:
    said: list[str] = []
    times = [datetime(2026, 7, 1)] * 2
    traced = {"topic": [streaming.TOPIC] * 2, "outcome": ["scored"] * 2, "processed_at": times}
    warehouse.replace_table("gold.message_trace", pa.table(traced))
    streaming._tell(settings, SimpleNamespace(print=lambda text, **_: said.append(text)), 0.0)
    assert "2 scored" in said[0]


def test_an_archived_day_is_restored_into_snowflake(
    settings: Settings, warehouse: SnowflakeWarehouse, tmp_path: Path
) -> None:
    book = copy_archive_book(tmp_path / "book")
    archived = book.archive().manifest.rows
    book.warehouse.close()
    asked = ["archive", "restore", "--day", str(DAY), "--archive", str(tmp_path / "book" / "archive"), "--json"]
    done = CliRunner().invoke(app, [*asked, "--home", str(settings.home)], env=settings.environment())
    assert done.exit_code == 0, done.output
    assert sum(one["added"] for one in json.loads(done.stdout)) == archived
    assert warehouse.count("bronze.raw_transactions") > 0


def test_the_doctor_looks_at_snowflake_and_not_at_a_lake(settings: Settings) -> None:
    assert doctor._warehouse(settings) == (f"Snowflake, database {settings.snowflake_database}", "")
    assert doctor._snowflake(settings) == ("crp_test at fakesnow by password, signed in", "")


def test_streams_are_processed_in_snowflake(settings: Settings) -> None:
    assert isinstance(build_streaming_resources(settings)["warehouse"], SnowflakeWarehouse)


# -------------------------------------------------------------------- who cannot, says so


def test_the_dashboard_refuses_before_it_starts_and_on_its_pages(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CommandError, match=r"CRP_TARGET is snowflake, and the dashboard .*CRP_TARGET=local"):
        dashboard_command.serve(settings, "127.0.0.1", 1)
    monkeypatch.setattr(lake, "settings", lambda: settings)
    with pytest.raises(NoLakeError, match="CRP_TARGET is snowflake"):
        lake.reader()


def test_a_notebook_refuses_with_what_to_do(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRP_TARGET", "snowflake")
    monkeypatch.setenv("CRP_POLICY_FOLDER", str(settings.policy_folder))
    with pytest.raises(NotReadyError, match=r"CRP_TARGET is snowflake.*crp api"):
        score_new_loans(pd.DataFrame([EXAMPLE]), home=settings.home, as_of=date(2026, 6, 30))


def test_a_command_names_the_setting_that_is_missing_before_it_opens_anything(tmp_path: Path) -> None:
    bare = Settings(home=tmp_path, target=Target.SNOWFLAKE)
    for ask in (
        lambda: replay(bare, "1" * 32, None, 0),
        lambda: me_link.link_of(bare, "1" * 32, datetime.now(UTC)),
        lambda: api._drained(bare),
        lambda: api.serve(bare, "127.0.0.1", 1, 1),
    ):
        with pytest.raises(CommandError, match=r"CRP_TARGET is snowflake: set SNOWFLAKE_ACCOUNT .*crp doctor"):
            ask()
