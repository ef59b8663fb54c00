"""The synthetic book: is it a credit portfolio a bank would recognise, and does its arithmetic hold to the cent?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_risk_platform.domain.synthetic.economy import economy, stress_over
from credit_risk_platform.domain.synthetic.layout import cents
from credit_risk_platform.domain.synthetic.offers import installment_cents, schedule_cents
from credit_risk_platform.domain.synthetic.portfolio import BLOCK_LOANS, portfolio
from credit_risk_platform.domain.synthetic.sampling import stratified_rows

AS_OF = date(2026, 6, 30)
GRACE_MONTHS = 5
Query = Callable[[str], pd.DataFrame]


@dataclass(frozen=True)
class Book:
    loans: pa.Table
    repayments: pa.Table


def make_book(loans: int, seed: int, as_of: date = AS_OF) -> Book:
    blocks = list(portfolio(loans, seed, as_of))
    panels = [block.repayments for block in blocks if block.repayments is not None]
    return Book(pa.concat_tables([block.loans for block in blocks]), pa.concat_tables(panels))


def ask(book: Book) -> Query:
    """SQL over the two tables, with the file's text columns turned into values (`b`: loans, `r`: repayments)."""
    connection = duckdb.connect()
    connection.register("loans", book.loans)
    connection.register("r", book.repayments)
    connection.execute("""
        create view b as select
            * exclude (term, int_rate, revol_util, issue_d),
            id as loan_id,
            cast(regexp_extract(term, '[0-9]+') as integer) as term,
            cast(rtrim(int_rate, '%') as double) as int_rate,
            cast(rtrim(revol_util, '%') as double) as revol_util,
            cast(strptime(issue_d, '%b-%Y') as date) as issue_month,
            datediff('month', strptime(issue_d, '%b-%Y'), date '2026-06-01') as age_months
        from loans
    """)
    return lambda sql: connection.execute(sql).df()


@pytest.fixture(scope="module")
def book() -> Book:
    return make_book(60_000, 7)


@pytest.fixture(scope="module")
def query(book: Book) -> Query:
    return ask(book)


def only(frame: pd.DataFrame) -> float:
    return float(frame.iloc[0, 0])


# ------------------------------------------------------------------------------------------- the book as a whole


@pytest.mark.parametrize("seed", [1, 7])
def test_matured_loans_default_as_often_as_an_unsecured_retail_book(seed: int) -> None:
    matured = f"select avg((default_date is not null)::int) from b where age_months >= term + {GRACE_MONTHS}"
    assert 0.08 <= only(ask(make_book(40_000, seed))(matured)) <= 0.12


def test_a_third_of_the_book_is_open_so_that_there_is_something_to_score(query: Query) -> None:
    assert 0.28 <= only(query("select avg((closed_date is null)::int) from b")) <= 0.38


def test_no_vintage_year_drifts_out_of_a_plausible_range(query: Query) -> None:
    rates = query(f"""
        select avg((default_date is not null)::int) as rate from b
        where age_months >= term + {GRACE_MONTHS} group by year(issue_month) having count(*) > 500
    """)
    assert rates["rate"].between(0.06, 0.14).all()
    assert len(rates) == 7


def application_matrix(query: Query) -> pd.DataFrame:
    """What an applicant or a bureau said on the day: no offer, no outcome."""
    raw = query(f"""
        select default_date is not null as bad, issue_month,
            ln(loan_amnt) as amount, term, ln(annual_inc) as income, ln(loan_amnt / annual_inc) as burden, dti,
            delinq_2yrs, fico_range_low, inq_last_6mths, coalesce(mths_since_last_delinq, 120) as since_late, pub_rec,
            coalesce(revol_util, 0) as used, acc_open_past_24mths as opened, job_changes_5y as jobs,
            coalesce(txn_nsf_count_90d, 0) as bounced, coalesce(txn_income_regularity_90d, 0.85) as regular,
            datediff('month', strptime(earliest_cr_line, '%b-%Y'), issue_month) as history,
            home_ownership, employment_type, purpose, emp_length
        from b where age_months >= term + {GRACE_MONTHS} order by issue_month, loan_id
    """)
    return pd.get_dummies(raw, columns=["home_ownership", "employment_type", "purpose", "emp_length"], dtype=float)


