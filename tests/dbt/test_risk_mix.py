"""The mix of the book on a dozen loans worked by hand: limits and their alert, the funnel, scores, and fair lending."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from credit_risk_platform.adapters import risk_mix
from credit_risk_platform.adapters.alerting.book import AlertBook
from credit_risk_platform.adapters.alerting.channels import channels_from
from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import Gold
from credit_risk_platform.defs.alerts import checks as alerts
from credit_risk_platform.defs.alerts.tell import Desk
from credit_risk_platform.defs.risk.checks import risk_mix_checks
from tests.dbt_book import DbtBook, Row
from tests.risk_book import risk_book

CONCENTRATION, FUNNEL, SCORES = "gold.concentration", "gold.approvals", "gold.score_distribution"


@pytest.fixture(scope="module")
def book() -> DbtBook:
    return risk_book()


@pytest.fixture(scope="module")
def concentration(book: DbtBook) -> dict[tuple[str, str], Row]:
    return {(row["kind"], row["segment"]): row for row in book.rows(CONCENTRATION)}


def test_each_state_has_the_share_the_light_and_the_index_of_its_balances(
    concentration: dict[tuple[str, str], Row],
) -> None:
    """Of 5,500 owed CA owes 2,700, NY 1,500, TX 1,300; limit 25 %, amber 20 %.

    HHI (2700^2 + 1500^2 + 1300^2) / 5500^2 = 11.23 / 30.25 = 0.37124; normalised (0.37124 - 1/3) / (2/3) = 0.05686.
    """
    states = {segment: row for (kind, segment), row in concentration.items() if kind == "state"}
    shown = ("loans", "exposure", "rank_in_kind", "light")
    assert {segment: tuple(row[name] for name in shown) for segment, row in states.items()} == {
        "CA": (5, Decimal("2700.00"), 1, "red"),
        "NY": (3, Decimal("1500.00"), 2, "red"),
        "TX": (3, Decimal("1300.00"), 3, "amber"),
    }
    assert states["NY"]["cumulative_share"] == pytest.approx(4_200 / 5_500)
    assert states["CA"]["limit_used"] == pytest.approx(2_700 / 5_500 / 0.25)
    assert [row["hhi"] for row in states.values()] == [pytest.approx(0.371240, abs=1e-6)] * 3
    assert states["CA"]["hhi_normalised"] == pytest.approx(0.056860, abs=1e-6)


def test_a_share_on_its_limit_does_not_break_it(concentration: dict[tuple[str, str], Row]) -> None:
    """Grade B: 400 + 500 + 100 + 1,200 = 2,200 of 5,500, 40 % of a limit of 40 %."""
    row = concentration["grade", "B"]
    assert (row["share"], row["limit_share"], row["light"]) == (0.4, 0.4, "amber")


def test_the_shares_of_every_kind_sum_to_one_and_closed_loans_hold_none(
    concentration: dict[tuple[str, str], Row],
) -> None:
    for kind in ("state", "purpose", "grade", "risk_band", "term"):
        rows = [row for (found, _), row in concentration.items() if found == kind]
        assert sum(row["share"] for row in rows) == pytest.approx(1)
        assert sum(row["loans"] for row in rows) == 11
    assert ("purpose", "small_business") not in concentration, "its only loan was charged off"


@pytest.mark.parametrize(
    ("spoilt", "reason"),
    [
        (
            "from limits union all select * replace ('2' as limit_version) from limits where segment = 'F'",
            "the next version",
        ),
        ("select * replace (0.9 as amber_share) from limits where segment = '*'", "amber_share lies above"),
        ("from limits where segment <> '*'", "no limit for the segments that are not named"),
    ],
    ids=["two at once", "warning after the limit", "kind without a limit"],
)
def test_limits_that_contradict_themselves_turn_their_check_red(book: DbtBook, spoilt: str, reason: str) -> None:
    table = '"lake"."gold"."concentration_limits"'
    sql = book.compiled("concentration_limits")
    assert _rows(book, sql) == []
    red = _rows(book, sql.replace(table, f"(with limits as (from {table}) {spoilt})"))
    assert red
    assert all(row["reason"].startswith(reason) for row in red)


def test_the_funnel_counts_each_application_once_from_arrival_to_loan(book: DbtBook) -> None:
    """Seven decisions, one of which is a loan by now, and one application that nobody scored."""
    rows = _sum(book, FUNNEL, "channel <> 'portfolio'", "outcome")
    assert {row["outcome"]: (row["applications"], row["decisions"], row["booked"]) for row in rows} == {
        "approve": (3, 3, 1),
        "refer": (2, 2, 0),
        "decline": (2, 2, 0),
        "not scored": (1, 0, 0),
    }
    (total,) = _sum(book, FUNNEL, "channel <> 'portfolio'")
    assert total["with_fraud_signal"] == 2
    assert total["amount"] == 1_200 + 5_000 + 9_000 + 700, "asked twice counts once, as last asked; some tell no amount"
    unscored = _rows(book, f"from {FUNNEL} where outcome = 'not scored' and channel = 'stream'")
    assert [(row["day"], row["purpose"], row["status"]) for row in unscored] == [
        (date(2023, 6, 30), "moving", "Application")
    ]


def test_the_book_is_judged_by_the_policy_in_force_and_kept_apart(book: DbtBook) -> None:
    """Eight of 15 would be approved, with a mean PD of (2 x 0.01 + 4 x 0.03 + 2 x 0.08) / 8 = 0.0375."""
    rows = {row["outcome"]: row for row in _sum(book, FUNNEL, "channel = 'portfolio'", "outcome")}
    assert {outcome: row["applications"] for outcome, row in rows.items()} == {
        "approve": 8, "refer": 3, "decline": 3, "not scored": 1,
    }  # fmt: skip
    assert rows["approve"]["mean_pd"] == pytest.approx(0.0375)
    assert {row["route"] for row in _rows(book, f"from {FUNNEL} where channel = 'portfolio'")} == {"none"}


def test_the_shares_of_each_population_and_score_sum_to_one(book: DbtBook) -> None:
    found = {
        (row["population"], row["kind"]): (row["loans"], row["share"])
        for row in _rows(
            book, f"select population, kind, sum(loans) as loans, sum(share) as share from {SCORES} group by all"
        )
    }
    one = pytest.approx(1)
    assert found == {
        ("all loans", "bureau_score"): (15, one), ("all loans", "pd"): (14, one), ("all loans", "points"): (14, one),
        ("open book", "bureau_score"): (11, one), ("open book", "pd"): (11, one), ("open book", "points"): (11, one),
        ("applications", "pd"): (7, one), ("applications", "points"): (7, one),
    }  # fmt: skip


def test_a_dozen_loans_tell_their_number_and_no_rate(book: DbtBook) -> None:
    rows = book.rows("gold.fair_lending")
    assert {row["group_name"]: row["loans"] for row in rows if row["attribute"] == "age_62_or_over"} == {
        "62 or over": 3, "under 62": 11,
    }  # fmt: skip
    figures = ("selection_rate", "air", "air_low", "mean_pd", "smd_pd", "matured_loans", "false_positive_rate")
    assert {row[figure] for row in rows for figure in figures} == {None}
    assert all(row["suppressed"] and not row["is_reference"] for row in rows)
    assert {row["note"] for row in rows} == {"screening statistic, not a legal test"}


# ------------------------------------------------------------------- fair lending, golden

GROUPS = """
    select cast(n as varchar) as loan_id, date '2023-06-30' as as_of, n // 200 as place, n % 200 as k,
        case when n < 200 then 'graduate' when n < 400 then 'school' when n < 550 then 'none' else 'doctor' end
            as education
    from range(649) as t (n)
