"""One lake through its life: built, built again, landed anew, brought up to date, built from nothing, spoilt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from credit_risk_platform.adapters import decisions, outside_tables
from tests.dbt_book import DbtBook, Row, instalments, loan, macro

ISSUED = date(2021, 12, 1)
ON_TIME = [date(2022, month, 9) for month in range(1, 7)]
UNEMPLOYMENT = macro(
    (date(2021, 10, 1), date(2021, 11, 5), 4.6),
    (date(2021, 11, 1), date(2021, 12, 3), 4.2),
    (date(2021, 11, 1), date(2022, 3, 1), 9.9),
)
LOANS = [
    loan("repaid", ISSUED, loan_status="Fully Paid", closed_date=date(2022, 6, 9)),
    loan("behind", ISSUED),
    loan("lost", ISSUED, loan_status="Charged Off", closed_date=date(2022, 6, 20), default_date=date(2022, 5, 11)),
    loan("young", date(2023, 4, 1)),
]
REPAYMENTS = [
    *instalments("repaid", ISSUED, ON_TIME),
    *instalments("behind", ISSUED, [date(2022, 1, 9), None, None]),
    *instalments("lost", ISSUED, [date(2022, 1, 9), None, None, None, None]),
    *instalments("young", date(2023, 4, 1), [date(2023, 5, 10)]),
]
TABLES = (
    "silver.int_loan_month_panel", "silver.int_macro_published", "gold.application_features",
    "gold.behaviour_features", "gold.loan_outcomes", "gold.vintage_curves", "gold.risk_bands",
    "gold.early_warnings", "gold.risk_segments", "gold.watchlist", "gold.kpi_summary", "gold.portfolio_warnings",
)  # fmt: skip

BEFORE_SCORING = ("--exclude", "tag:after_scoring")

SPOILT = ("stg_synthetic__loans", "stg_synthetic__repayments", "int_applications")
"""Views over bronze: they show a new file at once, so their checks need no build."""

LATER_LOANS = [
    LOANS[0],
    loan("behind", ISSUED, _batch="second"),
    loan("young", date(2023, 4, 1)),
    loan("new", ISSUED, _batch="second"),
]
LATER_REPAYMENTS = [
    *instalments("repaid", ISSUED, ON_TIME),
    # the February instalment, paid on its day, is learnt of in March
    *instalments("behind", ISSUED, [date(2022, 1, 9), (date(2022, 2, 10), date(2022, 3, 2)), None], _batch="second"),
    *instalments("young", date(2023, 4, 1), [date(2023, 5, 10)]),
    *instalments("new", ISSUED, ON_TIME[:2], _batch="second"),
]
BAD_LOANS = [
    loan("percent", ISSUED, int_rate=0.12),
    loan("negative", ISSUED, int_rate=0.12, annual_inc=-5),
    loan("too high", ISSUED, int_rate=0.12, revol_util=5_000),
    loan("person", ISSUED, int_rate=0.12, purpose="ask jane.doe@example.com"),
    *[loan("twice", ISSUED, int_rate=0.12)] * 2,
]
BAD_REPAYMENTS = [
    *instalments("percent", ISSUED, [None], closing_balance=599.5),
    *instalments("nobody's", ISSUED, [None]),
]


@dataclass(frozen=True)
class Story:
    """One lake through its life: built, built again, landed anew, brought up to date, built from nothing, spoilt."""

    statuses: dict[str, str]
    built: dict[str, list[Row]]
    again: dict[str, list[Row]]
    incremental: dict[str, list[Row]]
    rebuilt_loans: set[str]
    from_nothing: dict[str, list[Row]]
    spoilt: dict[str, str]
    out_of_range: list[Row]
    feature_sql: str
    application_columns: dict[str, str]
    macro_columns: dict[str, str]
    columns: dict[str, list[str]]


def tell(root: Path) -> Story:
    """Live through it on a lake below `root`: five dbt processes, some thirty seconds of computing."""
    book = DbtBook.new(root)
    book.land(LOANS, REPAYMENTS, UNEMPLOYMENT)
    statuses = book.dbt("build")
    built = _tables(book)
    book.dbt("run", *BEFORE_SCORING)
    again = _tables(book)
    book.land(LATER_LOANS, LATER_REPAYMENTS, UNEMPLOYMENT)
    before = int(book.warehouse.snapshot()) + 1
    book.dbt("run", *BEFORE_SCORING)
    written = book.warehouse.query(
        "select distinct loan_id from ducklake_table_insertions('lake', 'silver', 'int_loan_month_panel', "
        f"{before}::bigint, {book.warehouse.snapshot()}::bigint)"
    )
    incremental = _tables(book)
    book.dbt("run", "--full-refresh", *BEFORE_SCORING)
    from_nothing, feature_sql = _tables(book), book.compiled("application_features")
    book.land(BAD_LOANS, BAD_REPAYMENTS, UNEMPLOYMENT)
    spoilt = book.dbt(
        "test", "--select", *SPOILT, "--exclude", "test_type:unit", "--indirect-selection", "cautious", succeeds=False
    )
    failing = book.warehouse.query(book.compiled("accepted_range__int_applications")).to_pylist()
    rebuilt = set(written["loan_id"].to_pylist())
    inputs = [book.warehouse.columns(table) for table in ("silver.int_applications", "silver.int_macro_published")]
    columns = _columns(book)
    book.warehouse.close()
    return Story(
        statuses, built, again, incremental, rebuilt, from_nothing, spoilt, failing, feature_sql, *inputs, columns
    )


def _tables(book: DbtBook) -> dict[str, list[Row]]:
    return {table: book.rows(table) for table in TABLES}


def _columns(book: DbtBook) -> dict[str, list[str]]:
    found = book.warehouse.query(
        "select table_name, list(column_name order by column_index) as columns from duckdb_columns() "
        "where database_name = 'lake' and schema_name in ('silver', 'gold') group by table_name"
    )
    columns = dict(zip(found["table_name"].to_pylist(), found["columns"].to_pylist(), strict=True))
    outside = {table.split(".")[1] for table in (*outside_tables.columns(), decisions.QUEUE)}
    return {table: names for table, names in columns.items() if table not in outside}
