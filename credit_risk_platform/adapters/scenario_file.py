"""Macroeconomic scenarios on file: CSV in the form of the Federal Reserve's supervisory tables, and their store.

`Scenario Name,Date,...,Unemployment rate`, dates as `2026 Q3`, rates in per cent. The Fed publishes one file per
scenario: a folder of them is read like one file. What ships with us (`scenarios.csv`) is invented in that form.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from credit_risk_platform.adapters.files import Place, as_files
from credit_risk_platform.domain.provisioning.contents import canonical
from credit_risk_platform.domain.provisioning.scenarios import (
    ADVERSE,
    BASELINE,
    SEVERELY_ADVERSE,
    Quarter,
    Scenario,
    ScenarioError,
    ScenarioSet,
    scenario_set,
)

NAME, DATE, UNEMPLOYMENT = "Scenario Name", "Date", "Unemployment rate"
KNOWN = (BASELINE, ADVERSE, SEVERELY_ADVERSE)
HISTORY = frozenset({"actual", "historical"})
"""Lines of the past in the same form: no scenario."""
FEWEST_QUARTERS = 4
RANGE = (0.0, 50.0)
"""Unemployment in per cent; a share such as 0.045 would be a quiet fault, so less than this is asked about."""
LIKELY_SHARE = 1.0
_DATE = re.compile(r"(\d{4}) ?Q([1-4])")
_SHA = re.compile(r"[0-9a-f]{64}")


class ScenarioFileError(ValueError):
    """A file that cannot be used: names file, line and column, and the next step."""


@dataclass(frozen=True)
class ScenarioFile:
    """What was read, from where, and the SHA-256 of its bytes."""

    path: Path
    sha256: str
    scenarios: ScenarioSet


def read(path: Path) -> ScenarioFile:
    """The scenarios of a CSV file, or of all CSV files of a folder. Raises `ScenarioFileError`."""
    files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise ScenarioFileError(f"there are no scenarios in {path}: set CRP_SCENARIO_FILE to a CSV file or a folder")
    digest = hashlib.sha256()
    found: dict[str, list[tuple[Quarter, float, str]]] = {}
    for file in files:
        content = file.read_bytes()
        digest.update(content)
        for name, quarter, rate, where in _lines(file, content):
            found.setdefault(name, []).append((quarter, rate, where))
    try:
        scenarios = scenario_set([_path(name, rows) for name, rows in found.items()])
    except ScenarioError as error:
        raise ScenarioFileError(
            f"{path}: {error}. Put the tables of all scenarios into one file, or into one folder"
        ) from error
    return ScenarioFile(path, digest.hexdigest(), scenarios)


class ScenarioStore:
    """Every set that a figure was made with, below `folder`: JSON named by its content, beside the models."""

    def __init__(self, folder: Place) -> None:
        self.files = as_files(folder)

    def save(self, scenarios: ScenarioSet) -> str:
        """Keep the set and return its SHA-256. Saving twice stores once."""
        sha = scenarios.sha256
        if self.files.read(_file(sha)) is None:
            self.files.put_bytes(canonical(scenarios.to_dict()), _file(sha))
        return sha

    def load(self, sha: str) -> ScenarioSet:
        """A set by its SHA-256; raises `ScenarioFileError` where it is gone or was changed."""
        data, place = self.files.read(_file(sha)), self.files.location(_file(sha))
        if data is None:
            raise ScenarioFileError(f"no scenarios {sha[:12]} at {place}: they were removed or are of another home")
        if hashlib.sha256(data).hexdigest() != sha:
            raise ScenarioFileError(f"{place} was changed after it was stored: restore it from a backup")
        return ScenarioSet.from_dict(json.loads(data))


def _file(sha: str) -> str:
    if not _SHA.fullmatch(sha):
        raise ScenarioFileError(f"{sha!r} names no scenarios: they are named by 64 hex digits")
    return f"{sha}.json"


def _lines(file: Path, content: bytes) -> Iterator[tuple[str, Quarter, float, str]]:
    """(scenario, quarter, per cent, place) of every line that is one of a scenario."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ScenarioFileError(f"{file} is not UTF-8 text: save it as CSV UTF-8") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    header = [(name or "").strip() for name in reader.fieldnames or ()]
    reader.fieldnames = header
    lacking = [name for name in (NAME, DATE, UNEMPLOYMENT) if name not in header]
    if lacking:
        raise ScenarioFileError(
            f"{file}, line 1: no column {', '.join(lacking)}. The header must be that of the Federal Reserve's tables"
        )
    for row in reader:
        line = f"{file}, line {reader.line_num}"
        if not any(value for value in row.values()):
            continue
        name = re.sub(r"[\s_]+", "_", (row[NAME] or "").strip().lower()).removeprefix("supervisory_")
        if name in HISTORY:
            continue
        if name not in KNOWN:
            raise ScenarioFileError(
                f"{line}, column {NAME}: {row[NAME]!r} is no scenario we know. Use Baseline, Adverse or Severely "
                "Adverse, with or without Supervisory before it"
            )
        yield name, _quarter(row[DATE], line), _rate(row[UNEMPLOYMENT], line), line


def _quarter(text: str | None, line: str) -> Quarter:
    found = _DATE.fullmatch((text or "").strip())
    if found is None:
        raise ScenarioFileError(f"{line}, column {DATE}: {text!r} is no quarter. Write it as 2026 Q3")
    return Quarter.of(int(found[1]), int(found[2]))


def _rate(text: str | None, line: str) -> float:
    place = f"{line}, column {UNEMPLOYMENT}"
    try:
        rate = float((text or "").strip())
    except ValueError:
        raise ScenarioFileError(f"{place}: {text!r} is no number. Write per cent, as 4.5") from None
    if not RANGE[0] <= rate <= RANGE[1] or rate < LIKELY_SHARE:
        raise ScenarioFileError(f"{place}: {rate} is no rate of unemployment. Write per cent, as 4.5")
    return rate


def _path(name: str, rows: list[tuple[Quarter, float, str]]) -> Scenario:
    """One scenario from its lines, whatever their order; each quarter must stand there once, with none left out."""
    rows = sorted(rows, key=lambda row: row[0].index)
    for before, after in itertools.pairwise(rows):
        gap = after[0].index - before[0].index
        if gap != 1:
            fault = f"{after[0]} stands there twice" if gap == 0 else f"{before[0]} is followed by {after[0]}"
            raise ScenarioFileError(f"{after[2]}, column {DATE}: {fault} in {name}. Give every quarter one line")
    if len(rows) < FEWEST_QUARTERS:
        raise ScenarioFileError(f"{rows[-1][2]}: {name} has {len(rows)} quarters. Give at least {FEWEST_QUARTERS}")
    return Scenario(name, rows[0][0], tuple(rate for _, rate, _ in rows))
