"""What every test shares: real data if it is there, a home of its own, and nothing of the developer's environment."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from credit_risk_platform.adapters.dbt_project import DbtWorkspace
from credit_risk_platform.adapters.warehouse.lock import WriterLock
from credit_risk_platform.settings import PROJECT_ROOT, Settings
from tests.cloud.snowflake_server import fakesnow as fakesnow
from tests.kafka_cluster import kafka as kafka
from tests.kafka_cluster import own_broker as own_broker
from tests.kinesis.kinesis_cluster import kinesis as kinesis
from tests.kinesis.kinesis_cluster import kinesis_server as kinesis_server
from tests.shared_folder import shared_folder

OWN_VARIABLES = ("CRP_", "DAGSTER_", "DBT_", "MLFLOW_", "SNOWFLAKE_", "KAFKA_")
DATASETS = Path(os.environ.get("CRP_TEST_DATASETS", PROJECT_ROOT.parent / "shared" / "datasets"))


def pytest_configure() -> None:
    """Before any import: the tests answer to their own settings, and no library phones home."""
    for name in [name for name in os.environ if name.startswith(OWN_VARIABLES)]:
        del os.environ[name]
    os.environ.update(DO_NOT_TRACK="true", MLFLOW_DISABLE_TELEMETRY="true", MPLBACKEND="agg", OMP_WAIT_POLICY="passive")
    # Else each worker, and each of the some hundred processes that tests start, compiles all our modules once more.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # A background job of a shell inherits INT as "ignore". Dagster copies that onto TERM, and no child that a test
    # starts afterwards could be asked to end: each would cost its whole patience.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    Settings.model_config["env_file"] = None
    if "PYTEST_XDIST_WORKER" in os.environ:
        # It looks for each of scikit-learn's names in every module there is: seconds less before the others are there.
        import skops.io  # noqa: F401


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file first: where two workers share the suite, none is left alone with it at the end."""
    items.sort(key=lambda item: item.path.name != "test_demo.py")


def pytest_collection_finish() -> None:
    """A million objects of modules and tests stay to the end: no collection of garbage need look at them again."""
    gc.collect()
    gc.freeze()


TOGETHER = {
    "tests/dbt/": "the story of tests/dbt",
    **dict.fromkeys(
        ("tests/defs/test_marts.py", "tests/parity/", "tests/adapters/test_feature_sql.py",
         "tests/adapters/test_column_lineage.py", "tests/faults/test_readers_while_writing.py"),
        "the marts of tests/mart_book.py",
    ),
}  # fmt: skip
"""What is made once per process and takes a minute: files that share it go to one worker."""


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """`--dist loadfile`, with those files as one."""
    from xdist.scheduler import LoadFileScheduling

    class ByBook(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::", 1)[0]
            return next((book for start, book in TOGETHER.items() if file.startswith(start)), file)

    return ByBook(config, log)


@pytest.fixture(scope="session")
def datasets() -> Path:
    """The public data sets that the project does not ship: LendingClub's files, FRED's series."""
    if not DATASETS.is_dir():
        pytest.skip(f"real data sets are not at {DATASETS}: set CRP_TEST_DATASETS to the folder that holds them")
    return DATASETS


@pytest.fixture(scope="session", autouse=True)
def _compile_each_project_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A manifest says by its stamp what it was compiled from, so all homes and workers of one suite may share it."""
    shared = shared_folder(tmp_path_factory)
    compile_anew = DbtWorkspace._compile

    def compile_or_copy(workspace: DbtWorkspace, stamp: str) -> None:
        kept = shared / f"manifest-{stamp}.json"
        with WriterLock(shared / f"manifest-{stamp}.lock", timeout_seconds=300).held():
            if not kept.exists():
                compile_anew(workspace, stamp)
                shutil.copyfile(workspace.manifest_file, kept)
                return
        workspace.home.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(kept, workspace.manifest_file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DbtWorkspace, "_compile", compile_or_copy)
        yield


@pytest.fixture(scope="session", autouse=True)
def _verify_extensions_once() -> Iterator[None]:
    """Each new DuckDB hashes 70 MB of extension files for their signatures: 0.3 s, and a worker opens many hundreds.

    The first one of a process proves that they are signed; the rest of this process takes the same files as they are.
    """
    connect, proven = duckdb.connect, False

    def connect_to_the_proven(*args: Any, **options: Any) -> duckdb.DuckDBPyConnection:
        nonlocal proven
        config = options.get("config") or {}
        if "extension_directory" not in config:
            return connect(*args, **options)
        if proven:
            options["config"] = {**config, "allow_unsigned_extensions": True}
        opened = connect(*args, **options)
        if not proven:
            opened.execute("load ducklake; load sqlite_scanner")
            proven = True
        return opened

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duckdb, "connect", connect_to_the_proven)
        yield


@pytest.fixture(autouse=True)
def _stay_in_place() -> Iterator[None]:
    """dagster-dbt leaves the process in another directory; the next test must not notice."""
    place = Path.cwd()
    yield
    os.chdir(place)


@pytest.fixture(autouse=True)
def _our_loggers_speak() -> None:
    """A test before this one, or a library it used, may have set up logging in a way that silences our loggers."""
    logging.disable(logging.NOTSET)
    logging.root.setLevel(logging.WARNING)
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if name.startswith("credit_risk_platform") and isinstance(logger, logging.Logger):
            logger.disabled, logger.propagate = False, True
            logger.setLevel(logging.NOTSET)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A small home of its own: 2,000 synthetic loans, no tuning, few bootstrap samples."""
    return Settings(home=tmp_path / "home", synthetic_loans=2_000, tuning_trials=0, bootstrap_samples=20)
