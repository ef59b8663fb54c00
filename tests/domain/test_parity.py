"""The comparison behind online/offline parity: it must not be kinder than the scorer."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_risk_platform.domain.parity import differences

NAN = float("nan")


def table(values: list[object], type_: pa.DataType | None = None, name: str = "x") -> pa.Table:
    return pa.table({"id": [f"L{i}" for i in range(len(values))], name: pa.array(values, type_)})


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats())))
def test_a_table_equals_itself_whatever_it_holds(values: list[float | None]) -> None:
    assert differences(table(values, pa.float64()), table(values, pa.float64()), "id") == ()


@pytest.mark.parametrize(
    ("stored", "computed"),
    [
        ([1.0, 0.1 + 0.2], [1.0, 0.3]),
        ([1.0, 0.0], [1.0, -0.0]),
        ([1.0, None], [1.0, 0.0]),
        ([1.0, None], [1.0, NAN]),
        (["a", "b"], ["a", "B"]),
        (["a", None], ["a", ""]),
        ([True, False], [True, True]),
    ],
)
def test_the_last_bit_counts_and_missing_is_a_value_of_its_own(stored: list[object], computed: list[object]) -> None:
    (found,) = differences(table(stored), table(computed), "id")
    assert (found.column, found.rows, found.key) == ("x", 1, "L1")
    assert repr((found.stored, found.computed)) == repr((stored[1], computed[1]))


def test_another_type_differs_in_every_row_although_the_numbers_are_the_same() -> None:
    (found,) = differences(table([1, 2], pa.int32()), table([1, 2], pa.float64()), "id")
    assert found.rows == 2


def test_a_column_only_one_side_has_is_named_from_either_side() -> None:
    both = differences(table([1.0]), table([1.0], name="y"), "id")
    assert [(one.column, one.stored, one.computed) for one in both] == [
        ("x", 1.0, "no such column"),
        ("y", "no such column", 1.0),
    ]


def test_rows_in_another_order_are_an_error_and_not_a_difference() -> None:
    left = table([1.0, 2.0])
    with pytest.raises(ValueError, match="another order"):
        differences(left, left.take([1, 0]), "id")
