"""Macro series with the day each value became public, from FRED's CSV files or from the bundled invented economy.

Belongs here: reading the files, publication rules. Does not: joining values to loans (dbt, by publication date).

FRED's plain files hold the latest revision only. With them a value carries its first publication day, so nothing is
used before it existed, but a later correction may stand in for the first print. A file with a `publication_date`
column (several rows per observation date, as ALFRED exports give) removes that caveat.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from credit_risk_platform.domain.synthetic.economy import economy

Days = npt.NDArray[np.datetime64]

PUBLICATION_RULES: dict[str, Callable[[Days], Days]] = {
    # Employment Situation: a Friday early in the next month; from the 4th on, so that no year is dated too early.
    "UNRATE": lambda period_end: np.busday_offset(period_end + 4, 0, roll="forward", weekmask="Fri"),
    # Consumer prices: about the middle of the next month.
    "CPIAUCSL": lambda period_end: period_end + 15,
    # Gross domestic product, advance estimate: about thirty days after the quarter.
    "GDPC1": lambda period_end: period_end + 30,
    # The average of daily rates is complete with the period's last day and posted on the next.
    "FEDFUNDS": lambda period_end: period_end + 1,
    # The survey's final reading comes out within its own month.
    "UMCSENT": lambda period_end: period_end,
}
"""Series -> first publication day, given the last day of the month or quarter that a value describes."""

SCHEMA = pa.schema(
    [
        ("series_id", pa.string()),
        ("observation_date", pa.date32()),
        ("value", pa.float64()),
        ("publication_date", pa.date32()),
        ("vintage_date", pa.date32()),
        ("_batch", pa.string()),
    ]
)
_FILE_NAME = re.compile(r"(?P<series>[A-Z0-9]+)_(?P<frequency>quarterly|monthly)\.csv")
_MONTHS = {"quarterly": 3, "monthly": 1}
_BLANKS = ("", ".")
"""FRED writes a missing value as nothing or, in older files, as a full stop."""


class MacroFileError(ValueError):
    """A macro file that cannot be used; names the file, the column and, where there is one, the line."""

    def __init__(self, file: str, column: str, reason: str) -> None:
        super().__init__(f"{file}, column {column!r}: {reason}")
        self.file, self.column = file, column


def load_macro(path: Path | None) -> pa.Table:
    """All series as `bronze.macro_series` rows, sorted by series, observation date and publication date.

    Args:
        path: folder of `<SERIES>_quarterly.csv` or `<SERIES>_monthly.csv` with columns `observation_date` (first day
            of the period), `<SERIES>` and optionally `publication_date`; None for the bundled synthetic series.

    Returns:
        Table of `SCHEMA`. Its schema metadata says `source` ("fred" or "synthetic") and `blank_rows`, a JSON object of
        the observations without a value that were dropped, per series. `_batch` is the start of the content's SHA-256.

    Raises:
        MacroFileError: no such files, a missing or renamed column, a value that is no number, a date that is no first
            day of a period, the same observation twice, or a series whose publication day is not known.
    """
    return _bundled() if path is None else _from_folder(path)


def _from_folder(folder: Path) -> pa.Table:
    files = {match["series"]: (file, match["frequency"]) for file, match in _matches(folder)}
    if not files:
        raise MacroFileError(str(folder), "observation_date", "no <SERIES>_quarterly.csv or <SERIES>_monthly.csv here.")
    digest = hashlib.sha256()
    tables, blanks = [], {}
    for series, (file, frequency) in sorted(files.items()):
        digest.update(file.name.encode() + file.read_bytes())
        table, blanks[series] = _read_series(file, series, _MONTHS[frequency])
        tables.append(table)
    return _labelled(pa.concat_tables(tables), digest.hexdigest(), "fred", blanks)


def _matches(folder: Path) -> list[tuple[Path, re.Match[str]]]:
    found = [(file, match) for file in sorted(folder.glob("*.csv")) if (match := _FILE_NAME.fullmatch(file.name))]
    names = [match["series"] for _, match in found]
    for file, match in found:
        if names.count(match["series"]) > 1:
            raise MacroFileError(file.name, match["series"], "both a quarterly and a monthly file: keep one.")
    return found


def _read_series(file: Path, series: str, months: int) -> tuple[pa.Table, int]:
    """One file's rows without `_batch`, and how many blank values were dropped."""
    text = _read_text(file, ("observation_date", series))
    is_blank = pc.is_in(pc.utf8_trim_whitespace(text[series]), pa.array(_BLANKS))
    rows = text.filter(pc.invert(is_blank))
    observed = _dates(file, "observation_date", rows)
    start = observed.astype("datetime64[M]")
    _refuse(file, "observation_date", rows, (start != observed) | (start.astype(int) % months != 0), "opens no period")
    period_end = (start + months).astype("datetime64[D]") - 1
    published = _published(file, series, rows, period_end)
    order = np.lexsort((published, observed))
    keys = np.stack([observed, published])[:, order].astype(int)
    twice = np.zeros(len(order), bool)
    twice[order[1:]] = (keys[:, 1:] == keys[:, :-1]).all(axis=0)
    _refuse(file, "observation_date", rows, twice, "stands twice with one publication date")
    table = _series_table(series, observed, _numbers(file, series, rows), published)
    return table.take(pa.array(order)), text.num_rows - rows.num_rows


