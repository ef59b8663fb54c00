"""One score for portfolio, stream, API and replay: the same row gives the same bits, whoever asks."""

from __future__ import annotations

from datetime import date
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_risk_platform.domain.bundle import BundleError, ModelBundle
from credit_risk_platform.domain.calibration import fit_calibrator
from credit_risk_platform.domain.models import base
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.scoring import SCORE_SCHEMA, Bands, ScoringError, points, score, score_inputs
from tests.loan_sample import FEATURES, MODELS, loans, trained

AS_OF = date(2026, 6, 30)
NAMES = ("Very Low", "Low", "Medium", "High", "Very High")
BANDS = Bands("2026-01", (0.0, 0.02, 0.05, 0.10, 0.20, 1.000001), NAMES)


@cache
def bundle(name: str) -> ModelBundle:
    table, y, _ = loans()
    model = trained(name)
    calibrator = fit_calibrator(model.predict(FeatureTable.from_arrow(table, FEATURES)), y)
    return ModelBundle(name, model, calibrator, FEATURES, "select 1", "fingerprint", "2026-01", 11)


@cache
def scored(name: str) -> pa.Table:
    return score(bundle(name), loans()[0], AS_OF, BANDS)


def band_rows(*versions: tuple[str, date, list[float]]) -> pa.Table:
    rows = [
        {"policy_version": version, "effective_from": start, "band_order": k + 1, "band": NAMES[k],
         "pd_lower": edges[k], "pd_upper": edges[k + 1]}
        for version, start, edges in versions
        for k in range(len(edges) - 1)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows[::-1])


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_a_score_does_not_depend_on_the_batch_it_came_in(name, data):
    picked = np.array(data.draw(st.lists(st.integers(0, 2_999), min_size=1, max_size=70)))
    cuts = sorted(data.draw(st.lists(st.integers(0, picked.size), max_size=3)))
    table = loans()[0].take(picked)
    parts = [table.slice(a, b - a) for a, b in zip([0, *cuts], [*cuts, picked.size], strict=True)]
    alone = pa.concat_tables([score(bundle(name), part, AS_OF, BANDS) for part in parts])
    assert alone.equals(scored(name).take(picked))


@pytest.mark.parametrize("name", MODELS)
def test_neither_block_size_nor_one_row_at_a_time_changes_a_bit(name, monkeypatch):
    expected = scored(name)["pd"].to_numpy()[:300]
    table = loans()[0].slice(0, 300)
    for size in (1, 7, 256):
        monkeypatch.setattr(base, "PREDICT_ROWS", size)
        assert score(bundle(name), table, AS_OF, BANDS)["pd"].to_numpy().tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(0, 2_999), min_size=1, max_size=50))
def test_fifty_replays_from_stored_inputs_equal_the_ledger_to_the_last_bit(name, picked):
    stored = scored(name).take(picked)
    opened = ModelBundle.from_bytes(bundle(name).to_bytes(), stored["bundle_sha"][0].as_py())
    again = score_inputs(opened, stored["numeric_inputs"].combine_chunks(), stored["categorical_inputs"])
    assert again.tobytes() == stored["pd"].to_numpy().tobytes()
    assert points(again).tobytes() == stored["points"].to_numpy().tobytes()
    assert BANDS.of(again).equals(stored["band"].combine_chunks())


def test_every_column_of_a_score_row():
    rows = scored("logistic_regression")
    assert rows.schema == SCORE_SCHEMA
    first = rows.slice(0, 1).to_pylist()[0]
    made = bundle("logistic_regression")
    assert first["loan_id"] == "L000000"
    assert first["subject_token"] == "S000000"
    assert first["as_of"] == AS_OF
    assert first["policy_version"] == "2026-01"
    assert first["model_name"] == "logistic_regression"
    assert first["bundle_sha"] == made.sha256
    assert first["feature_sql_hash"] == made.feature_sql_hash
    assert len(first["numeric_inputs"]) == 8
    assert len(first["categorical_inputs"]) == 2
    assert rows["pd"].null_count == 0
    assert set(rows["band"].to_pylist()) <= set(NAMES)


def test_points_of_known_odds():
    assert points(np.array([0.02]))[0] == pytest.approx(599.417073, abs=1e-6)
    assert points(np.array([1 / 51, 1 / 101])).tolist() == pytest.approx([600.0, 620.0], abs=1e-9)


