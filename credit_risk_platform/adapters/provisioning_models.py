"""Hazard and LGD models on file: JSON named by its content, and one pointer per kind. Nothing is overwritten.

`<home>/models/provisioning/<sha>.json` and `<kind>.json`, which holds the SHA of the model in use.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Final, Literal

from credit_risk_platform.adapters.files import Place, as_files
from credit_risk_platform.domain.provisioning import hazard, lgd
from credit_risk_platform.domain.provisioning.contents import canonical
from credit_risk_platform.domain.provisioning.hazard import HazardModel
from credit_risk_platform.domain.provisioning.lgd import LgdModel

Kind = Literal["hazard", "lgd"]
ASSETS: Final = {hazard.KIND: "models/hazard_pd", lgd.KIND: "models/lgd_model"}
_SHA = re.compile(r"[0-9a-f]{64}")


class NoModelError(LookupError):
    """There is no such model in this home; the message says what to materialise."""


class ProvisioningStore:
    """Models below `folder`. Readers see the old pointer or the new one."""

    def __init__(self, folder: Place) -> None:
        self.files = as_files(folder)

    def save(self, kind: Kind, model: HazardModel | LgdModel) -> str:
        """Keep `model` under its SHA-256, make it the one in use and return the SHA. Saving twice stores once."""
        self.files.put_bytes(canonical(model.to_dict()), _file(model.sha256))
        self.files.put_bytes(json.dumps({"sha": model.sha256}).encode(), f"{kind}.json")
        return model.sha256

    def sha(self, kind: Kind) -> str | None:
        """SHA of the model in use, or `None` before the first."""
        stored = self.files.read(f"{kind}.json")
        return str(json.loads(stored)["sha"]) if stored is not None else None

    def latest(self, kind: Kind) -> HazardModel | LgdModel:
        """The model in use; raises `NoModelError` before the first."""
        sha = self.sha(kind)
        if sha is None:
            raise NoModelError(f"There is no {kind} model yet: materialise {ASSETS[kind]} first.")
        return self.load(sha)

    def hazard(self) -> HazardModel:
        """The hazard model in use; raises `NoModelError` before the first."""
        model = self.latest("hazard")
        assert isinstance(model, HazardModel)
        return model

    def lgd(self) -> LgdModel:
        """The LGD model in use; raises `NoModelError` before the first."""
        model = self.latest("lgd")
        assert isinstance(model, LgdModel)
        return model

    def load(self, sha: str) -> HazardModel | LgdModel:
        """A model by its SHA; raises `NoModelError` when it is not here, or is not what was stored."""
        data, place = self.files.read(_file(sha)), self.files.location(_file(sha))
        if data is None:
            raise NoModelError(f"No model {sha[:12]} at {place}: it was removed or is of another home.")
        if hashlib.sha256(data).hexdigest() != sha:
            raise NoModelError(f"{place} was changed after it was stored: restore it from a backup.")
        stored = json.loads(data)
        return HazardModel.from_dict(stored) if stored["kind"] == hazard.KIND else LgdModel.from_dict(stored)


def _file(sha: str) -> str:
    if not _SHA.fullmatch(sha):
        raise NoModelError(f"{sha!r} is no model: a model is named by the 64 hex digits of its SHA-256")
    return f"{sha}.json"