def _read_text(file: Path, required: tuple[str, ...]) -> pa.Table:
    """Every column as text, with the file's own line number kept, so that an error can name the cell."""
    try:
        with file.open(encoding="utf-8-sig") as lines:
            names = [name.strip().strip('"') for name in lines.readline().split(",")]
        options = pacsv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
        reading = pacsv.ReadOptions(column_names=names, skip_rows=1)
        text = pacsv.read_csv(file, read_options=reading, convert_options=options)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise MacroFileError(file.name, required[0], f"not a readable CSV file ({error}).") from error
    for name in required:
        if name not in names:
            raise MacroFileError(file.name, name, f"missing; the header holds {', '.join(names)}.")
    return text.append_column("line", pa.array(np.arange(2, text.num_rows + 2)))


def _published(file: Path, series: str, rows: pa.Table, period_end: Days) -> Days:
    if "publication_date" in rows.column_names:
        published = _dates(file, "publication_date", rows)
        too_early = published < period_end.astype("datetime64[M]").astype("datetime64[D]")
        _refuse(file, "publication_date", rows, too_early, "lies before the period it describes is nearly over")
        return published
    if series not in PUBLICATION_RULES:
        known = ", ".join(PUBLICATION_RULES)
        raise MacroFileError(file.name, series, f"no publication rule; add a publication_date column (known: {known}).")
    return PUBLICATION_RULES[series](period_end)


def _dates(file: Path, column: str, rows: pa.Table) -> Days:
    parsed = pc.strptime(rows[column], format="%Y-%m-%d", unit="s", error_is_null=True)
    # Written back, since the parser takes the 30th of February for the 1st of March.
    same = pc.fill_null(pc.equal(pc.strftime(parsed, format="%Y-%m-%d"), rows[column]), False)
    _refuse(file, column, rows, ~np.asarray(same), "is no date like 2020-01-31")
    days: Days = np.asarray(parsed).astype("datetime64[D]")
    return days


def _numbers(file: Path, column: str, rows: pa.Table) -> pa.ChunkedArray:
    looks_right = pc.match_substring_regex(rows[column], r"^\s*[-+]?\d+(\.\d*)?\s*$")
    _refuse(file, column, rows, ~np.asarray(looks_right), "is no number")
    return pc.utf8_trim_whitespace(rows[column]).cast(pa.float64())


def _refuse(file: Path, column: str, rows: pa.Table, wrong: npt.NDArray[Any], reason: str) -> None:
    """Raise on the first wrong cell, if there is one."""
    if wrong.any():
        first = int(np.argmax(wrong))
        line, value = rows["line"][first].as_py(), rows[column][first].as_py()
        raise MacroFileError(file.name, column, f"line {line}: {value!r} {reason} ({int(wrong.sum())} such rows).")


def _bundled() -> pa.Table:
    """The invented economy, with one correction: unemployment of 2019Q4 was restated a year after its first print."""
    world = economy()
    observed = world.quarters.astype("datetime64[D]")
    period_end = (world.quarters + 3).astype("datetime64[D]") - 1
    tables = [
        _series_table(series, observed, values, PUBLICATION_RULES[series](period_end))
        for series, values in world.series.items()
    ]
    restated = observed == np.datetime64("2019-10-01")
    value = np.round(world.series["UNRATE"][restated] + 0.2, 1)
    later = PUBLICATION_RULES["UNRATE"](period_end[restated] + 366)
    tables.append(_series_table("UNRATE", observed[restated], value, later))
    rows = pa.concat_tables(tables).sort_by(
        [("series_id", "ascending"), ("observation_date", "ascending"), ("publication_date", "ascending")]
    )
    text = pa.BufferOutputStream()
    pacsv.write_csv(rows, text)
    blanks = dict.fromkeys(sorted(world.series), 0)
    return _labelled(rows, hashlib.sha256(text.getvalue()).hexdigest(), "synthetic", blanks)


def _series_table(series: str, observed: Days, values: Any, published: Days) -> pa.Table:
    day = pa.array(published.astype("datetime64[D]"))
    return pa.table(
        [pa.repeat(pa.scalar(series), len(observed)), pa.array(observed), values, day, day],
        schema=SCHEMA.remove(len(SCHEMA) - 1),
    )


def _labelled(rows: pa.Table, digest: str, source: str, blanks: dict[str, int]) -> pa.Table:
    batch = pa.repeat(pa.scalar(digest[:12]), rows.num_rows)
    metadata = {"source": source, "blank_rows": json.dumps(blanks, sort_keys=True)}
    return rows.append_column(SCHEMA.field("_batch"), batch).replace_schema_metadata(metadata)