def test_a_model_can_learn_the_book_but_not_too_well_out_of_time(query: Query) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = application_matrix(query)
    inputs, bad = rows.drop(columns=["bad", "issue_month"]), rows["bad"]
    cut = rows["issue_month"].iloc[int(0.75 * len(rows))]
    past = rows["issue_month"] < cut
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(inputs[past], bad[past])
    assert 0.70 <= roc_auc_score(bad[~past], model.predict_proba(inputs[~past])[:, 1]) <= 0.78


def test_not_even_the_law_of_default_itself_ranks_better_than_an_honest_model_may() -> None:
    from sklearn.metrics import roc_auc_score

    from credit_risk_platform.domain.synthetic.applicants import draw_applicants
    from credit_risk_platform.domain.synthetic.offers import LAST_VINTAGE, draw_requests
    from credit_risk_platform.domain.synthetic.risk import default_probability, visible_risk

    rng = np.random.default_rng(5)
    columns = draw_applicants(rng, 100_000)
    columns |= draw_requests(rng, columns, LAST_VINTAGE)
    visible = visible_risk(columns)
    bad = rng.random(100_000) < default_probability(rng, visible, columns)
    assert 0.72 <= roc_auc_score(bad, visible) <= 0.80


def test_worse_grades_default_more_often(query: Query) -> None:
    rates = query(f"""
        select avg((default_date is not null)::int) as rate from b
        where age_months >= term + {GRACE_MONTHS} group by grade order by grade
    """)["rate"]
    assert rates.is_monotonic_increasing
    assert len(rates) == 7


# ---------------------------------------------------------------------------------------------- one application


def test_published_ratios_agree_with_the_columns_they_are_made_of(query: Query) -> None:
    wrong = query("""
        select count(*) from b where
            abs(dti - 100 * monthly_debt_service / (annual_inc / 12.0)) > 0.0051
            or abs(revol_util - 100.0 * revol_bal / nullif(revolving_limit, 0)) > 0.0501
            or (revolving_limit = 0) <> (revol_util is null)
            or total_rev_hi_lim <> revolving_limit or fico_range_high <> fico_range_low + 4
    """)
    assert only(wrong) == 0


def test_bureau_counts_never_contradict_each_other(query: Query) -> None:
    wrong = query("""
        select count(*) from b where
            (delinq_2yrs > 0) <> coalesce(mths_since_last_delinq <= 24, false)
            or (pub_rec > 0) <> (mths_since_last_record is not null)
            or pub_rec_bankruptcies + tax_liens > pub_rec or open_acc > total_acc or open_acc < 1
            or acc_open_past_24mths > total_acc or acc_now_delinq > delinq_2yrs
            or (delinq_amnt > 0) <> (acc_now_delinq > 0)
    """)
    assert only(wrong) == 0


def test_nothing_is_dated_after_the_decision_or_before_adulthood(query: Query) -> None:
    wrong = query("""
        select count(*) from b where
            date_trunc('month', application_date) <> issue_month or account_open_date >= application_date
            or strptime(earliest_cr_line, '%b-%Y') >= issue_month
            or datediff('month', strptime(earliest_cr_line, '%b-%Y'), issue_month) > (age - 17) * 12
            or datediff('day', account_open_date, application_date) > (age - 17) * 366 or age not between 21 and 78
    """)
    assert only(wrong) == 0


def test_only_a_minority_is_secured_and_bank_data_is_not_there_for_all(query: Query) -> None:
    shares = query("select avg((collateral_value is not null)::int), avg((income_cv_12m is not null)::int) from b")
    secured, linked = shares.iloc[0]
    assert 0.03 <= secured <= 0.15
    assert 0.6 <= linked <= 0.8


def test_restricted_attributes_hold_no_direct_effect_on_default() -> None:
    from inspect import getsource

    from credit_risk_platform.domain.synthetic import risk

    for name in ("age", "education", "family_size", "addr_state"):
        assert f'"{name}"' not in getsource(risk)


# -------------------------------------------------------------------------------------------- money and schedule


def test_installment_is_the_published_annuity() -> None:
    amounts, rates, terms = np.array([5_000, 2_500, 1_200]), np.array([10.65, 15.27, 12.0]), np.array([36, 60, 12])
    assert installment_cents(amounts, rates, terms).tolist() == [16_287, 5_983, 10_662]


def test_schedule_splits_each_instalment_as_by_hand_and_the_last_one_clears_the_cents() -> None:
    principal, interest = schedule_cents(np.array([1_200]), np.array([12.0]), np.array([12]))
    assert principal[:2, 0].tolist() == [9_462, 9_557]  # 106.62 - 12.00, then 106.62 - 1 % of 1,105.38
    assert interest[:2, 0].tolist() == [1_200, 1_105]
    assert principal.sum() == 120_000
    assert (principal[11, 0], interest[11, 0]) == (10_554, 106)
    assert principal[12:].sum() == interest[12:].sum() == 0