"""
"""200 graduates, 200 with school only (of both a hundred good, a hundred bad), 150 with none, 99 doctors."""
LOANS = f"select loan_id, as_of, case when place < 2 then k >= 100 end as is_bad from ({GROUPS})"
SCORED = f"""
    select loan_id,
        case education when 'graduate' then 0.05 when 'school' then 0.10 else 0.1 end + 0.1 * (k % 2) as pd,
        case when case education
                when 'graduate' then k between 20 and 139  -- 80 of the good, 40 of the bad
                when 'school' then k between 40 and 129    -- 60 of the good, 30 of the bad
                when 'none' then k < 75
                else true
            end then 'approve' else 'refer' end as decision
    from ({GROUPS})
"""
ATTRIBUTES = f"select loan_id, education, null::double as age, null::double as family_size from ({GROUPS})"


@pytest.fixture(scope="module")
def groups(book: DbtBook) -> dict[str, Row]:
    sql = book.compiled("fair_lending")
    for name, rows in (
        ("portfolio_loans", LOANS),
        ("origination_scores", SCORED),
        ("restricted_attributes", ATTRIBUTES),
    ):
        sql = sql.replace(f'"lake"."gold"."{name}"', f"({rows})")
    rows = book.warehouse.query(sql).to_pylist()
    return {row["group_name"]: row for row in rows if row["attribute"] == "education"}


def test_the_adverse_impact_ratio_and_its_interval_have_their_golden_values(groups: dict[str, Row]) -> None:
    """120 of 200 against 90 of 200: 0.45 / 0.60 = 0.75; ln 0.75 = -0.287682.

    Standard error sqrt(0.4 / 120 + 0.55 / 90) = 0.0971825; times 1.959964 = 0.190474: exp(-0.478156) = 0.61993 to
    exp(-0.097208) = 0.90737.
    """
    row = groups["school"]
    assert (row["reference_group"], row["selection_rate"], row["air"]) == ("graduate", 0.45, pytest.approx(0.75))
    assert (row["air_low"], row["air_high"]) == (pytest.approx(0.61993, abs=1e-5), pytest.approx(0.90737, abs=1e-5))
    assert row["below_four_fifths"]
    assert groups["graduate"]["is_reference"]
    assert groups["graduate"]["air"] is None
    assert (groups["none"]["air"], groups["none"]["below_four_fifths"]) == (pytest.approx(0.5 / 0.6), False)


def test_the_distance_of_the_pds_has_its_golden_value(groups: dict[str, Row]) -> None:
    """Means 0.10 and 0.15; both vary by 0.05 up and down: 200 * 0.0025 / 199 = 0.00251256, its root 0.0501255."""
    assert groups["school"]["smd_pd"] == pytest.approx(0.05 / 0.0501255, abs=1e-5)


def test_error_rates_are_those_of_matured_loans(groups: dict[str, Row]) -> None:
    """Good and not approved: 20 and 40 of 100. Bad and approved: 40 and 30 of 100. No outcome, no rate."""
    row, reference = groups["school"], groups["graduate"]
    assert (reference["false_positive_rate"], reference["false_negative_rate"]) == (0.2, 0.4)
    assert (row["false_positive_rate"], row["false_negative_rate"], row["matured_loans"]) == (0.4, 0.3, 200)
    assert (row["false_positive_gap"], row["false_negative_gap"]) == (pytest.approx(0.2), pytest.approx(-0.1))
    assert (groups["none"]["matured_loans"], groups["none"]["false_positive_rate"]) == (0, None)


def test_ninety_nine_loans_are_nobodys_reference_although_all_were_approved(groups: dict[str, Row]) -> None:
    row = groups["doctor"]
    assert (row["loans"], row["suppressed"], row["selection_rate"], row["is_reference"]) == (99, True, None, False)


# ------------------------------------------------------------------- checks and their alerts


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(AlertBook(tmp_path / "alerts"), channels_from(tmp_path / "alerts"), datetime.now(UTC))


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckLakeWarehouse]:
    made = DuckLakeWarehouse(tmp_path_factory.mktemp("mix") / "warehouse", threads=1)
    yield made
    made.close()


@dg.asset(key=Gold.CONCENTRATION)
def concentration_mart() -> None: ...


@dg.asset(key=Gold.FAIR_LENDING)
def fair_lending_mart() -> None: ...


def checked(lake: DuckLakeWarehouse, instance: dg.DagsterInstance) -> dict[str, dg.AssetCheckEvaluation]:
    run = dg.materialize(
        [concentration_mart, fair_lending_mart, risk_mix_checks], resources={"warehouse": lake}, instance=instance
    )
    assert run.success, "a limit that is broken stops nothing"
    return {found.check_name: found for found in run.get_asset_check_evaluations()}


def test_a_broken_limit_is_an_alert_and_a_ratio_below_four_fifths_a_warning(
    book: DbtBook, groups: dict[str, Row], lake: DuckLakeWarehouse, desk: Desk
) -> None:
    lake.replace_table(CONCENTRATION, book.warehouse.query(f"from {CONCENTRATION}"))
    lake.replace_table(risk_mix.FAIR_LENDING, _arrow(groups))
    with dg.DagsterInstance.ephemeral() as instance:
        found = checked(lake, instance)
        _, cursor = alerts.look(instance, None, desk, "http://dagster")
        told = {one["key"].rsplit("/", 1)[-1]: one for one in desk.book.open_incidents()}
        limit, fair = found["limit_breach"], found["fair_lending_measured"]
        assert (limit.passed, limit.severity, limit.blocking) == (False, dg.AssetCheckSeverity.ERROR, False)
        assert limit.metadata["kinds"].value == "grade, risk_band, state, term"
        assert {key: limit.metadata[key].value for key in ("red_segments", "amber_segments", "segments")} == {
            "red_segments": 4, "amber_segments": 3, "segments": 18,
        }  # fmt: skip
        assert (fair.passed, fair.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert (fair.metadata["groups_measured"].value, fair.metadata["groups_suppressed"].value) == (3, 1)
        assert "not a legal test" in str(fair.metadata["next_step"].value)
        severities = {name: str(one["severity"]) for name, one in told.items()}
        assert severities == {"limit_breach": "critical", "fair_lending_measured": "warning"}
        assert told["limit_breach"]["facts"]["kinds"] == "grade, risk_band, state, term"
        assert "CA" not in str(told["limit_breach"]["facts"]), "a segment may be any text"

        lake.replace_table(CONCENTRATION, Select(f"select * from {CONCENTRATION} where light = 'amber'"))
        assert checked(lake, instance)["limit_breach"].severity is dg.AssetCheckSeverity.WARN
        lake.replace_table(CONCENTRATION, Select(f"select * from {CONCENTRATION} where light = 'green'"))
        lake.replace_table(risk_mix.FAIR_LENDING, _arrow({"doctor": groups["doctor"]}, groups))
        found = checked(lake, instance)
        assert all(one.passed for one in found.values())
        assert "not measurable" in str(found["fair_lending_measured"].metadata["verdict"].value)
        alerts.look(instance, cursor, desk, "http://dagster")
        assert desk.book.open_incidents() == []


def _arrow(rows: dict[str, Row], shape: dict[str, Row] | None = None) -> pa.Table:
    schema = pa.Table.from_pylist(list((shape or rows).values())).schema
    return pa.Table.from_pylist(list(rows.values()), schema)


def _rows(book: DbtBook, sql: str) -> list[Row]:
    return list(book.warehouse.query(sql).to_pylist())


def _sum(book: DbtBook, table: str, where: str, by: str = "'all'") -> list[Row]:
    counts = ", ".join(
        f"sum({name}) as {name}" for name in ("applications", "decisions", "booked", "amount", "with_fraud_signal")
    )
    weighed = "sum(mean_pd * decisions) / nullif(sum(decisions), 0) as mean_pd"
    return _rows(book, f"select {by} as {by.strip(chr(39))}, {counts}, {weighed} from {table} where {where} group by 1")
