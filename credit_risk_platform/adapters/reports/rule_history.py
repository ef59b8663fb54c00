"""Which rule was in force when, and who changed it: early-warning rules, policy versions, concentration limits.

The effective dates are the files' own; who and when is git's. What was approved, and when the platform first saw it, is
`gold.policy_versions`'.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from credit_risk_platform.adapters.reports.git_history import Change, NoHistoryError, changes, last_change_of_lines
from credit_risk_platform.adapters.reports.section import Column, Grid, Report, Section, Source, Unit, grid, not_made
from credit_risk_platform.adapters.warehouse.base import Warehouse

KIND = "rules"
SEEDS = Path("dbt_project/seeds/policy")
RULES, LIMITS = SEEDS / "early_warning_rules.csv", SEEDS / "concentration_limits.csv"
EARLY_WARNING, VERSIONS = Source("gold/early_warning_rules"), Source("gold/policy_versions")
DESCRIPTION = ("rule_name", "rule_scope", "severity", "refer_to", "condition_in_words", "not_measurable_because")
KEYS = ("rule_id", "rule_version", "effective_from", "effective_to", "author")


def report(warehouse: Warehouse, root: Path, policies: Path, as_of: date) -> Report:
    """The page of rules. `root` is the repository, `policies` the folder of the policy versions."""
    sections = [
        _early_warning(root), _versions(warehouse), _policy_files(root, policies), _limits(root),
        _commits(root, policies),
    ]  # fmt: skip
    return Report(KIND, "Rules and policies", "Which rule was in force when, and who changed it", as_of, sections)


def _early_warning(root: Path) -> Section:
    told = Section(
        "early_warning",
        "Early-warning rules",
        "Each version of each rule with its first and last day and its thresholds. A changed threshold is a new row.",
    )
    if not (root / RULES).exists():
        return replace(told, missing=f"not there: {RULES} (the platform runs without its repository)")
    rows, last, notes = _seed(root, RULES)
    columns = [
        Column(name)
        for name in ("rule", "version", "from", "until", "owner", "name", "severity", "condition", "thresholds",
                     "last changed by", "on", "commit")
    ]  # fmt: skip
    table = [
        [*(row[key] or None for key in KEYS), row["rule_name"], row["severity"], row["condition_in_words"],
         _thresholds(row), *_who(change)]
        for row, change in zip(rows, last, strict=True)
    ]  # fmt: skip
    return replace(told, tables=[Grid("Rules", columns, table, EARLY_WARNING)], notes=notes)


def _versions(warehouse: Warehouse) -> Section:
    told = Section(
        "policies",
        "Policy versions",
        "As the platform first saw them, with the hash of their content: a version that is changed under its name is "
        "found by the check of gold/policy_versions.",
    )
    if not warehouse.exists("gold.policy_versions"):
        return not_made(told, VERSIONS.asset)
    sql = """
        select policy_version, effective_from, strftime(first_seen, '%Y-%m-%d %H:%M') as first_seen, approve_below,
            decline_from, reason_version, left(sha256, 16) as sha256, note
        from gold.policy_versions order by effective_from desc
    """
    columns = (
        Column("version"), Column("in force from"), Column("first seen (UTC)"), Column("approve below", Unit.SHARE),
        Column("decline from", Unit.SHARE), Column("reasons"), Column("content"), Column("note"),
    )  # fmt: skip
    return replace(told, tables=[grid("Versions", warehouse.query(sql), columns, VERSIONS)])


def _policy_files(root: Path, policies: Path) -> Section:
    told = Section("policy_rules", "Hard rules of the policies", "Each rule with the commit its first line comes from.")
    rows: list[list[Any]] = []
    notes: list[str] = []
    for file in sorted(policies.glob("*.yaml")):
        lines = file.read_text(encoding="utf-8").splitlines()
        last, note = _last(root, file, len(lines))
        notes += note
        rows += [
            [file.stem, line.split("code:")[1].strip(" \"'"), *_who(last[place])]
            for place, line in enumerate(lines)
            if line.lstrip().startswith("- code:")
        ]
    columns = [Column(name) for name in ("policy", "rule", "last changed by", "on", "commit")]
    return replace(told, tables=[Grid("Rules", columns, rows, VERSIONS)], notes=notes)


def _limits(root: Path) -> Section:
    told = Section("limits", "Concentration limits", "Each limit with its first day.")
    if not (root / LIMITS).exists():
        return replace(told, missing=f"not there yet: {LIMITS}")
    rows, last, notes = _seed(root, LIMITS)
    names = list(rows[0]) if rows else []
    columns = [Column(name.replace("_", " ")) for name in (*names, "last changed by", "on", "commit")]
    table = [
        [*(value or None for value in row.values()), *_who(change)] for row, change in zip(rows, last, strict=True)
    ]
    return replace(told, tables=[Grid("Limits", columns, table, Source("gold/concentration_limits"))], notes=notes)


def _commits(root: Path, policies: Path) -> Section:
    told = Section("commits", "Changes", "Every commit that touched these files, the newest first, with who approved.")
    rows, notes = [], []
    for file in (root / RULES, root / LIMITS, *sorted(policies.glob("*.yaml"))):
        if not file.exists():
            continue
        try:
            rows += [
                [file.name, one.day, one.author, one.subject, one.trailers or None, one.commit[:12]]
                for one in changes(root, file)
            ]
        except (NoHistoryError, ValueError) as error:
            notes.append(f"{file.name}: {error}")
    columns = [Column(name) for name in ("file", "day", "author", "what", "reviewed or approved", "commit")]
    table = Grid("Commits", columns, sorted(rows, key=lambda row: (row[1], row[0]), reverse=True), VERSIONS)
    return replace(told, tables=[table], notes=list(dict.fromkeys(notes)))


def _seed(root: Path, name: Path) -> tuple[list[dict[str, str]], Sequence[Change | None], list[str]]:
    """(rows, the commit each comes from, notes). A row with line breaks in it would shift lines: seeds have none."""
    with (root / name).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    last, notes = _last(root, root / name, len(rows) + 1)
    return rows, last[1 : len(rows) + 1], notes


def _last(root: Path, file: Path, lines: int) -> tuple[Sequence[Change | None], list[str]]:
    try:
        found = last_change_of_lines(root, file)
    except (NoHistoryError, ValueError) as error:  # ValueError: a file outside of the repository
        return [None] * lines, [f"Who changed {file.name} is not known here: {error}"]
    return found, []


def _who(change: Change | None) -> list[str | None]:
    return [change.author, change.day or None, change.commit[:12]] if change else [None, None, None]


def _thresholds(row: dict[str, str]) -> str | None:
    return (
        ", ".join(f"{name} {value}" for name, value in row.items() if value and name not in (*DESCRIPTION, *KEYS))
        or None
    )