@settings(max_examples=60, deadline=None)
@given(
    amount=st.integers(1_000, 40_000),
    rate=st.integers(100, 3_500).map(lambda hundredths: hundredths / 100),
    term=st.sampled_from([12, 24, 36]),
)
def test_no_schedule_loses_or_invents_a_cent(amount: int, rate: float, term: int) -> None:
    principal, interest = schedule_cents(np.array([amount]), np.array([rate]), np.array([term]))
    payment = installment_cents(np.array([amount]), np.array([rate]), np.array([term]))[0]
    assert principal.sum() == amount * 100
    assert (principal >= 0).all()
    assert ((principal + interest)[: term - 1] == payment).all()
    assert abs(int(principal[term - 1, 0] + interest[term - 1, 0]) - int(payment)) <= term


@given(st.lists(st.integers(-(10**16), 10**16), max_size=20))
def test_cents_become_decimals_without_rounding(values: list[int]) -> None:
    decimals = cents(np.array(values, np.int64)).to_pylist()
    assert [int(decimal * 100) for decimal in decimals] == values


def test_balances_roll_forward_to_the_cent_from_the_amount_lent_to_zero(query: Query) -> None:
    wrong = query("""
        with ordered as (
            select *, lag(closing_balance) over (partition by loan_id order by instalment_number) as before from r
        )
        select count(*) from ordered join b using (loan_id) where
            opening_balance - principal_paid <> closing_balance or opening_balance <> coalesce(before, loan_amnt)
            or amount_due <> principal_due + interest_due or amount_paid <> principal_paid + interest_paid
            or closing_balance < 0 or least(principal_due, interest_due, principal_paid, interest_paid) < 0
    """)
    assert only(wrong) == 0


def test_status_columns_say_what_the_panel_says(query: Query) -> None:
    wrong = query("""
        with state as (
            select loan_id, sum(principal_paid) as principal, sum(interest_paid) as interest,
                max(paid_date) as last_paid, arg_max(closing_balance, instalment_number) as balance,
                sum(amount_paid) filter (paid_date = last_day) as last_amount
            from (select *, max(paid_date) over (partition by loan_id) as last_day from r) group by loan_id
        )
        select count(*) from b left join state using (loan_id) where
            total_rec_prncp <> coalesce(principal, 0) or total_rec_int <> coalesce(interest, 0)
            or total_pymnt <> total_rec_prncp + total_rec_int + recoveries
            or out_prncp <> case when closed_date is null then coalesce(balance, loan_amnt) else 0 end
            or last_pymnt_d is distinct from strftime(last_paid, '%b-%Y')
            or last_pymnt_amnt <> coalesce(last_amount, 0)
            or (loan_status = 'Fully Paid') <> (coalesce(balance, loan_amnt) = 0)
            or (closed_date is not null) <> (loan_status in ('Fully Paid', 'Charged Off'))
            or (loan_status = 'Fully Paid' and closed_date <> last_paid)
            or (loan_status <> 'Charged Off' and recoveries > 0) or closed_date > date '2026-06-30'
            or (closed_date is not null and next_pymnt_d is not null)
    """)
    assert only(wrong) == 0


# ------------------------------------------------------------------------------------------------ how people pay


def test_the_panel_has_every_due_month_from_the_first_to_the_last(query: Query) -> None:
    wrong = query("""
        with steps as (
            select *, row_number() over (partition by loan_id order by due_date) as place from r
        )
        select count(*) from steps join b using (loan_id) where
            place <> instalment_number or place > term
            or datediff('month', issue_month, due_date) <> instalment_number or due_date >= date '2026-06-30'
    """)
    assert only(wrong) == 0
    assert only(query("select max(instalment_number) from r")) == 36


def test_a_row_is_known_the_morning_after_at_the_earliest_and_never_after_the_as_of_day(query: Query) -> None:
    wrong = query("""
        select count(*) from r where
            known_at < coalesce(paid_date, due_date) + interval 26 hour or known_at >= timestamp '2026-07-01'
            or known_at > coalesce(paid_date, due_date) + interval 6 day
    """)
    assert only(wrong) == 0


