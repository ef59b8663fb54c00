"""A landing that is killed at any moment leaves the lake whole, and the next one finishes the job."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from credit_risk_platform.settings import PROJECT_ROOT
from tests.loan_files import TODAY, Lake, loan, make_lake, write

LANDING = """
import sys
from pathlib import Path
from tests.loan_files import make_lake
lake = make_lake(Path(sys.argv[1]))
print("ready", flush=True)
lake.land(Path(sys.argv[2]), "landing")
"""
ROWS = 20_000


@pytest.fixture(scope="module")
def big_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = (loan(n, customer_id=f"person-{n}", dti="-5" if n % 100 == 0 else "12.5") for n in range(ROWS))
    return write(tmp_path_factory.mktemp("big") / "big.csv", rows)


def kill_during(home: Path, file: Path, moment: str) -> None:
    """Start a landing in a process of its own and kill -9 it once a path that matches `moment` exists."""
    process = subprocess.Popen(
        [sys.executable, "-c", LANDING, str(home), str(file)], cwd=PROJECT_ROOT, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        while not list(home.glob(moment)) and process.poll() is None:
            time.sleep(0.0005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()


def check_whole(lake: Lake) -> int:
    """Rows in the table, after making sure that the table, its receipts and its rejects agree."""
    held = lake.warehouse.count("bronze.landing_loans")
    receipts = lake.warehouse.query("select rows_in, rows_landed, rows_rejected from bronze.landings").to_pylist()
    assert held == sum(receipt["rows_landed"] for receipt in receipts)
    rejected = lake.warehouse.query("select count(*) as n from bronze.quarantine")["n"][0].as_py()
    assert rejected == sum(receipt["rows_rejected"] for receipt in receipts)
    return held


@pytest.mark.parametrize(
    "moment",
    [
        "lake/bronze/landing/.landing-*",
        "lake/bronze/landing/.landing-*/loans.parquet",
        "lake/bronze/landing/.landing-*/manifest.json",
        "lake/quarantine/landing/batch=[1-9a-f]*/rejects.parquet",
    ],
    ids=["parsing", "writing", "written", "between the two renames"],
)
def test_a_killed_landing_leaves_the_previous_state_whole(tmp_path: Path, big_file: Path, moment: str) -> None:
    lake = make_lake(tmp_path)
    lake.land(write(tmp_path / "first.csv", [loan(90_001), loan(90_002)]))
    kill_during(tmp_path, big_file, moment)
    assert check_whole(lake) in (2, 2 + ROWS - ROWS // 100)  # all of it or nothing: the kill may come a moment late

    again = lake.land(big_file, "landing", today=TODAY)
    assert (again.rows_landed, again.rows_rejected) == (ROWS - ROWS // 100, ROWS // 100)
    assert check_whole(lake) == 2 + again.rows_landed
    assert not list(lake.root.rglob(".landing-*")), "what the killed landing left behind, names included, is gone"
