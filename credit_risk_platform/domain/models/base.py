"""The one interface of a PD model: fit, predict, save, load. A model knows nothing of MLflow, Dagster or files.

`predict` gives an *uncalibrated* probability; the calibrator of the bundle turns it into a PD. Saved bytes depend
only on data, parameters and seed, so that the same training gives the same bundle hash.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa

from credit_risk_platform.domain.explanation.explainer import Explainer
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.models.preprocessing import Preprocessor, Style

PREDICT_ROWS = 65_536
DIRECTION_ROWS = 20_000
Progress = Callable[[str], None]


class ModelError(ValueError):
    """A model that cannot be trained or loaded; the message says why."""


def silent(_message: str) -> None:
    """The progress callback of who does not want to know."""


class CreditModel(ABC):
    """A classifier of bad loans over a `FeatureTable`.

    Subclasses state the class attributes and implement `explain` and the five underscore methods. `scales` says whether
    training on every row of a large book is worth its time and memory; if not, the caller hands a seeded sample.
    """

    name: ClassVar[str]
    scales: ClassVar[bool]
    style: ClassVar[Style]
    absent: ClassVar[float] = 0.0
    """What stands in a one-hot column for 'not this level'."""
    default_params: ClassVar[Mapping[str, Any]]
    search_space: ClassVar[Mapping[str, Sequence[Any]]]

    def __init__(self) -> None:
        self.params: dict[str, Any] = dict(self.default_params)
        self.directions: dict[str, int] = {}
        """Feature -> +1 if a higher value goes with a higher PD, -1 the other way, absent for categories."""
        self._preprocessor: Preprocessor | None = None
        self._files: dict[str, bytes] | None = None

    @property
    def preprocessor(self) -> Preprocessor:
        if self._preprocessor is None:
            raise ModelError(f"{self.name} is not trained yet")
        return self._preprocessor

    def fit(
        self,
        train: FeatureTable,
        y: np.ndarray,
        stop: FeatureTable | None = None,
        y_stop: np.ndarray | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        seed: int = 0,
        on_progress: Progress = silent,
    ) -> Self:
        """Learn from `train` (n rows) and labels `y` (n,), 1 or True = bad.

        `stop` decides when boosting ends and teaches nothing else. `params` override `default_params`; an unknown
        name raises `ModelError`, as do labels of one class only.
        """
        self.params = self._resolve(params or {})
        labels = _labels(y, train.rows)
        self._preprocessor = Preprocessor.fit(train, self.style)
        stopping = None if stop is None or y_stop is None else (stop, _labels(y_stop, stop.rows, classes=1))
        self._fit(train, labels, stopping, seed, on_progress)
        self.directions, self._files = self._directions(train), None
        return self

    def predict(self, table: FeatureTable) -> np.ndarray:
        """Uncalibrated probability of bad, float64 (n,). Each row's value is independent of the other rows.

        Threads share out blocks of rows; inside a block one thread adds in one order, and a single application
        pays for no thread team.
        """
        blocks = list(table.chunks(PREDICT_ROWS))
        if len(blocks) < 2:
            return np.concatenate([np.empty(0), *map(self._predict_block, blocks)])
        with ThreadPoolExecutor(self.params["threads"]) as pool:
            return np.concatenate(list(pool.map(self._predict_block, blocks)))

    def design(self, table: FeatureTable) -> np.ndarray:
        """Rows as this model wants them, (n, width of the preprocessor)."""
        return self.preprocessor.transform(table, absent=self.absent)

    def tables(self) -> dict[str, pa.Table]:
        """What the model has to show of itself beside its importance: name -> table. Most have nothing."""
        return {}

    def importance(self) -> dict[str, float]:
        """Feature -> share of the model's work, largest first, summing to 1 (all 0 if the model learnt nothing)."""
        totals = dict.fromkeys(self.preprocessor.features, 0.0)
        for feature, weight in zip(self.preprocessor.sources, self._column_weights(), strict=True):
            totals[feature] += float(weight)
        whole = sum(totals.values()) or 1.0
        return {feature: weight / whole for feature, weight in sorted(totals.items(), key=lambda kv: (-kv[1], kv[0]))}

    def save(self) -> dict[str, bytes]:
        """File name -> content, deterministic; a loaded model gives back the very bytes it was loaded from."""
        if self._files is None:
            card = {"name": self.name, "params": self.params, "directions": self.directions}
            rules = self.preprocessor.to_dict()
            self._files = {"model.json": to_json(card), "preprocessor.json": to_json(rules), **self._save()}
        return dict(self._files)

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> Self:
        """A trained model back from `save()`; raises `ModelError` for another model's files."""
        card = json.loads(files["model.json"])
        if card["name"] != cls.name:
            raise ModelError(f"these files hold a {card['name']} model, not {cls.name}")
        model = cls()
        model.params, model.directions = card["params"], card["directions"]
        model._preprocessor = Preprocessor.from_dict(json.loads(files["preprocessor.json"]))
        model._load(files)
        model._files = dict(files)
        return model

    # ------------------------------------------------------------- for subclasses

    @abstractmethod
    def explain(self, background: FeatureTable) -> Explainer:
        """Why scores differ from those of `background` (at least one row), per feature, exactly; see `explanation`."""

    @abstractmethod
    def _fit(
        self,
        train: FeatureTable,
        y: np.ndarray,
        stopping: tuple[FeatureTable, np.ndarray] | None,
        seed: int,
        on_progress: Progress,
    ) -> None:
        """Train on float64 labels 0/1; the preprocessor is fitted already."""

    @abstractmethod
    def _predict(self, design: np.ndarray) -> np.ndarray:
        """Probability of bad for prepared rows (n, width of the preprocessor), on the calling thread alone."""

    @abstractmethod
    def _column_weights(self) -> np.ndarray:
        """Non-negative importance of each prepared column."""

    @abstractmethod
    def _save(self) -> dict[str, bytes]: ...

    @abstractmethod
    def _load(self, files: Mapping[str, bytes]) -> None: ...

    def _predict_block(self, block: FeatureTable) -> np.ndarray:
        return self._predict(self.design(block))

    def _directions(self, train: FeatureTable) -> dict[str, int]:
        """Sign of the rank correlation between each number and the prediction, on a strided sample."""
        sample = train.take(strided(train.rows, DIRECTION_ROWS))
        score = _ranks(self.predict(sample))
        found: dict[str, int] = {}
        for j, name in enumerate(sample.numeric_names):
            known = ~np.isnan(sample.numeric[:, j])
            values = _ranks(sample.numeric[known, j])
            spread = values - values.mean() if values.size else values
            found[name] = int(np.sign(np.round(np.sum(spread * score[known]), 6)))
        return found

    def _resolve(self, params: Mapping[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(params) - set(self.default_params))
        if unknown:
            known = ", ".join(self.default_params)
            raise ModelError(f"{self.name} has no parameter {', '.join(unknown)}; it knows {known}")
        return {**self.default_params, **params}


def to_json(content: Any) -> bytes:
    """Canonical JSON: sorted keys, shortest floats that read back to the same bits."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def strided(rows: int, limit: int) -> np.ndarray | slice:
    """At most `limit` evenly spaced rows: a sample that needs no seed and covers all vintages."""
    return slice(None) if rows <= limit else np.linspace(0, rows - 1, limit).astype(np.int64)


def sigmoid(z: np.ndarray) -> np.ndarray:
    """Logistic function without overflow, float64."""
    small = np.exp(-np.abs(np.asarray(z, dtype=np.float64)))
    return np.where(z >= 0, 1.0, small) / (1.0 + small)


def _labels(y: np.ndarray, rows: int, classes: int = 2) -> np.ndarray:
    labels = np.asarray(y).astype(np.float64)
    if labels.shape != (rows,):
        raise ModelError(f"{rows} rows but labels of shape {labels.shape}")
    if not np.isin(labels, (0.0, 1.0)).all():
        raise ModelError("labels must be 0 or 1: an immature loan has no label and cannot train a model")
    if np.unique(labels).size < classes:
        raise ModelError("all labels are equal: a model needs good and bad loans")
    return labels


def _ranks(values: np.ndarray) -> np.ndarray:
    """Average ranks (ties share theirs), centred at zero."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2
    return np.asarray(middle[inverse] - (values.size + 1) / 2)