def test_payments_settle_the_oldest_instalment_first(query: Query) -> None:
    wrong = query("""
        with pairs as (
            select paid_date, lead(paid_date) over w as next_paid, lead(loan_id) over w is not null as has_next
            from r window w as (partition by loan_id order by instalment_number)
        )
        select count(*) from pairs
        where next_paid < paid_date or (has_next and paid_date is null and next_paid is not null)
    """)
    assert only(wrong) == 0


def test_default_date_is_the_first_day_with_ninety_days_past_due(query: Query) -> None:
    wrong = query("""
        with first_hit as (
            select loan_id, min(due_date + 90) as reached from r
            where coalesce(paid_date, date '2026-07-01') >= due_date + 90 and due_date + 90 <= date '2026-06-30'
            group by loan_id
        )
        select count(*) from b left join first_hit using (loan_id)
        where default_date is distinct from reached
            or datediff('month', issue_month, default_date) > term
            or (loan_status = 'Charged Off' and (default_date is null or closed_date < default_date + 30))
    """)
    assert only(wrong) == 0


def test_a_charge_off_follows_four_missed_instalments_and_ends_the_panel(query: Query) -> None:
    lost = query("""
        select count(*) filter (paid_date is null) as missed, max(due_date) <= any_value(closed_date) as ends,
            any_value(closed_date) - min(due_date) filter (paid_date is null) as days
        from r join b using (loan_id) where loan_status = 'Charged Off' group by loan_id
    """)
    assert len(lost) > 1_000
    assert lost["missed"].between(4, 5).all()
    assert lost["ends"].all()
    assert lost["days"].between(120, 149).all()


def test_arrears_of_thirty_sixty_and_ninety_days_can_be_cured(query: Query) -> None:
    cured = query("""
        select count(*) filter (paid_date - due_date between 30 and 59) as thirty,
            count(*) filter (paid_date - due_date between 60 and 89) as sixty,
            count(*) filter (paid_date - due_date between 90 and 119) as ninety,
            count(*) filter (paid_date - due_date >= 120) as beyond
        from r
    """).iloc[0]
    assert cured["thirty"] > cured["sixty"] > cured["ninety"] > 50
    assert cured["beyond"] == 0
    assert only(query("select count(*) from b where default_date is not null and loan_status = 'Fully Paid'")) > 50


def test_some_loans_are_prepaid_and_their_last_row_carries_the_whole_rest(query: Query) -> None:
    prepaid = query("""
        select amount_paid > amount_due as more, principal_paid = opening_balance as whole
        from r join b using (loan_id)
        where loan_status = 'Fully Paid' and closing_balance = 0 and instalment_number < term
    """)
    assert len(prepaid) > 5_000
    assert prepaid.to_numpy().all()


def test_days_past_due_on_the_as_of_day_decide_the_status_of_an_open_loan(query: Query) -> None:
    wrong = query("""
        with late as (
            select loan_id, date '2026-06-30' - min(due_date) as dpd from r where paid_date is null group by loan_id
        )
        select count(*) from b left join late using (loan_id) where closed_date is null and loan_status <> case
            when dpd is null then 'Current' when dpd <= 15 then 'In Grace Period'
            when dpd <= 30 then 'Late (16-30 days)'
            when dpd <= 120 then 'Late (31-120 days)' else 'Default' end
    """)
    assert only(wrong) == 0


# --------------------------------------------------------------------------------------------------------- seeds


def test_a_short_portfolio_is_the_beginning_of_a_long_one(book: Book) -> None:
    short = make_book(BLOCK_LOANS + 17, 7)
    assert short.loans.equals(book.loans.slice(0, BLOCK_LOANS + 17).combine_chunks())
    assert short.repayments.equals(book.repayments.slice(0, short.repayments.num_rows))


def test_another_seed_is_another_book() -> None:
    assert not make_book(50, 1).loans.equals(make_book(50, 2).loans)


def test_next_quarter_the_same_loans_are_older_and_their_past_is_unchanged() -> None:
    now, later = ask(make_book(5_000, 7)), ask(make_book(5_000, 7, date(2026, 9, 30)))
    columns = "loan_id, loan_amnt, application_date, dti, fico_range_low, installment"
    pd.testing.assert_frame_equal(now(f"select {columns} from b"), later(f"select {columns} from b"))
    settled = "select * from r where known_at < timestamp '2026-06-30' and paid_date is not null order by all"
    pd.testing.assert_frame_equal(now(settled), later(settled))
    assert only(later("select count(*) from r")) > only(now("select count(*) from r"))


