"""The validation report of a model version: did PDs come true, are they stable, and what else was on offer."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from credit_risk_platform.adapters.reports.model_card import BOARD, CHAMPION, ModelVersion, interval_table
from credit_risk_platform.adapters.reports.section import (
    Column,
    Figure,
    Grid,
    Report,
    Section,
    Source,
    Unit,
    grid,
    not_made,
)
from credit_risk_platform.adapters.reports.sensitivity import STEP, sensitivity
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.maturity import key_of

KIND = "model_validation"
MATURED, BACKTESTS = "monitoring/performance_matured", "monitoring/backtest_pd"
SCORE_DRIFT, FEATURE_DRIFT = "monitoring/score_drift", "monitoring/feature_drift"
VINTAGES = 36
MOST_FEATURES = 15


def report(warehouse: Warehouse, version: ModelVersion, as_of: date) -> Report:
    """What is known of the version's quality as of the last day the book knows of."""
    sections = [
        _outcomes(warehouse, version), _backtests(warehouse, version), _stability(warehouse, version),
        _benchmark(warehouse, version), _development(version), _sensitivity(version),
    ]  # fmt: skip
    title = f"{version.bundle.name.replace('_', ' ').capitalize()}, promotion {version.pointer.promotion.version}"
    return Report(KIND, "Model validation", title, as_of, sections)


def _outcomes(warehouse: Warehouse, version: ModelVersion) -> Section:
    told = Section(
        "outcomes",
        "Outcomes by vintage",
        "Matured vintages only: what the PDs expected and what came. 'In sample' are loans it learnt from; only "
        "vintages new to it say how it does.",
    )
    if not warehouse.exists("monitoring.performance_matured"):
        return not_made(told, MATURED)
    source, sha = Source(MATURED), [version.bundle.sha256]
    summary = """
        select exposure, count(*) as vintages, sum(loans) as loans, sum(bads) as bads,
            sum(cast(expected_bad_rate as decimal(18, 12)) * loans) / sum(loans) as expected,
            sum(bads) / sum(loans) as observed
        from monitoring.performance_matured where bundle_sha = ? group by exposure order by exposure
    """
    found = warehouse.query(summary, sha)
    if not found.num_rows:
        return not_made(told, f"{MATURED} for this version")
    vintages = """
        select issue_month, exposure, loans, bads, expected_bad_rate, observed_bad_rate, auc, auc_error, ks, brier, ece
        from monitoring.performance_matured where bundle_sha = ? order by issue_month desc limit ?
    """
    counts = (Column("loans", Unit.COUNT), Column("bad", Unit.COUNT))
    rates = (Column("expected", Unit.SHARE), Column("observed", Unit.SHARE))
    errors = [Column(name, Unit.NUMBER) for name in ("AUC", "its standard error", "KS", "Brier", "ECE")]
    tables = [
        grid("By what the model knew of them", found,
             (Column("vintages are"), Column("vintages", Unit.COUNT), *counts, *rates), source),
        grid("Latest vintages", warehouse.query(vintages, [*sha, VINTAGES]),
             (Column("vintage"), Column("is"), *counts, *rates, *errors), source),
    ]  # fmt: skip
    return replace(told, tables=tables)


def _backtests(warehouse: Warehouse, version: ModelVersion) -> Section:
    told = Section(
        "backtests",
        "Backtests",
        "Per matured vintage, PDs as they were given where the ledger has them: chance of so many bad loans, were the "
        "PDs right. Light: amber below 5 % either way, fail below 0.1 %.",
    )
    if not warehouse.exists("monitoring.backtest_pd"):
        return not_made(told, f"{BACKTESTS} (the sensor label_maturity asks for it as vintages mature)")
    sql = """
        select issue_month, loans, bads, expected_pd, bad_rate, p_too_low, p_too_high, light
        from monitoring.backtest_pd where band = 'all' and bundle_sha = ? order by issue_month desc limit ?
    """
    rows = warehouse.query(sql, [version.bundle.sha256, VINTAGES]).to_pylist()
    if not rows:
        return not_made(told, f"{BACKTESTS} for this version")
    columns = (
        Column("vintage"), Column("loans", Unit.COUNT), Column("bad", Unit.COUNT), Column("mean PD", Unit.SHARE),
        Column("bad rate", Unit.SHARE), Column("p (too low)", Unit.NUMBER), Column("p (too high)", Unit.NUMBER),
        Column("light"),
    )  # fmt: skip
    events = [Source(BACKTESTS, key_of(row["issue_month"])) for row in rows]
    table = Grid("Vintages", columns, [list(row.values()) for row in rows], Source(BACKTESTS), events)
    return replace(told, tables=[table])


