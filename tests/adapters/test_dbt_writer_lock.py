"""Without this lock a dbt build and a stream writer lose each other's commits."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.adapters.duckdb.environments import local

from credit_risk_platform.adapters import dbt_project
from credit_risk_platform.adapters.warehouse.dbt_writer_lock import first_word
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.adapters.warehouse.lock import WriterLock, WriterLockTimeoutError

MODULE = "credit_risk_platform.adapters.warehouse.dbt_writer_lock"


@pytest.fixture
def lock_file(tmp_path: Path) -> Path:
    return tmp_path / "writer.lock"


@pytest.fixture
def connection(lock_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[local.DuckDBConnectionWrapper]:
    monkeypatch.setattr(local, "DuckDBConnectionWrapper", local.DuckDBConnectionWrapper)
    credentials = DuckDBCredentials.from_dict(
        {"path": ":memory:", "schema": "main", "plugins": [{"module": MODULE, "config": {"lock": str(lock_file)}}]}
    )
    environment = local.LocalEnvironment(credentials)
    handle = environment.handle()
    yield handle
    handle.close()
    environment.close()


def is_free(lock_file: Path) -> bool:
    other_process = WriterLock(lock_file, timeout_seconds=0.0)
    try:
        other_process.acquire()
    except WriterLockTimeoutError:
        return False
    other_process.release()
    return True


@pytest.mark.parametrize(
    ("sql", "verb"),
    [
        ("BEGIN", "begin"),
        ('/* {"app": "dbt"} */\n\n  create table t as (select 1)', "create"),
        ("-- depends on: x\n/* two\nlines */ Insert into t values (1)", "insert"),
        ("\n  select 1", "select"),
        ("-- nothing", ""),
        ("", ""),
    ],
)
def test_the_verb_is_found_behind_dbts_comments(sql: str, verb: str) -> None:
    assert first_word(sql) == verb


def test_other_writers_wait_for_a_transaction_and_only_for_it(connection, lock_file: Path) -> None:
    cursor = connection.cursor()
    assert is_free(lock_file)
    cursor.execute("BEGIN")
    cursor.execute("create table t as select 1 as x")
    assert not is_free(lock_file)
    cursor.execute("COMMIT")
    assert is_free(lock_file)
    assert cursor.execute("select x from t").fetchall() == [(1,)]


def test_a_failed_model_gives_the_lock_back(connection, lock_file: Path) -> None:
    cursor = connection.cursor()
    cursor.execute("BEGIN")
    with pytest.raises(Exception, match="does not exist"):
        cursor.execute("create table t as select * from nowhere")
    assert not is_free(lock_file), "dbt has not rolled back yet"
    connection.rollback()
    assert is_free(lock_file)


def test_a_second_begin_that_fails_does_not_keep_the_lock_for_ever(connection, lock_file: Path) -> None:
    cursor = connection.cursor()
    cursor.execute("BEGIN")
    with pytest.raises(Exception, match="transaction"):
        cursor.execute("BEGIN")
    cursor.execute("ROLLBACK")
    assert is_free(lock_file)


def test_closing_inside_a_transaction_gives_the_lock_back(connection, lock_file: Path) -> None:
    connection.cursor().execute("BEGIN")
    connection.close()
    assert is_free(lock_file)
    connection._env.handle_count += 1  # the fixture closes once more


def test_a_write_outside_a_transaction_waits_for_other_writers(connection, lock_file: Path) -> None:
    elsewhere = WriterLock(lock_file)
    connection.cursor()._lock.timeout_seconds = 0.0
    with elsewhere.held():
        assert connection.cursor().execute("select 1").fetchall() == [(1,)], "readers never wait"
        with pytest.raises(WriterLockTimeoutError):
            connection.cursor().execute("create schema s")
    connection.cursor().execute("create schema s")
    assert is_free(lock_file)


WRITER = """
import sys, time
from pathlib import Path
import pyarrow as pa
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse

warehouse, stop = DuckLakeWarehouse(Path(sys.argv[1])), Path(sys.argv[2])
name, written = sys.argv[3], 0
while not stop.exists():
    rows = pa.table({"writer": [name], "n": [written]})
    written += warehouse.append_missing("bronze.events", rows, keys=["writer", "n"])
    time.sleep(0.05)
print(written)
"""

PROJECT = {
    "dbt_project.yml": "name: tiny\nversion: 1.0.0\nprofile: tiny\nflags: {send_anonymous_usage_stats: false}\n",
    "models/first.sql": "{{ config(materialized='table') }} select writer, count(*)::bigint as n "
    "from lake.bronze.events group by all",
    "models/second.sql": "{{ config(materialized='view') }} select * from {{ ref('first') }}",
    "models/third.sql": "{{ config(materialized='incremental') }} select * from {{ ref('second') }}",
    "models/schema.yml": "models: [{name: third, columns: [{name: writer, data_tests: [not_null]}]}]\n",
}


@pytest.mark.slow
def test_two_writers_and_dbt_builds_lose_no_commit(tmp_path: Path) -> None:
    root, project, stop = tmp_path / "warehouse", tmp_path / "project", tmp_path / "stop"
    warehouse = DuckLakeWarehouse(root)
    warehouse.replace_table("bronze.events", _no_events())
    _write_project(project, root)
    writers = [_python("-c", WRITER, str(root), str(stop), name) for name in ("a", "b")]
    try:
        builds = [_dbt(project, tmp_path / "target") for _ in range(2)]
    finally:
        stop.touch()
    results = [writer.communicate(timeout=60) for writer in writers]

    assert [build.returncode for build in builds] == [0, 0], builds[-1].stdout + builds[-1].stderr
    assert [writer.returncode for writer in writers] == [0, 0], results
    written = sum(int(out) for out, _ in results)
    assert written > 0
    assert warehouse.count("bronze.events") == written
    assert warehouse.count("silver.third") >= 2
    warehouse.close()


def _no_events():
    import pyarrow as pa

    return pa.table({"writer": pa.array([], pa.string()), "n": pa.array([], pa.int64())})


def _write_project(project: Path, root: Path) -> None:
    for name, text in PROJECT.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    (project / "profiles.yml").write_text(
        textwrap.dedent(f"""\
        tiny:
          target: lake
          outputs:
            lake:
              type: duckdb
              path: ":memory:"
              database: lake
              schema: silver
              threads: 1
              config_options: {{extension_directory: "{root}/ext", autoinstall_known_extensions: "false"}}
              settings: {{ducklake_default_data_inlining_row_limit: 0}}
              attach:
                - path: "ducklake:sqlite:{root}/catalog.sqlite"
                  alias: lake
                  options: {{data_path: "{root}/data", meta_journal_mode: WAL, meta_busy_timeout: 30000}}
              plugins: [{{module: {MODULE}, config: {{lock: "{root}/writer.lock"}}}}]
        """)
    )


def _dbt(project: Path, target: Path) -> subprocess.CompletedProcess[str]:
    command = [*dbt_project.DBT, "build", "--target-path", str(target), "--log-path", str(target)]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=120, check=False)


def _python(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
