"""Who is compared in a drift report: a sample of what the champion learnt from, kept for good, and one of the day.

Samples are drawn in SQL by a salted hash of the loan id: the same loans on every run and every engine, whatever the
order of the rows. They hold features, PDs and decisions, never an id. Bins over everybody: `drift_reference.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

import pyarrow as pa

from credit_risk_platform.adapters import training_data
from credit_risk_platform.adapters.drift_reference import HELD_OUT, require_training_set
from credit_risk_platform.adapters.drift_report import NEW, NEW_DAYS, PORTFOLIO
from credit_risk_platform.adapters.ledger import SCORES
from credit_risk_platform.adapters.portfolio import FEATURES, OPEN, OUTCOMES, open_on
from credit_risk_platform.adapters.warehouse.base import Select, Warehouse, Workspace
from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.drift import ENOUGH_ROWS
from credit_risk_platform.domain.models.frame import NUMERIC
from credit_risk_platform.domain.splits import Split

TABLE = "monitoring.reference_sample"
SAMPLE_ROWS = 50_000
"""Of each side: what Evidently compares in seconds and half a gigabyte."""
SALT = "drift-report"
HEX_DIGITS = 8


class Part(StrEnum):
    """What of the training set a sample is of: features are held against the first, PDs against the second."""

    TRAIN = "train"
    HELD_OUT = "held_out"


SPLITS = {Part.TRAIN: (Split.TRAIN,), Part.HELD_OUT: HELD_OUT}


@dataclass(frozen=True)
class Pinned:
    """A sample of the champion's training population, one part of it.

    `data_version` is the fingerprint of the training set it was drawn from; `own` says that it is the very set the
    champion was trained on.
    """

    bundle_sha: str
    data_version: str
    own: bool
    rows: pa.Table

    @property
    def described(self) -> str:
        """One line for a report."""
        if self.own:
            return "the training population of the champion"
        return "the training set of the day it was drawn (the champion's own had been replaced by then)"


@dataclass(frozen=True)
class DaySample:
    """`rows` drawn from the `loans` of a population: new applications, or the open portfolio where too few are new."""

    population: str
    loans: int
    rows: pa.Table

    @property
    def fell_back(self) -> bool:
        return self.population != NEW

    @property
    def described(self) -> str:
        """One line for a report."""
        if self.fell_back:
            return f"the open portfolio: fewer than {ENOUGH_ROWS} applications in the last {NEW_DAYS} days"
        return f"applications of the last {NEW_DAYS} days"


def pinned(warehouse: Warehouse, bundle: ModelBundle, part: Part, limit: int = SAMPLE_ROWS) -> Pinned:
    """The bundle's reference as it was kept, or drawn now and kept: the training set is replaced every week.

    Raises `NoReferenceError` when it is not kept and there is no training set to draw it from.
    """
    return _kept(warehouse, bundle, part) or _keep(warehouse, bundle, part, limit)


def applicants(warehouse: Warehouse, bundle: ModelBundle, as_of: date, limit: int = SAMPLE_ROWS) -> DaySample:
    """The bundle's features of the day's new applications."""
    since = as_of - timedelta(days=NEW_DAYS)
    known = f"select loan_id, decision_date from {FEATURES} semi join {OUTCOMES} using (loan_id)"
    new = Select(f"select * from ({known}) where decision_date > ? and decision_date <= ?", [since, as_of])
    is_open = Select(f"{known} semi join (select loan_id from {OUTCOMES} where {OPEN}) using (loan_id)", open_on(as_of))
    return _day(warehouse, new, is_open, _typed(bundle), Select(f"select * from {FEATURES}"), limit)


def predictions(warehouse: Warehouse, as_of: date, limit: int = SAMPLE_ROWS) -> DaySample:
    """PD, band and decision (null where nothing was decided) of the day's new applications."""
    scored = f"select loan_id, decision_date from {SCORES} join {OUTCOMES} using (loan_id) where as_of = ?"
    new = Select(f"{scored} and decision_date > ?", [as_of, as_of - timedelta(days=NEW_DAYS)])
    of_the_day = Select(f"select loan_id, pd, band, decision from {SCORES} where as_of = ?", [as_of])
    return _day(warehouse, new, Select(scored, [as_of]), "pd, band, decision", of_the_day, limit)


