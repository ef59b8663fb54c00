"""PSI on bins fixed at development: the same yardstick every month, and no alarm from eighty rows."""

from __future__ import annotations

import json

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_risk_platform.domain.drift import ENOUGH_ROWS, Bins, Verdict, psi, quantile_edges, verdict

RNG = np.random.default_rng(0)
INCOME = pa.array(RNG.lognormal(11, 0.5, 5_000), mask=RNG.random(5_000) < 0.05)
FLAG = pa.array((RNG.random(5_000) < 0.04).astype(float))
PURPOSE = pa.array(RNG.choice(["car", "house", "wedding"], 5_000, p=[0.5, 0.3, 0.2]), mask=RNG.random(5_000) < 0.1)


def test_the_golden_value_of_the_feature_map():
    assert psi(np.array([0.25, 0.25, 0.25, 0.25]), np.array([0.4, 0.3, 0.2, 0.1])) == pytest.approx(0.228217, abs=1e-6)


def test_an_empty_bin_counts_as_one_in_ten_thousand():
    assert psi(np.array([0.5, 0.5]), np.array([1.0, 0.0])) == pytest.approx(
        0.5 * np.log(2) + (1e-4 - 0.5) * np.log(1e-4 / 0.5)
    )


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=12), st.lists(st.floats(0, 1), min_size=12, max_size=12))
def test_psi_is_symmetric_never_negative_and_zero_for_equals(first, second):
    a, b = np.array(first), np.array(second[: len(first)])
    assert psi(a, b) == pytest.approx(psi(b, a))
    assert psi(a, b) >= 0
    assert psi(a, a) == 0


@pytest.mark.parametrize(
    ("value", "said"), [(0.0999, "stable"), (0.1, "moderate"), (0.25, "moderate"), (0.2501, "significant")]
)
def test_verdicts_at_their_edges(value, said):
    assert verdict(value) == said


@pytest.mark.parametrize("values", [INCOME, FLAG, PURPOSE], ids=["income", "flag", "purpose"])
def test_the_same_sample_has_not_drifted_and_every_row_is_counted(values):
    bins = Bins.fit("x", values)
    found = bins.compare(bins.count(values))
    assert found.psi == pytest.approx(0.0, abs=1e-12)
    assert found.verdict is Verdict.STABLE
    assert sum(bins.counts) == len(values)
    assert len(bins.labels) == len(bins.counts)
    assert bins.counts[-1] == values.null_count


def test_ten_bins_of_equal_size_for_a_smooth_number():
    bins = Bins.fit("income", INCOME)
    assert len(bins.edges) == 9
    assert max(bins.counts[:-1]) - min(bins.counts[:-1]) <= 1


def test_a_rare_flag_that_becomes_common_is_seen():
    bins = Bins.fit("flag", FLAG)
    common = pa.array((np.arange(5_000) < 1_500).astype(float))
    assert bins.compare(bins.count(common)).verdict is Verdict.SIGNIFICANT


def test_a_flag_that_is_nearly_always_one_and_falls_is_seen():
    bins = Bins.fit("flag", pa.array((np.arange(5_000) >= 200).astype(float)))
    assert bins.compare(bins.count(pa.array((np.arange(5_000) >= 2_000).astype(float)))).verdict is Verdict.SIGNIFICANT


def test_a_feature_that_goes_missing_is_seen():
    bins = Bins.fit("income", INCOME)
    holes = pa.array(INCOME.to_numpy(zero_copy_only=False), mask=np.arange(5_000) % 2 == 0)
    assert bins.compare(bins.count(holes)).verdict is Verdict.SIGNIFICANT


def test_a_new_category_lands_in_other():
    bins = Bins.fit("purpose", PURPOSE)
    assert bins.labels == ("car", "house", "wedding", "other", "missing")
    assert bins.count(pa.array(["car", "boat", None, "boat"])).tolist() == [1, 0, 0, 2, 1]


def test_a_few_rows_are_not_enough_data_rather_than_red():
    bins = Bins.fit("income", INCOME)
    few = pa.array(np.full(ENOUGH_ROWS - 1, 1e9))
    found = bins.compare(bins.count(few))
    assert (found.psi, found.verdict, found.actual_rows) == (None, Verdict.NOT_ENOUGH_DATA, 499)
    assert bins.compare(bins.count(pa.array(np.full(ENOUGH_ROWS, 1e9)))).verdict is Verdict.SIGNIFICANT


def test_a_feature_without_a_single_value_has_one_bin():
    bins = Bins.fit("ltv", pa.nulls(1_000, pa.float64()))
    assert bins.counts == (0, 1_000)
    assert bins.labels == ("any", "missing")


@pytest.mark.parametrize("values", [INCOME, FLAG, PURPOSE], ids=["income", "flag", "purpose"])
def test_bins_survive_json(values):
    bins = Bins.fit("x", values)
    assert Bins.from_dict(json.loads(json.dumps(bins.to_dict()))) == bins


def test_sql_over_the_whole_book_counts_what_the_bins_count():
    bins = Bins.fit("income", INCOME)
    book = pa.table({"income": INCOME})
    found = dict(
        duckdb.connect().execute(
            "select case when income is null then len($edges) + 1 "
            "else len(list_filter($edges, lambda e: e < income)) end as bin, count(*) from book group by 1",
            {"edges": list(bins.edges)},
        ).fetchall()
    )  # fmt: skip
    assert book.num_rows == sum(found.values())
    assert tuple(found.get(k, 0) for k in range(len(bins.counts))) == bins.counts


@settings(deadline=None)
@given(st.lists(st.one_of(st.integers(-3, 3).map(float), st.floats(-1e6, 1e6)), min_size=1, max_size=80))
def test_edges_rise_and_are_at_most_nine(values):
    edges = quantile_edges(np.array(values))
    assert 1 <= edges.size <= 9
    assert (np.diff(edges) > 0).all()
