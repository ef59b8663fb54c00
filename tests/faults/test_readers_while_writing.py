"""An analyst's own DuckDB process reads the gold marts while dbt rewrites them: neither may ever fail or see half."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.adapters.warehouse.lake_session import attach_sql
from tests.mart_book import LOANS, built_marts, rebuild

ANALYST = """
import json, sys, time
from pathlib import Path
import duckdb

extensions, attach, stop = sys.argv[1], sys.argv[2], Path(sys.argv[3])
counts, slowest = {}, 0.0
while not stop.exists():
    began = time.perf_counter()
    with duckdb.connect(config={"extension_directory": extensions}) as lake:  # as a notebook would: open, ask, close
        lake.execute("set enable_progress_bar = false")
        lake.execute(attach)
        for table in ("application_features", "loan_outcomes", "vintage_curves"):
            (rows,) = lake.execute(f"select count(*) from lake.gold.{table}").fetchone()
            counts.setdefault(table, {}).setdefault(rows, 0)
            counts[table][rows] += 1
        lake.execute("select f.loan_id, o.outcome from lake.gold.application_features as f "
                     "inner join lake.gold.loan_outcomes as o on f.loan_id = o.loan_id").fetchall()
    slowest = max(slowest, time.perf_counter() - began)
    time.sleep(0.4)
print(json.dumps({"counts": counts, "slowest": slowest}))
"""


def analyst(root: Path, stop: Path) -> subprocess.Popen[str]:
    arguments = [str(root / "ext"), attach_sql(root, read_only=True), str(stop)]
    command = [sys.executable, "-c", ANALYST, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_analysts_read_whole_marts_while_a_build_rewrites_them(tmp_path: Path) -> None:
    book, stop = built_marts(), tmp_path / "stop"
    analysts = [analyst(book.settings.paths.warehouse, stop) for _ in range(2)]
    try:
        run = rebuild(book)
    finally:
        stop.touch()
    answers = [process.communicate(timeout=60) for process in analysts]

    assert run.success
    assert [process.returncode for process in analysts] == [0, 0], [error for _, error in answers]
    for out, _ in answers:
        seen = json.loads(out)["counts"]
        assert seen["application_features"].keys() == seen["loan_outcomes"].keys() == {str(LOANS)}
        assert len(seen["vintage_curves"]) == 1, "a reader saw a half-written mart"
        assert seen["loan_outcomes"][str(LOANS)] > 1, "the reader was kept out until the build was over"


def test_a_notebook_that_keeps_its_connection_sees_the_next_state_without_reopening() -> None:
    book = built_marts()
    root = book.settings.paths.warehouse
    with duckdb.connect(config={"extension_directory": str(root / "ext")}) as notebook:
        notebook.execute(attach_sql(root, read_only=True))
        for expected in (1, 2):
            book.warehouse.replace_table("monitoring.weather", Select(f"select * from range({expected}) as r(day)"))
            assert notebook.execute("select count(*) from lake.monitoring.weather").fetchone() == (expected,)


def test_a_copy_that_is_open_keeps_its_state_while_a_newer_one_is_published(tmp_path: Path) -> None:
    book, published = built_marts(), tmp_path / "marts.duckdb"
    book.warehouse.publish(published, ["gold.loan_outcomes"])
    with duckdb.connect(str(published), read_only=True) as report:
        book.warehouse.publish(published, ["gold.risk_bands"])
        assert report.execute("select count(*) from gold.loan_outcomes").fetchone() == (LOANS,)
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []
