"""The model bundle: everything one score depends on, in one archive with one hash.

Belongs here: packing to deterministic bytes and refusing bytes that were changed. Does not: where bundles are kept
(`adapters/bundles.py`) or MLflow. No pickle anywhere: JSON, SQL text, and each library's own model format.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import Any

import pyarrow as pa

from credit_risk_platform.domain.calibration import Calibrator
from credit_risk_platform.domain.explanation import Explainer, background, explainer
from credit_risk_platform.domain.models.archive import archive
from credit_risk_platform.domain.models.base import CreditModel, to_json
from credit_risk_platform.domain.models.frame import NUMERIC, FeatureTable, InputFeature, is_numeric, is_text
from credit_risk_platform.domain.models.zoo import model_class

MANIFEST = "manifest.json"
CARD = "bundle.json"
CALIBRATOR = "calibrator.json"
FEATURE_SQL = "features.sql"
INTAKE_SQL = "intake.sql"
BACKGROUND = "background.json"
MODEL_FOLDER = "model/"


class BundleError(ValueError):
    """A bundle that must not score: changed, incomplete, or made for other features. The message names the part."""


@dataclass(frozen=True)
class ModelBundle:
    """A calibrated model with its inputs, the SQL that makes them, and where it came from.

    `metrics` is split -> metric -> {value, low, high}. `created_from` holds run-independent facts only (data
    versions, code version): two trainings on the same inputs give the same bytes.
    """

    name: str
    model: CreditModel
    calibrator: Calibrator
    features: tuple[InputFeature, ...]
    feature_sql: str
    training_fingerprint: str
    policy_version: str
    seed: int
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    created_from: Mapping[str, str] = field(default_factory=dict)
    intake_sql: str = ""
    """Statements that make what `feature_sql` reads from bronze rows; empty in a bundle that cannot stream."""
    background: FeatureTable | None = field(default=None, compare=False)
    """Development loans over all ranks of PD, nameless: what explanations compare with. Older bundles have none."""
    _explainers: dict[float, Explainer] = field(default_factory=dict, init=False, repr=False, compare=False)
    _explaining: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)

    @cached_property
    def feature_sql_hash(self) -> str:
        return digest(self.feature_sql.encode())

    @cached_property
    def content(self) -> bytes:
        return _pack(self._members())

    @cached_property
    def sha256(self) -> str:
        """Hex SHA-256 of `to_bytes()`: the name under which the bundle is stored and quoted in scores."""
        return digest(self.content)

    def explainer_at(self, cutoff: float) -> Explainer:
        """What made a PD differ from those just below `cutoff`; made at the first call, then kept. Thread-safe.

        Its background are the (up to) 100 kept loans with the highest PDs below `cutoff`. Raises `BundleError` for a
        bundle without background loans.
        """
        if self.background is None or not self.background.rows:
            raise BundleError(
                f"bundle {self.name} cannot explain its scores: it was trained before decisions came; "
                "materialise models/champion again"
            )
        with self._explaining:
            if cutoff not in self._explainers:
                pd = self.calibrator.apply(self.model.predict(self.background))
                near = self.background.take(background.marginal_approvals(pd, cutoff))
                self._explainers[cutoff] = explainer(self.model, near)
            return self._explainers[cutoff]

    def to_bytes(self) -> bytes:
        """The archive: uncompressed, members sorted, dates fixed, so equal content gives equal bytes anywhere."""
        return self.content

    @classmethod
    def from_bytes(cls, data: bytes, expected_sha: str | None = None) -> ModelBundle:
        """Open an archive after checking every member against the manifest, and the whole against `expected_sha`.

        Raises `BundleError` naming the member that was changed, added or lost.
        """
        members = _unpack(data)
        if expected_sha is not None and digest(data) != expected_sha:
            found = digest(data)
            raise BundleError(
                f"bundle hash is {found}, expected {expected_sha}: another bundle, or {MANIFEST} was rewritten"
            )
        card = json.loads(members[CARD])
        features = tuple(InputFeature(**feature) for feature in card["features"])
        kept = members.get(BACKGROUND)
        files = {name[len(MODEL_FOLDER) :]: body for name, body in members.items() if name.startswith(MODEL_FOLDER)}
        return cls(
            name=card["name"],
            model=model_class(card["name"]).load(files),
            calibrator=Calibrator.from_json(members[CALIBRATOR].decode()),
            features=features,
            feature_sql=members[FEATURE_SQL].decode(),
            training_fingerprint=card["training_fingerprint"],
            policy_version=card["policy_version"],
            seed=card["seed"],
            params=card["params"],
            metrics=card["metrics"],
            created_from=card["created_from"],
            intake_sql=members.get(INTAKE_SQL, b"").decode(),
            background=None if kept is None else background.from_bytes(kept, features),
        )

    def check_features(self, table: pa.Table | pa.Schema) -> None:
        """Refuse a table that lacks a feature or holds it in another type; the error shows the difference."""
        schema = table if isinstance(table, pa.Schema) else table.schema
        found = {column.name: column.type for column in schema}
        missing = [feature.name for feature in self.features if feature.name not in found]
        retyped = [
            f"{feature.name} ({feature.kind} expected, {found[feature.name]} found)"
            for feature in self.features
            if feature.name in found and not _fits(feature, found[feature.name])
        ]
        if missing or retyped:
            unknown = sorted(set(found) - {feature.name for feature in self.features})
            raise BundleError(
                f"the table does not fit bundle {self.name}: missing [{', '.join(missing)}], "
                f"of another type [{', '.join(retyped)}], not in the bundle [{', '.join(unknown)}]"
            )

    def _members(self) -> dict[str, bytes]:
        card = {
            "name": self.name,
            "features": [feature.as_dict() for feature in self.features],
            "feature_sql_hash": self.feature_sql_hash,
            "training_fingerprint": self.training_fingerprint,
            "policy_version": self.policy_version,
            "seed": self.seed,
            "params": dict(self.params),
            "metrics": {split: dict(metrics) for split, metrics in self.metrics.items()},
            "created_from": dict(self.created_from),
        }
        model = {f"{MODEL_FOLDER}{name}": body for name, body in self.model.save().items()}
        intake = {INTAKE_SQL: self.intake_sql.encode()} if self.intake_sql else {}
        kept = {} if self.background is None else {BACKGROUND: background.to_bytes(self.background)}
        return {
            CARD: to_json(card),
            CALIBRATOR: self.calibrator.to_json().encode(),
            FEATURE_SQL: self.feature_sql.encode(),
            **intake,
            **kept,
            **model,
        }


def digest(data: bytes) -> str:
    """Hex SHA-256."""
    return hashlib.sha256(data).hexdigest()


def _pack(members: Mapping[str, bytes]) -> bytes:
    manifest = {name: digest(body) for name, body in members.items()}
    return archive({**members, MANIFEST: to_json(manifest)})


def _unpack(data: bytes) -> dict[str, bytes]:
    members = _read(data)
    if MANIFEST not in members:
        raise BundleError(f"bundle has no {MANIFEST}: this is not a model bundle")
    manifest = _manifest(members.pop(MANIFEST))
    for name in sorted(set(manifest) | set(members)):
        if name not in members:
            raise BundleError(f"bundle member {name} is missing")
        if name not in manifest:
            raise BundleError(f"bundle member {name} was added: the manifest does not list it")
        if digest(members[name]) != manifest[name]:
            raise BundleError(f"bundle member {name} was changed: its hash differs from the manifest")
    lost = sorted({CARD, CALIBRATOR, FEATURE_SQL} - set(members))
    if lost:
        raise BundleError(f"bundle member {lost[0]} is missing")
    return members


def _read(data: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as source:
            names = source.namelist()
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise BundleError(f"bundle member {twice[0]} stands in the archive twice")
            return {name: _member(source, name) for name in names}
    except zipfile.BadZipFile as error:
        raise BundleError(f"bundle is not a readable archive: {error}") from error


def _member(source: zipfile.ZipFile, name: str) -> bytes:
    try:
        return source.read(name)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise BundleError(f"bundle member {name} was changed: {error}") from error


def _manifest(body: bytes) -> dict[str, str]:
    try:
        manifest = json.loads(body)
    except ValueError as error:
        raise BundleError(f"bundle member {MANIFEST} was changed: {error}") from error
    if not isinstance(manifest, dict):
        raise BundleError(f"bundle member {MANIFEST} was changed: it is not a list of hashes")
    return manifest


def _fits(feature: InputFeature, kind: pa.DataType) -> bool:
    return is_numeric(kind) if feature.kind == NUMERIC else is_text(kind)
