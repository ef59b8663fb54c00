"""Are two computations of the same rows equal to the last bit? Pure comparison of Arrow tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class Difference:
    """One column on which two computations disagree, with the first row that shows it."""

    column: str
    rows: int
    key: Any
    stored: Any
    computed: Any


def differences(stored: pa.Table, computed: pa.Table, key: str) -> tuple[Difference, ...]:
    """Columns that differ in any row, in `stored`'s column order. Both tables hold the same keys in the same order.

    Doubles are compared as bits: -0.0 differs from 0.0, and NaN equals NaN. A column only one side has differs in
    every row. Raises `ValueError` when the keys differ.
    """
    if stored[key].to_pylist() != computed[key].to_pylist():
        raise ValueError(f"the two sides hold different {key} values, or in another order")
    names = [*stored.column_names, *(name for name in computed.column_names if name not in stored.column_names)]
    found = (_difference(name, stored, computed, key) for name in names if name != key)
    return tuple(difference for difference in found if difference is not None)


def _difference(name: str, stored: pa.Table, computed: pa.Table, key: str) -> Difference | None:
    left, right = (table[name] if name in table.column_names else None for table in (stored, computed))
    if left is None or right is None or left.type != right.type:
        row, count = 0, stored.num_rows
    else:
        unequal = np.flatnonzero(_unequal(left, right))
        if not len(unequal):
            return None
        row, count = int(unequal[0]), len(unequal)
    return Difference(name, count, _shown(stored[key], row), _shown(left, row), _shown(right, row))


def _unequal(left: pa.ChunkedArray, right: pa.ChunkedArray) -> np.ndarray:
    """One truth value per row."""
    null = np.asarray(left.is_null()) != np.asarray(right.is_null())
    if pa.types.is_floating(left.type):
        return np.asarray(null | (_bits(left) != _bits(right)))
    return null | np.asarray(pc.fill_null(pc.not_equal(left, right), fill_value=False))


def _bits(values: pa.ChunkedArray) -> np.ndarray:
    doubles = np.asarray(pc.fill_null(values.cast(pa.float64()), 0.0), dtype=np.float64)
    return np.where(np.isnan(doubles), np.nan, doubles).view(np.int64)


def _shown(values: pa.ChunkedArray | None, row: int) -> Any:
    return values[row].as_py() if values is not None and len(values) > row else "no such column"