def _day(warehouse: Warehouse, new: Select, everybody: Select, columns: str, source: Select, limit: int) -> DaySample:
    with warehouse.workspace() as workspace:
        population, loans = NEW, workspace.stage("population", new)
        if loans < ENOUGH_ROWS:
            population, loans = PORTFOLIO, workspace.stage("population", everybody)
        return DaySample(population, loans, _draw(workspace, loans, columns, source, limit))


def _draw(workspace: Workspace, loans: int, columns: str, source: Select, limit: int) -> pa.Table:
    """At most `limit` of the staged population (loan_id, decision_date), in the order of time."""
    # Hex digits sort like the numbers they are. A tenth more than wanted passes, so that the sort is a small one.
    share = min(1.0, 1.1 * limit / max(loans, 1))
    below = "g" if share == 1.0 else f"{int(share * 16**HEX_DIGITS):0{HEX_DIGITS}x}"
    sql = f"""
        with marked as (select *, md5(loan_id || ?) as mark from population),
        drawn as (
            select loan_id, decision_date as decided, mark from marked where mark < ? order by mark, loan_id limit ?
        )
        select {columns} from ({source.sql}) join drawn using (loan_id) order by decided, mark, loan_id
    """
    return workspace.query(sql, [SALT, below, limit, *source.params])


def _kept(warehouse: Warehouse, bundle: ModelBundle, part: Part) -> Pinned | None:
    if not warehouse.exists(TABLE):
        return None
    of_part, params = "where bundle_sha = ? and part = ?", [bundle.sha256, str(part)]
    told = warehouse.query(f"select data_version, own from {TABLE} {of_part} limit 1", params).to_pylist()
    if not told:
        return None
    rows = warehouse.query(f"select {_names(bundle)} from {TABLE} {of_part} order by sample_no", params)
    return Pinned(bundle.sha256, told[0]["data_version"], told[0]["own"], rows)


def _keep(warehouse: Warehouse, bundle: ModelBundle, part: Part, limit: int) -> Pinned:
    require_training_set(warehouse, bundle)
    splits = [str(split) for split in SPLITS[part]]
    marks = ", ".join("?" * len(splits))
    population = Select(f"select loan_id, decision_date from {training_data.TABLE} where split in ({marks})", splits)
    with warehouse.workspace() as workspace:
        loans = workspace.stage("population", population)
        rows = _draw(workspace, loans, _typed(bundle), Select(f"select * from {training_data.TABLE}"), limit)
    version = training_data.fingerprint(warehouse)
    own = version == bundle.training_fingerprint
    written = pa.table(
        {
            "bundle_sha": pa.repeat(bundle.sha256, rows.num_rows),
            "part": pa.repeat(str(part), rows.num_rows),
            "data_version": pa.repeat(version, rows.num_rows),
            "own": pa.repeat(own, rows.num_rows),
            "sample_no": pa.array(range(rows.num_rows), pa.int32()),
            **{name: rows[name] for name in rows.column_names},
        }
    )
    warehouse.replace(TABLE, written, "bundle_sha = ? and part = ?", [bundle.sha256, str(part)])
    return Pinned(bundle.sha256, version, own, rows)


def _typed(bundle: ModelBundle) -> str:
    """One type per kind of feature: the table of references outlives the types of any mart."""
    kinds = {feature.name: "double" if feature.kind == NUMERIC else "varchar" for feature in bundle.features}
    return ", ".join(f"cast({name} as {kind}) as {name}" for name, kind in kinds.items())


def _names(bundle: ModelBundle) -> str:
    return ", ".join(feature.name for feature in bundle.features)
