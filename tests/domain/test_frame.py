"""What reaches a model: every value in its place, the unknown as missing, the impossible refused."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_risk_platform.domain.models.frame import FILL_ROWS, FeatureTable, FrameError, InputFeature
from tests.loan_sample import FEATURES, loans

PAIR = (InputFeature("a", "numeric"), InputFeature("c", "categorical"))
NUMBERS = st.one_of(st.none(), st.floats(allow_infinity=False, width=64))
TEXTS = st.one_of(st.none(), st.text(max_size=4))


def test_every_numeric_arrow_type_arrives_as_the_same_number():
    table = pa.table(
        {
            "double": pa.array([1.5, None]),
            "integer": pa.array([3, None], pa.int32()),
            "money": pa.array([Decimal("12.25"), None], pa.decimal128(18, 2)),
            "flag": pa.array([True, None]),
            "nothing": pa.nulls(2),
        }
    )
    frame = FeatureTable.from_arrow(table, [InputFeature(name, "numeric") for name in table.column_names])
    assert frame.numeric[0, :4].tolist() == [1.5, 3.0, 12.25, 1.0]
    assert np.isnan(frame.numeric[1]).all()
    assert np.isnan(frame.numeric[0, 4])


def test_an_absent_feature_is_named():
    with pytest.raises(FrameError, match="dti, income"):
        FeatureTable.from_arrow(loans()[0].drop_columns(["dti", "income"]), FEATURES)


def test_text_in_a_numeric_feature_is_refused_not_parsed():
    with pytest.raises(FrameError, match="feature a must be numeric, the table holds string"):
        FeatureTable.from_arrow(pa.table({"a": ["12"], "c": ["x"]}), PAIR)


def test_numbers_in_a_categorical_feature_are_refused():
    with pytest.raises(FrameError, match="feature c must be text"):
        FeatureTable.from_arrow(pa.table({"a": [1.0], "c": [3]}), PAIR)


def test_an_infinite_ratio_is_refused_with_its_feature_and_row_count():
    with pytest.raises(FrameError, match=r"infinite values in a \(2 rows\)"):
        FeatureTable.from_arrow(pa.table({"a": [1.0, np.inf, -np.inf], "c": ["x", "y", None]}), PAIR)


def test_an_unknown_kind_is_refused():
    with pytest.raises(FrameError, match="date has kind 'date'"):
        FeatureTable.from_arrow(pa.table({"date": [1]}), [InputFeature("date", "date")])


def test_rows_keep_their_order_across_chunks_and_blocks():
    rows = FILL_ROWS + 17
    numbers = np.arange(rows, dtype=np.float64)
    half = pa.table({"a": numbers[: rows // 3], "c": [str(k % 3) for k in range(rows // 3)]})
    rest = pa.table({"a": numbers[rows // 3 :], "c": [str(k % 3) for k in range(rows // 3, rows)]})
    frame = FeatureTable.from_arrow(pa.concat_tables([half, rest]), PAIR)
    assert (frame.numeric[:, 0] == numbers).all()
    column = frame.categorical[0]
    assert (np.array(column.levels)[column.codes] == (np.arange(rows) % 3).astype(str)).all()


@settings(deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS, TEXTS, TEXTS), max_size=12))
def test_stored_inputs_give_back_the_very_frame(rows):
    features = [InputFeature("a", "numeric"), InputFeature("c", "categorical"), InputFeature("b", "numeric"),
                InputFeature("d", "categorical")]  # fmt: skip
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    kinds = [pa.float64(), pa.float64(), pa.string(), pa.string()]
    arrays = [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
    frame = FeatureTable.from_arrow(pa.table(arrays, names=["a", "b", "c", "d"]), features)
    again = FeatureTable.from_inputs(frame.numeric_inputs(), frame.categorical_inputs(), features)
    assert frame.numeric.tobytes() == again.numeric.tobytes() or np.array_equal(
        frame.numeric, again.numeric, equal_nan=True
    )
    assert frame.categorical_inputs().equals(again.categorical_inputs())
    assert again.names == ("a", "b", "c", "d")


def test_missing_numbers_are_stored_as_null_so_that_sql_sees_them():
    frame = FeatureTable.from_arrow(pa.table({"a": [1.0, None], "c": ["x", None]}), PAIR)
    assert frame.numeric_inputs().to_pylist() == [[1.0], [None]]
    assert frame.categorical_inputs().to_pylist() == [["x"], [None]]


def test_inputs_stored_for_another_feature_list_are_refused():
    with pytest.raises(FrameError, match="numeric_inputs must hold 1 values"):
        FeatureTable.from_inputs(pa.array([[1.0, 2.0]]), pa.array([["x"]]), PAIR)