@settings(deadline=None)
@given(st.lists(st.floats(1e-6, 1 - 1e-6), min_size=2, max_size=20))
def test_more_risk_never_means_more_points_nor_a_better_band(pds):
    rising = np.sort(np.array(pds))
    assert (np.diff(points(rising)) <= 0).all()
    assert (np.diff(BANDS.indices(rising)) >= 0).all()


def test_a_band_includes_its_lower_edge_and_not_its_upper():
    pd = np.array([1e-6, np.nextafter(0.02, 0), 0.02, 0.05, 0.1999999, 0.2, 1 - 1e-6])
    assert BANDS.of(pd).to_pylist() == ["Very Low", "Very Low", "Low", "Medium", "High", "Very High", "Very High"]


def test_a_changed_edge_is_a_new_policy_version_and_old_dates_keep_the_old_one():
    rows = band_rows(
        ("2024-01", date(2024, 1, 1), [0, 0.03, 0.06, 0.12, 0.25, 1.000001]),
        ("2026-01", date(2026, 1, 1), list(BANDS.edges)),
    )
    assert Bands.from_rows(rows, date(2025, 12, 31)).policy_version == "2024-01"
    assert Bands.from_rows(rows, date(2026, 1, 1)) == BANDS
    with pytest.raises(ScoringError, match="no risk bands in force on 2023-12-31"):
        Bands.from_rows(rows, date(2023, 12, 31))


@pytest.mark.parametrize(
    ("edges", "names", "complaint"),
    [
        ((0.0, 0.5, 1.0), ("a", "b"), "cover PDs from 0 to 1"),
        ((0.1, 0.5, 1.1), ("a", "b"), "cover PDs from 0 to 1"),
        ((0.0, 0.5, 0.5, 1.1), ("a", "b", "c"), "edges must rise"),
        ((0.0, 1.1), ("a", "b"), "one edge more than bands"),
        ((1.1,), (), "one edge more than bands"),
    ],
)
def test_bands_that_leave_a_pd_without_a_name_are_refused(edges, names, complaint):
    with pytest.raises(ScoringError, match=complaint):
        Bands("v", edges, names)


def test_a_gap_between_bands_and_two_versions_on_one_day_are_refused():
    day = date(2026, 1, 1)
    rows = band_rows(("v", day, [0, 0.02, 0.05, 1.000001])).to_pylist()
    rows[0]["pd_lower"] = 0.06
    with pytest.raises(ScoringError, match="gap or overlap between bands Low and Medium"):
        Bands.from_rows(pa.Table.from_pylist(rows), day)
    with pytest.raises(ScoringError, match="two policy versions start on 2026-01-01: v, w"):
        Bands.from_rows(band_rows(("v", day, [0, 0.02, 1.000001]), ("w", day, [0, 0.05, 1.000001])), day)


@pytest.mark.parametrize("name", MODELS)
def test_unknown_values_and_new_categories_are_scored_not_lost(name):
    table = loans()[0].slice(0, 2)
    unknown = table
    for feature in FEATURES:
        place = table.schema.get_field_index(feature.name)
        kind = table.schema.field(place).type
        unknown = unknown.set_column(place, feature.name, pa.nulls(2, kind))
    new = table.set_column(table.schema.get_field_index("purpose"), "purpose", pa.array(["moon trip", "mars trip"]))
    for rows in (score(bundle(name), unknown, AS_OF, BANDS), score(bundle(name), new, AS_OF, BANDS)):
        pd = rows["pd"].to_numpy()
        assert ((pd > 0) & (pd < 1)).all()
    unknown_pd = score(bundle(name), unknown, AS_OF, BANDS)["pd"].to_numpy()
    assert unknown_pd[0] == unknown_pd[1]


def test_missing_features_and_missing_names_are_typed_errors():
    table = loans()[0].slice(0, 5)
    with pytest.raises(BundleError, match=r"missing \[dti\]"):
        score(bundle("logistic_regression"), table.drop_columns(["dti"]), AS_OF, BANDS)
    with pytest.raises(ScoringError, match="column subject_token is missing"):
        score(bundle("logistic_regression"), table.drop_columns(["subject_token"]), AS_OF, BANDS)


@pytest.mark.parametrize("name", MODELS)
def test_no_rows_give_no_scores_with_the_same_columns(name):
    empty = score(bundle(name), loans()[0].slice(0, 0), AS_OF, BANDS)
    assert (empty.num_rows, empty.schema) == (0, SCORE_SCHEMA)
