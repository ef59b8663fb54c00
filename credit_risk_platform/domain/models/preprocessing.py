"""What a model learns about its inputs before it learns: fills, shapes, limits, scales, category levels.

Fitted on the training split alone, stored as JSON inside the model, and only applied ever after: a scoring batch
never teaches it anything, so a row's inputs do not depend on who else is in the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np

from credit_risk_platform.domain.models.frame import MISSING_CODE, Category, FeatureTable, FrameError

MIN_LEVEL_SHARE = 0.002
MIN_LEVEL_ROWS = 20
"""A category with fewer training rows than both ask for joins 'other'."""
TAIL = 0.01
"""Linear inputs are cut at this quantile and at its mirror: one mistyped income must not bend a coefficient."""
SKEWED = 1.0
OTHER = "other"
MISSING = "missing"


class Style(StrEnum):
    """How a family of models wants its inputs."""

    LINEAR = "linear"
    """Cut, shaped, median-filled with an indicator, standardised; float64."""
    FILLED = "filled"
    """Median-filled with an indicator; float32."""
    NATIVE = "native"
    """As they are, missing stays NaN, trees decide; float32."""
    BINNED = "binned"
    """As they are, a category as one column of level positions, for a model that cuts bins of its own; float64."""


class Shape(StrEnum):
    """Transformation of a number before standardising."""

    PLAIN = "plain"
    LOG = "log"
    SIGNED_LOG = "signed_log"


@dataclass(frozen=True)
class NumericRule:
    """How one number is prepared. `unit` is the median size: log1p(x / unit) bends around typical values.

    A feature without a single value in training is `empty` and gets no column: there is nothing to learn from it.
    """

    name: str
    empty: bool = False
    fill: float = 0.0
    indicator: bool = False
    shape: Shape = Shape.PLAIN
    unit: float = 1.0
    lower: float = 0.0
    upper: float = 0.0
    mean: float = 0.0
    sd: float = 1.0
    monotone: int = 0

    def bend(self, values: np.ndarray) -> np.ndarray:
        """Cut at the fitted quantiles, then shape."""
        cut = np.clip(values, self.lower, self.upper)
        if self.shape is Shape.PLAIN:
            return cut
        if self.shape is Shape.LOG:
            return np.log1p(cut / self.unit)
        return np.sign(cut) * np.log1p(np.abs(cut) / self.unit)


@dataclass(frozen=True)
class CategoricalRule:
    """The levels kept in training; everything else is 'other', nothing is 'missing'."""

    name: str
    levels: tuple[str, ...]

    @property
    def width(self) -> int:
        return len(self.levels) + 2

    def positions(self, column: Category) -> np.ndarray:
        """Design position of each row: a kept level, `other`, or `missing` (the last two, in this order)."""
        known = {level: position for position, level in enumerate(self.levels)}
        lookup = [known.get(level, len(self.levels)) for level in column.levels]
        # The entry for code -1 stands last, where Python's negative index finds it.
        return np.asarray([*lookup, len(self.levels) + 1], dtype=np.int64)[column.codes]


@dataclass(frozen=True)
class Preprocessor:
    """Fitted rules; `transform` gives a row-major matrix of `width` columns."""

    style: Style
    numeric: tuple[NumericRule, ...]
    categorical: tuple[CategoricalRule, ...]

    @classmethod
    def fit(cls, train: FeatureTable, style: Style) -> Preprocessor:
        """Learn the rules from training rows only."""
        describe = {Style.LINEAR: _linear_rule, Style.FILLED: _filled_rule}.get(style, _native_rule)
        return cls(
            style=style,
            numeric=tuple(
                describe(name, train.numeric[:, j], train.monotone[j]) for j, name in enumerate(train.numeric_names)
            ),
            categorical=tuple(
                CategoricalRule(name, _levels(column))
                for name, column in zip(train.categorical_names, train.categorical, strict=True)
            ),
        )

    @cached_property
    def features(self) -> tuple[str, ...]:
        return (*(rule.name for rule in self.numeric), *(rule.name for rule in self.categorical))

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of the design columns."""
        if self.style is Style.BINNED:
            return self.sources
        one_hot = (f"{rule.name}={level}" for rule in self.categorical for level in (*rule.levels, OTHER, MISSING))
        indicators = (f"{rule.name}={MISSING}" for rule in self._indicated)
        return (*(rule.name for rule in self.numbers), *indicators, *one_hot)

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The feature behind each design column."""
        categories = (rule.name for rule in self.categorical for _ in range(self._width(rule)))
        return (*(rule.name for rule in self.numbers), *(rule.name for rule in self._indicated), *categories)

    @property
    def width(self) -> int:
        return len(self.sources)

    @cached_property
    def monotone(self) -> tuple[int, ...]:
        """Expected direction of the PD per design column; 0 for indicators and one-hot columns."""
        directions = tuple(rule.monotone for rule in self.numbers)
        return directions + (0,) * (self.width - len(directions))

    @cached_property
    def numbers(self) -> tuple[NumericRule, ...]:
        """The numeric rules that have a column; these columns come first."""
        return tuple(rule for rule in self.numeric if not rule.empty)

    def _width(self, rule: CategoricalRule) -> int:
        return 1 if self.style is Style.BINNED else rule.width

    @cached_property
    def _indicated(self) -> tuple[NumericRule, ...]:
        return tuple(rule for rule in self.numeric if rule.indicator)

    def transform(self, table: FeatureTable, absent: float = 0.0) -> np.ndarray:
        """Design matrix (n, width), float32 for trees and float64 for the others.

        `absent` fills one-hot columns where the row is of another level: 0, or NaN for sparse learners.
        Raises `FrameError` if the table's features are not the fitted ones in the fitted order.
        """
        if table.names != self.features:
            raise FrameError(f"fitted on {', '.join(self.features)}; got {', '.join(table.names)}")
        dtype = np.float64 if self.style in (Style.LINEAR, Style.BINNED) else np.float32
        design = np.full((table.rows, self.width), absent, dtype=dtype)
        self._fill_numbers(design, table.numeric)
        self._fill_categories(design, table)
        return design

    def _fill_numbers(self, design: np.ndarray, numeric: np.ndarray) -> None:
        sources = [j for j, rule in enumerate(self.numeric) if not rule.empty]
        if self.style in (Style.NATIVE, Style.BINNED):
            design[:, : len(sources)] = numeric if len(sources) == len(self.numeric) else numeric[:, sources]
            return
        place = len(sources)
        for column, j in enumerate(sources):
            rule, values = self.numeric[j], numeric[:, j].copy()
            gone = np.isnan(values)
            values[gone] = rule.fill
            design[:, column] = (rule.bend(values) - rule.mean) / rule.sd if self.style is Style.LINEAR else values
            if rule.indicator:
                design[:, place] = gone
                place += 1

    def _fill_categories(self, design: np.ndarray, table: FeatureTable) -> None:
        rows = np.arange(table.rows)
        place = len(self.numbers) + len(self._indicated)
        for rule, column in zip(self.categorical, table.categorical, strict=True):
            if self.style is Style.BINNED:
                design[:, place] = rule.positions(column)
            else:
                design[rows, place + rule.positions(column)] = 1.0
            place += self._width(rule)

    def to_dict(self) -> dict[str, Any]:
        return {
            "style": str(self.style),
            "numeric": [asdict(rule) for rule in self.numeric],
            "categorical": [asdict(rule) for rule in self.categorical],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Preprocessor:
        return cls(
            style=Style(content["style"]),
            numeric=tuple(NumericRule(**{**rule, "shape": Shape(rule["shape"])}) for rule in content["numeric"]),
            categorical=tuple(CategoricalRule(rule["name"], tuple(rule["levels"])) for rule in content["categorical"]),
        )


def skewness(values: np.ndarray) -> float:
    """Third standardised moment; 0 for a constant."""
    centred = values - values.mean()
    squares = centred * centred
    spread = float(np.sqrt(np.mean(squares)))
    return float(np.mean(squares * centred)) / spread**3 if spread > 0 else 0.0


def _native_rule(name: str, values: np.ndarray, monotone: int) -> NumericRule:
    return NumericRule(name, empty=bool(np.isnan(values).all()), monotone=monotone)


def _filled_rule(name: str, values: np.ndarray, monotone: int) -> NumericRule:
    known = values[~np.isnan(values)]
    if not known.size:
        return NumericRule(name, empty=True, monotone=monotone)
    return NumericRule(name, fill=float(np.median(known)), indicator=known.size < values.size, monotone=monotone)


def _linear_rule(name: str, values: np.ndarray, monotone: int) -> NumericRule:
    known = np.sort(values[~np.isnan(values)])
    if not known.size:
        return NumericRule(name, empty=True, monotone=monotone)
    lower, fill, upper = (float(cut) for cut in np.quantile(known, (TAIL, 0.5, 1 - TAIL)))
    shape, unit = _shape(np.clip(known, lower, upper))
    rule = NumericRule(name, False, fill, known.size < values.size, shape, unit, lower, upper, monotone=monotone)
    bent = rule.bend(np.where(np.isnan(values), fill, values))
    sd = float(bent.std())
    scaled = {"mean": float(bent.mean()), "sd": sd if sd > 1e-12 else 1.0}
    return NumericRule(**{**asdict(rule), **scaled})


def _shape(values: np.ndarray) -> tuple[Shape, float]:
    """Log where the numbers are skewed and the log is straighter; the signed form where some are negative."""
    sizes = np.abs(values[values != 0])
    unit = float(np.median(sizes)) if sizes.size else 1.0
    before = abs(skewness(values))
    bent = np.sign(values) * np.log1p(np.abs(values) / unit)
    if before <= SKEWED or abs(skewness(bent)) >= before:
        return Shape.PLAIN, 1.0
    return (Shape.LOG if values.min() >= 0 else Shape.SIGNED_LOG), unit


def _levels(column: Category) -> tuple[str, ...]:
    counts = np.bincount(column.codes[column.codes != MISSING_CODE], minlength=len(column.levels))
    enough = max(MIN_LEVEL_ROWS, MIN_LEVEL_SHARE * column.codes.size)
    return tuple(sorted(level for level, count in zip(column.levels, counts, strict=True) if count >= enough))