def _stability(warehouse: Warehouse, version: ModelVersion) -> Section:
    told = Section(
        "stability",
        "Stability",
        "PSI over fixed bins against the population it was trained on; up to 0.10 is stable, from 0.25 it has moved.",
    )
    tables = []
    columns = (
        Column("population"), Column("of"), Column("PSI", Unit.NUMBER), Column("verdict"), Column("loans", Unit.COUNT),
    )  # fmt: skip
    for name, asset in (("PDs", SCORE_DRIFT), ("Inputs that moved most", FEATURE_DRIFT)):
        table = asset.replace("/", ".")
        day = _latest_day(warehouse, table, version)
        if day is None:
            continue
        sql = f"""
            select population, feature, psi, verdict, actual_rows from {table}
            where bundle_sha = ? and as_of = ? order by psi desc nulls last, feature, population limit ?
        """
        found = warehouse.query(sql, [version.bundle.sha256, day, MOST_FEATURES])
        tables.append(grid(f"{name}, {day}", found, columns, Source(asset, day.isoformat())))
    if not tables:
        return not_made(told, SCORE_DRIFT, FEATURE_DRIFT)
    return replace(told, tables=tables)


def _benchmark(warehouse: Warehouse, version: ModelVersion) -> Section:
    told = Section(
        "benchmark",
        "Benchmarks",
        "The candidates it was chosen from, on the same loans, and plain watch-list rules: lift is the bad rate among "
        "those declined over that of all, at the share of loans the rules decline.",
    )
    if not warehouse.exists("models.leaderboard"):
        return not_made(told, BOARD.asset)
    sql = """
        select model, cast(rank as integer) as rank, case when eligible then 'yes' else 'no' end as eligible,
            validation_loss, validation_auc, out_of_time_auc, out_of_time_ks, out_of_time_brier, out_of_time_ece,
            fold_auc_sd, model_lift, rules_lift
        from models.leaderboard where training_fingerprint = ? order by rank
    """
    found = warehouse.query(sql, [version.bundle.training_fingerprint])
    if not found.num_rows:
        return replace(told, missing=f"{BOARD.asset} is of another training set by now")
    measures = (
        "validation log-loss", "validation AUC", "out-of-time AUC", "KS", "Brier", "ECE", "spread of AUC over folds",
        "lift", "lift of the rules",
    )  # fmt: skip
    columns = (
        Column("model"), Column("rank", Unit.COUNT), Column("may be promoted"),
        *(Column(name, Unit.NUMBER) for name in measures),
    )  # fmt: skip
    return replace(told, tables=[grid("Candidates and rules", found, columns, BOARD)])


def _development(version: ModelVersion) -> Section:
    told = Section("development", "In development", "Measured when it was trained, with 95 % bootstrap intervals.")
    table = interval_table(version, "By split", ("auc", "ks", "brier", "ece", "calibration_slope", "psi"))
    if not table.rows:
        return replace(told, missing="the bundle was stored without metrics")
    return replace(told, tables=[table])


def _sensitivity(version: ModelVersion) -> Section:
    told = Section(
        "sensitivity",
        "Sensitivity",
        f"Each number raised by {STEP:.0%} of itself, alone, on the development loans kept in the bundle: change of "
        "the mean PD, and the largest change of one loan. Derived inputs do not follow here.",
    )
    moved = sensitivity(version.bundle)
    if not moved:
        return replace(told, missing="the bundle keeps no development loans: train a newer one")
    columns = (Column("input"), Column("change of the mean PD", Unit.NUMBER), Column("largest change", Unit.NUMBER))
    rows = [[one.feature, one.change, one.largest] for one in moved[:MOST_FEATURES]]
    figures = [Figure("Loans", moved[0].loans, Unit.COUNT, CHAMPION)]
    return replace(told, figures=figures, tables=[Grid("Inputs that matter most", columns, rows, CHAMPION)])


def _latest_day(warehouse: Warehouse, table: str, version: ModelVersion) -> date | None:
    if not warehouse.exists(table):
        return None
    sql = f"select max(as_of) as day from {table} where bundle_sha = ?"
    day: date | None = warehouse.query(sql, [version.bundle.sha256])["day"][0].as_py()
    return day
