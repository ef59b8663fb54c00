"""What a model sees: numbers in one matrix, categories as codes, straight from Arrow without pandas.

Belongs here: turning Arrow columns, or the inputs stored with a score, into a `FeatureTable`. Does not: imputation,
encoding or scaling, which are fitted in training and live in `preprocessing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NUMERIC = "numeric"
CATEGORICAL = "categorical"
MISSING_CODE = -1
FILL_ROWS = 65_536


class FrameError(ValueError):
    """Inputs that no model may read: an absent feature, a wrong type, an infinite number. The message says which."""


class FeatureLike(Protocol):
    """What of the registry's `Feature` a model needs to know."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> Any: ...
    @property
    def monotone(self) -> int: ...


@dataclass(frozen=True)
class InputFeature:
    """The same, as a bundle stores it. `monotone` is the expected direction of the PD: -1, 0 or 1."""

    name: str
    kind: str
    monotone: int = 0

    @classmethod
    def of(cls, feature: FeatureLike) -> InputFeature:
        return cls(feature.name, str(feature.kind), int(feature.monotone))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Category:
    """One categorical column: `codes` int32 (n,) point into `levels`; -1 is missing."""

    codes: np.ndarray
    levels: tuple[str, ...]


@dataclass(frozen=True)
class FeatureTable:
    """`numeric` is float64 (n, p), row-major, NaN = missing; `categorical` holds k columns of n codes."""

    numeric: np.ndarray
    numeric_names: tuple[str, ...]
    categorical: tuple[Category, ...]
    categorical_names: tuple[str, ...]
    monotone: tuple[int, ...]

    @classmethod
    def from_arrow(cls, table: pa.Table, features: Sequence[FeatureLike]) -> FeatureTable:
        """Read `features` in their order; other columns of `table` are ignored. Nulls and NaN become missing.

        Raises `FrameError` for an absent feature, a column of the wrong type or an infinite value.
        """
        present = set(table.column_names)
        missing = [feature.name for feature in features if feature.name not in present]
        if missing:
            raise FrameError(f"features missing from the table: {', '.join(missing)}")
        numbers, categories = by_kind(features)
        return cls(
            numeric=_numeric_matrix(table, [feature.name for feature in numbers]),
            numeric_names=tuple(feature.name for feature in numbers),
            categorical=tuple(_category(table.column(feature.name), feature.name) for feature in categories),
            categorical_names=tuple(feature.name for feature in categories),
            monotone=tuple(int(feature.monotone) for feature in numbers),
        )

    @classmethod
    def from_inputs(cls, numeric: pa.Array, categorical: pa.Array, features: Sequence[FeatureLike]) -> FeatureTable:
        """The table back from stored inputs: `numeric` LIST<DOUBLE>, `categorical` LIST<VARCHAR>, one entry per row."""
        numbers, categories = by_kind(features)
        rows = len(numeric)
        values = _flat(numeric, len(numbers), pa.float64(), "numeric_inputs")
        matrix = values.to_numpy(zero_copy_only=False).reshape(rows, len(numbers))
        texts = _category(_flat(categorical, len(categories), pa.string(), "categorical_inputs"), "categorical_inputs")
        codes = texts.codes.reshape(rows, len(categories))
        return cls(
            numeric=matrix,
            numeric_names=tuple(feature.name for feature in numbers),
            categorical=tuple(Category(codes[:, k].copy(), texts.levels) for k in range(len(categories))),
            categorical_names=tuple(feature.name for feature in categories),
            monotone=tuple(int(feature.monotone) for feature in numbers),
        )

    @property
    def rows(self) -> int:
        return int(self.numeric.shape[0])

    @property
    def names(self) -> tuple[str, ...]:
        return self.numeric_names + self.categorical_names

    def missing(self, name: str) -> np.ndarray:
        """Which rows have no value of a feature, bool (n,)."""
        if name in self.numeric_names:
            return np.isnan(self.numeric[:, self.numeric_names.index(name)])
        return self.categorical[self.categorical_names.index(name)].codes == MISSING_CODE

    def take(self, rows: np.ndarray | slice) -> FeatureTable:
        """The same columns for some rows: an index array, a mask or a slice (a slice copies nothing)."""
        return FeatureTable(
            numeric=self.numeric[rows],
            numeric_names=self.numeric_names,
            categorical=tuple(Category(column.codes[rows], column.levels) for column in self.categorical),
            categorical_names=self.categorical_names,
            monotone=self.monotone,
        )

    def chunks(self, size: int) -> Iterator[FeatureTable]:
        """Consecutive slices of at most `size` rows."""
        for start in range(0, self.rows, size):
            yield self.take(slice(start, start + size))

    def numeric_inputs(self) -> pa.Array:
        """LIST<DOUBLE> of each row's numbers, missing = null; shares the matrix's memory."""
        flat = np.ascontiguousarray(self.numeric).reshape(-1)
        present = ~np.isnan(flat)
        bitmap = None if present.all() else pa.py_buffer(np.packbits(present, bitorder="little").tobytes())
        values = pa.Array.from_buffers(pa.float64(), flat.size, [bitmap, pa.py_buffer(flat)])
        return pa.ListArray.from_arrays(_offsets(self.rows, len(self.numeric_names)), values)

    def categorical_inputs(self) -> pa.Array:
        """LIST<VARCHAR> of each row's categories, missing = null."""
        width = len(self.categorical)
        codes = np.empty((self.rows, width), dtype=np.int32)
        levels: list[str] = []
        for k, column in enumerate(self.categorical):
            codes[:, k] = np.where(column.codes == MISSING_CODE, MISSING_CODE, column.codes + len(levels))
            levels.extend(column.levels)
        indices = pa.array(codes.reshape(-1), mask=codes.reshape(-1) == MISSING_CODE)
        texts = pa.DictionaryArray.from_arrays(indices, pa.array(levels, pa.string())).cast(pa.string())
        return pa.ListArray.from_arrays(_offsets(self.rows, width), texts)


