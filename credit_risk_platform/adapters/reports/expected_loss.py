"""The expected-loss report of a day: stages, coverage, what moved it, and what scenarios would do."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

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
from credit_risk_platform.adapters.warehouse.base import Warehouse

KIND = "ecl"
LOANS, WATERFALL, STRESS = "gold/loan_ecl", "gold/ecl_waterfall", "gold/stress_ecl"


def report(warehouse: Warehouse, as_of: date) -> Report:
    """The report of one reporting day."""
    made = (_stages, _purposes, _waterfall, _scenarios)
    sections = [section(warehouse, as_of) for section in made]
    return Report(KIND, "Expected credit loss", f"Reporting day {as_of}", as_of, sections)


# Added up as decimals: a parallel sum of doubles differs in its last bits from run to run.
_SUMS = """
    count(*) as loans, sum(cast(ead as decimal(18, 6))) as ead, sum(cast(ecl as decimal(18, 6))) as ecl,
    sum(cast(ecl as decimal(18, 6))) / nullif(sum(cast(ead as decimal(18, 6))), 0) as coverage,
    sum(cast(ecl_cecl as decimal(18, 6))) as ecl_cecl
"""
_SUM_COLUMNS = (
    Column("loans", Unit.COUNT), Column("exposure at default", Unit.MONEY), Column("ECL (IFRS 9)", Unit.MONEY),
    Column("coverage", Unit.SHARE), Column("allowance (CECL)", Unit.MONEY),
)  # fmt: skip


def _stages(warehouse: Warehouse, as_of: date) -> Section:
    told = Section(
        "stages",
        "Stages and coverage",
        "IFRS 9: twelve months' loss in stage 1, lifetime loss in stages 2 and 3, weighted over the scenarios; CECL: "
        "lifetime loss for all. Coverage is ECL over exposure.",
    )
    source = Source(LOANS, as_of.isoformat())
    if not _made(warehouse, "gold.loan_ecl", as_of):
        return not_made(told, f"{LOANS} of {as_of}")
    (whole,) = warehouse.query(f"select {_SUMS} from gold.loan_ecl where as_of = ?", [as_of]).to_pylist()
    models = """
        select string_agg(distinct left(hazard_sha, 12), ', ' order by left(hazard_sha, 12)) as hazard,
            string_agg(distinct left(lgd_sha, 12), ', ' order by left(lgd_sha, 12)) as lgd,
            string_agg(distinct left(scenario_sha, 12), ', ' order by left(scenario_sha, 12)) as scenarios
        from gold.loan_ecl where as_of = ?
    """
    (used,) = warehouse.query(models, [as_of]).to_pylist()
    shown = zip(("loans", "ead", "ecl", "coverage", "ecl_cecl"), _SUM_COLUMNS, strict=True)
    figures = [Figure(column.name, whole[name], column.unit, source) for name, column in shown]
    figures += [
        Figure(f"{name} used", used[key], Unit.TEXT, source)
        for name, key in (("Hazard model", "hazard"), ("LGD model", "lgd"), ("Scenarios", "scenarios"))
    ]
    by_stage = f"""
        select 'Stage ' || stage as stage, {_SUMS} from gold.loan_ecl where as_of = ? group by stage
        order by gold.loan_ecl.stage
    """
    by_reason = """
        select 'Stage ' || stage as stage, coalesce(stage_reason, 'none given') as reason, count(*) as loans
        from gold.loan_ecl where as_of = ? group by stage, stage_reason order by gold.loan_ecl.stage, 3 desc, 2
    """
    tables = [
        grid("By stage", warehouse.query(by_stage, [as_of]), (Column("stage"), *_SUM_COLUMNS), source),
        grid("Why a loan is in its stage", warehouse.query(by_reason, [as_of]),
             (Column("stage"), Column("reason"), Column("loans", Unit.COUNT)), source),
    ]  # fmt: skip
    return replace(told, figures=figures, tables=tables)


def _purposes(warehouse: Warehouse, as_of: date) -> Section:
    told = Section("purposes", "Where the loss sits", "The same by purpose of the loan and by risk band.")
    source = Source(LOANS, as_of.isoformat())
    if not _made(warehouse, "gold.loan_ecl", as_of):
        return not_made(told, f"{LOANS} of {as_of}")
    tables = [
        grid(name, warehouse.query(
            f"select coalesce({by}, 'not known') as {by}, {_SUMS} from gold.loan_ecl where as_of = ? "
            f"group by gold.loan_ecl.{by} order by ecl desc, 1", [as_of]),
            (Column(by.replace("_", " ")), *_SUM_COLUMNS), source)
        for name, by in (("By purpose", "purpose"), ("By risk band", "risk_band"))
    ]  # fmt: skip
    return replace(told, tables=tables)


def _waterfall(warehouse: Warehouse, as_of: date) -> Section:
    told = Section("waterfall", "What moved it", "From the reporting day before to this one; the steps add up.")
    if not _made(warehouse, "gold.ecl_waterfall", as_of):
        return not_made(told, f"{WATERFALL} of {as_of}")
    sql = "select step, amount, compared_with from gold.ecl_waterfall where as_of = ? order by step_no"
    rows = warehouse.query(sql, [as_of])
    columns = (Column("step"), Column("amount", Unit.MONEY), Column("compared with"))
    return replace(told, tables=[grid("Steps", rows, columns, Source(WATERFALL, as_of.isoformat()))])


def _scenarios(warehouse: Warehouse, as_of: date) -> Section:
    told = Section("scenarios", "Scenarios", "The whole expected loss as if one scenario were certain.")
    if not _made(warehouse, "gold.stress_ecl", as_of):
        return not_made(told, f"{STRESS} (every scenario) of {as_of}")
    sql = """
        select scenario, max(unemployment_peak) as peak, sum(loans) as loans,
            sum(cast(ead as decimal(18, 6))) as ead, sum(cast(ecl as decimal(18, 6))) as ecl
        from gold.stress_ecl where as_of = ? group by scenario order by ecl, scenario
    """
    columns = (
        Column("scenario"), Column("highest unemployment, %", Unit.POINTS), Column("loans", Unit.COUNT),
        Column("exposure at default", Unit.MONEY), Column("ECL", Unit.MONEY),
    )  # fmt: skip
    rows = [list(row.values()) for row in warehouse.query(sql, [as_of]).to_pylist()]
    events = [Source(STRESS, row[0]) for row in rows]  # each scenario is a partition
    return replace(told, tables=[Grid("Each scenario alone", columns, rows, Source(STRESS), events)])


def _made(warehouse: Warehouse, table: str, as_of: date) -> bool:
    if not warehouse.exists(table):
        return False
    return bool(warehouse.query(f"select count(*) as n from {table} where as_of = ?", [as_of])["n"][0].as_py())