@settings(max_examples=8, deadline=None)
@given(
    loans=st.integers(1, 300),
    seed=st.integers(0, 2**63),
    as_of=st.dates(date(2018, 1, 31), date(2027, 12, 31)),
)
def test_any_size_seed_and_day_gives_a_sound_book(loans: int, seed: int, as_of: date) -> None:
    query = ask(make_book(loans, seed, as_of))
    assert only(query("select count(distinct loan_id) from b")) == loans
    wrong = query(f"""
        select count(*) from r join b using (loan_id) where
            opening_balance - principal_paid <> closing_balance or due_date >= date '{as_of}'
            or paid_date > date '{as_of}' or application_date > date '{as_of}' or closed_date > date '{as_of}'
            or default_date > date '{as_of}' or due_date > closed_date + 3
    """)
    assert only(wrong) == 0


@pytest.mark.parametrize(
    ("loans", "seed", "as_of", "says"),
    [(0, 1, AS_OF, "at least one loan"), (5, -1, AS_OF, "seed"), (5, 1, date(2018, 1, 30), "2018-01")],
)
def test_an_impossible_order_is_refused_before_anything_is_written(
    loans: int, seed: int, as_of: date, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        portfolio(loans, seed, as_of)


# ------------------------------------------------------------------------------------------- economy and samples


def test_stress_is_the_mean_excess_unemployment_over_a_loans_life() -> None:
    rate = economy().series["UNRATE"]
    january_2019 = np.array([(2019 - 1970) * 12])
    assert stress_over(january_2019, np.array([6]))[0] == pytest.approx(rate[56:58].mean() - 4.8)
    long_after = np.array([(2030 - 1970) * 12])
    assert stress_over(long_after, np.array([12]))[0] == pytest.approx(rate[-1] - 4.8)


def test_the_invented_economy_had_two_recessions_and_no_impossible_value() -> None:
    world = economy()
    rate = dict(zip(world.quarters.astype(str).tolist(), world.series["UNRATE"].tolist(), strict=True))
    assert rate["2009-10"] > rate["2007-01"] + 3
    assert rate["2020-04"] > rate["2019-07"] + 3
    assert all(np.isfinite(values).all() and (values > 0).all() for values in world.series.values())


def strata(sizes: list[tuple[str, str, int]]) -> tuple[pa.ChunkedArray, pa.ChunkedArray, pa.ChunkedArray]:
    rows = [(vintage, outcome) for vintage, outcome, size in sizes for _ in range(size)]
    ids = [f"L{number:06d}" for number in range(len(rows))]
    return tuple(pa.chunked_array([list(column)], pa.string()) for column in (ids, *zip(*rows, strict=True)))  # type: ignore[return-value]


def test_a_sample_keeps_the_exact_share_of_each_vintage_and_outcome() -> None:
    ids, vintages, outcomes = strata([("a", "good", 450), ("a", "bad", 50), ("b", "good", 240), ("b", "bad", 260)])
    picked = stratified_rows(ids, vintages, outcomes, 100, seed=3)
    assert np.histogram(picked, [0, 450, 500, 740, 1000])[0].tolist() == [45, 5, 24, 26]


def test_the_same_loans_are_sampled_however_the_file_is_sorted() -> None:
    columns = strata([("a", "good", 70), ("a", "bad", 30), ("b", "good", 100)])
    shuffled = np.random.default_rng(0).permutation(200)
    straight = columns[0].take(stratified_rows(*columns, 40, seed=9)).to_pylist()
    mixed = tuple(column.take(shuffled) for column in columns)
    assert sorted(mixed[0].take(stratified_rows(*mixed, 40, seed=9)).to_pylist()) == straight
    assert straight != columns[0].take(stratified_rows(*columns, 40, seed=10)).to_pylist()


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from(["x", "y", None]), st.integers(1, 40)), min_size=1
    ),
    rows=st.integers(1, 200),
)
def test_a_sample_has_the_asked_size_and_no_row_twice(counts: list[tuple[str, str, int]], rows: int) -> None:
    ids, vintages, outcomes = strata(counts)
    picked = stratified_rows(ids, vintages, outcomes, rows, seed=1)
    assert len(set(picked.tolist())) == len(picked) == min(rows, len(ids))
    whole, part = pd.Series(vintages.to_pylist()), pd.Series(vintages.take(picked).to_pylist())
    drift = part.value_counts() - whole.value_counts() * len(picked) / len(ids)
    assert (drift.fillna(0).abs() <= 1).all()


def test_a_sample_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        stratified_rows(*strata([("a", "good", 3)]), 0, seed=1)