def by_kind(features: Iterable[FeatureLike]) -> tuple[list[FeatureLike], list[FeatureLike]]:
    """(numeric, categorical) features, each in the given order; any other kind is a `FrameError`."""
    numbers: list[FeatureLike] = []
    categories: list[FeatureLike] = []
    for feature in features:
        if str(feature.kind) not in (NUMERIC, CATEGORICAL):
            raise FrameError(f"feature {feature.name} has kind {feature.kind!r}: expected {NUMERIC} or {CATEGORICAL}")
        (numbers if str(feature.kind) == NUMERIC else categories).append(feature)
    return numbers, categories


def is_numeric(kind: pa.DataType) -> bool:
    """Types a numeric feature may arrive in. Text is not one of them: parsing is silver's work."""
    t = pa.types
    return any(fits(kind) for fits in (t.is_integer, t.is_floating, t.is_decimal, t.is_boolean, t.is_null))


def is_text(kind: pa.DataType) -> bool:
    """Types a categorical feature may arrive in."""
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_null(value))


def _numeric_matrix(table: pa.Table, names: list[str]) -> np.ndarray:
    for name in names:
        if not is_numeric(table.schema.field(name).type):
            raise FrameError(f"feature {name} must be numeric, the table holds {table.schema.field(name).type}")
    matrix = np.empty((table.num_rows, len(names)), dtype=np.float64)
    start = 0
    # Row blocks that fit the cache: a column at a time would walk the whole row-major matrix once per feature.
    for batch in table.select(names).to_batches(max_chunksize=FILL_ROWS) if names else []:
        block = matrix[start : start + batch.num_rows]
        for j, column in enumerate(batch.columns):
            block[:, j] = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        _refuse_infinite(block, names)
        start += batch.num_rows
    return matrix


def _refuse_infinite(block: np.ndarray, names: list[str]) -> None:
    infinite = np.isinf(block)
    if infinite.any():
        where = [f"{names[j]} ({int(infinite[:, j].sum())} rows)" for j in np.flatnonzero(infinite.any(axis=0))]
        raise FrameError(
            f"infinite values in {', '.join(where)}: a ratio without a base must be null in the feature SQL"
        )


def _category(column: pa.Array | pa.ChunkedArray, name: str) -> Category:
    if not is_text(column.type):
        raise FrameError(f"feature {name} must be text, the table holds {column.type}")
    plain = column.cast(pa.string())
    encoded = pc.dictionary_encode(plain.combine_chunks() if isinstance(plain, pa.ChunkedArray) else plain)
    codes = encoded.indices.fill_null(MISSING_CODE).to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
    return Category(codes, tuple(encoded.dictionary.to_pylist()))


def _flat(rows: pa.Array | pa.ChunkedArray, width: int, kind: pa.DataType, name: str) -> pa.Array:
    array = rows.combine_chunks() if isinstance(rows, pa.ChunkedArray) else rows
    lengths = pc.list_value_length(array)
    if len(array) and (array.null_count or pc.min_max(lengths).as_py() != {"min": width, "max": width}):
        raise FrameError(f"{name} must hold {width} values in every row: it was stored for another feature list")
    return array.flatten().cast(kind)


def _offsets(rows: int, width: int) -> pa.Array:
    return pa.array(np.arange(rows + 1, dtype=np.int32) * np.int32(width), pa.int32())
