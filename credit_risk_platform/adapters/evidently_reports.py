"""Evidently at its edge: two samples in, one comparison and one HTML page out. The only file that knows the library.

What a reader should know of Evidently's PSI: its bins have equal widths over both samples together (values, where a
feature has at most 20), and missing values are left out. So numbers are drawn in to the 1st and 99th percentile of the
reference (one odd income would make one bin of all others, and show on the page), and missing shares stand beside. PSI
over everybody and over fixed bins, missing ones included, is `drift_report.py`'s.
"""

from __future__ import annotations

import html
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from credit_risk_platform.adapters.files import Place, as_files
from credit_risk_platform.domain.drift import MODERATE

if TYPE_CHECKING:
    import pandas as pd

DRIFTED_SHARE = 0.3
"""More drifted features than that, and the population has moved as a whole."""
DISCRETE_VALUES = 20
"""Up to so many different values Evidently counts values instead of bins: nothing to draw in."""
INNER = (0.01, 0.99)
TIME_STEPS = 10
"""Means over time on the page: tenths of the sample, never fewer than 50 rows (Evidently's own 150 steps: 3 rows)."""
MISSING = "missing"
BLANK = "<html><body></body></html>"
NOTE = (
    "PSI by Evidently, missing values left out; numbers are drawn in to the 1st and 99th percentile of the reference. "
    f"'Index binned' is time: {TIME_STEPS} steps, the oldest on the left."
)
DIGITS = 6


@dataclass(frozen=True)
class ColumnDrift:
    """`psi` is None where neither side has a value, or a number has none on one side; the latter has drifted."""

    name: str
    psi: float | None
    drifted: bool
    missing_before: float
    missing_now: float


@dataclass(frozen=True)
class Comparison:
    """What Evidently says of two samples, the furthest moved column first, and its page."""

    columns: tuple[ColumnDrift, ...]
    page: bytes
    evidently_version: str

    @property
    def drifted(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if column.drifted)

    @property
    def drifted_share(self) -> float:
        """Of the columns that have a value anywhere: what never came cannot drift."""
        came = [column for column in self.columns if min(column.missing_before, column.missing_now) < 1]
        return round(len(self.drifted) / max(len(came), 1), DIGITS)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return {
            "evidently_version": self.evidently_version,
            "threshold": MODERATE,
            "drifted_share": self.drifted_share,
            "columns": [asdict(column) for column in self.columns],
        }


def compare(reference: pa.Table, current: pa.Table, numbers: Sequence[str], heading: Sequence[str]) -> Comparison:
    """PSI of each column of `reference` in `current` by Evidently; columns not in `numbers` are categories.

    `heading`: lines that stand on top of the page. Both tables hold at least one row.
    """
    names = reference.column_names
    missing = {name: (_missing(reference[name]), _missing(current[name])) for name in names}
    comparable = [name for name in names if (max if name in numbers else min)(missing[name]) < 1]
    sides = reference.select(comparable), current.select(comparable)
    found, page = _run(*sides, numbers) if comparable else ({}, BLANK)
    columns = [_column(name, found.get(name), *missing[name]) for name in names]
    ranked = sorted(columns, key=lambda one: (not one.drifted, -(one.psi or 0.0), one.name))
    return Comparison(tuple(ranked), _headed(page, [*heading, NOTE]), version("evidently"))


def keep(folder: Place, name: str, summary: Mapping[str, Any], page: bytes | None) -> str:
    """Write `<name>.html` and `<name>.json`; without a page an earlier one is taken away. Says where the page lies."""
    files, target = as_files(folder), f"{name}.html"
    if page is None:
        files.remove(target)
    else:
        files.put_bytes(page, target)
    files.put_bytes(content(summary), f"{name}.json")
    return files.location(target)


def content(summary: Mapping[str, Any]) -> bytes:
    """The JSON file of a report: the same facts, the same bytes."""
    return (json.dumps(summary, indent=2, sort_keys=True, default=str) + "\n").encode()


def _column(name: str, psi: float | None, before: float, now: float) -> ColumnDrift:
    drifted = (before == 1) != (now == 1) if psi is None else psi >= MODERATE
    return ColumnDrift(name, psi, drifted, round(before, DIGITS), round(now, DIGITS))


def _missing(values: pa.ChunkedArray) -> float:
    return float(pc.mean(pc.is_null(values, nan_is_null=True)).as_py())


def _run(reference: pa.Table, current: pa.Table, numbers: Sequence[str]) -> tuple[dict[str, float], str]:
    """(column -> PSI, page)."""
    os.environ.setdefault("DO_NOT_TRACK", "true")  # Evidently reports its use to its makers unless told not to
    with warnings.catch_warnings():
        # Deprecations of libraries that Evidently imports: its own affair.
        warnings.simplefilter("ignore", DeprecationWarning)
        from evidently import DataDefinition, Dataset, Report
        from evidently.metrics import DriftedColumnsCount, ValueDrift

    names = reference.column_names
    by_kind = DataDefinition(
        numerical_columns=[name for name in names if name in numbers],
        categorical_columns=[name for name in names if name not in numbers],
    )
    rule = {"num_method": "psi", "cat_method": "psi", "num_threshold": MODERATE, "cat_threshold": MODERATE}
    metrics = [ValueDrift(column=name, method="psi", threshold=MODERATE) for name in names]
    report = Report([DriftedColumnsCount(columns=names, drift_share=DRIFTED_SHARE, **rule), *metrics])
    before, now = _frames(reference, current, numbers)
    snapshot = report.run(
        Dataset.from_pandas(now, data_definition=by_kind), Dataset.from_pandas(before, data_definition=by_kind)
    )
    values = {metric["config"].get("column"): metric["value"] for metric in json.loads(snapshot.json())["metrics"]}
    # Evidently adds categories up in the order of a set, which differs between processes: the last bits say nothing.
    found = {name: round(float(values[name]), DIGITS) for name in names}
    return found, snapshot.get_html_str(as_iframe=False)


def _frames(reference: pa.Table, current: pa.Table, numbers: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    import pandas as pd

    before: dict[str, np.ndarray] = {}
    now: dict[str, np.ndarray] = {}
    for name in reference.column_names:
        if name in numbers:
            before[name], now[name] = _drawn_in(_floats(reference[name]), _floats(current[name]))
        else:
            before[name], now[name] = _texts(reference[name]), _texts(current[name])
    # Evidently shows means over the index: tenths of the sample, which comes in the order of time.
    tenths = [np.arange(table.num_rows) * TIME_STEPS // max(table.num_rows, 1) for table in (reference, current)]
    return pd.DataFrame(before, index=tenths[0]), pd.DataFrame(now, index=tenths[1])


def _drawn_in(reference: np.ndarray, current: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    known = reference[np.isfinite(reference)]
    if np.unique(known).size <= DISCRETE_VALUES:
        return reference, current
    low, high = np.quantile(known, INNER)
    if low == high:  # nearly everybody has one value; what is rare is the news
        return reference, current
    return np.clip(reference, low, high), np.clip(current, low, high)


def _floats(values: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(values.cast(pa.float64(), safe=False).to_numpy())


def _texts(values: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(pc.fill_null(values.cast(pa.string()), MISSING).to_numpy())


def _headed(page: str, heading: Sequence[str]) -> bytes:
    """Evidently's page says neither of what nor of when it is."""
    first, *rest = (html.escape(line) for line in heading)
    top = f"<h2>{first}</h2><p>{'<br>'.join(rest)}</p>"
    return page.replace("<body>", f'<body><div style="margin:1em;font-family:sans-serif">{top}</div>', 1).encode()
