"""Where model bundles lie and which of them scores: content-addressed files and one small pointer. No MLflow here.

A bundle never changes: its name is the SHA-256 of its bytes. Promotion swaps `champion.json` by an atomic rename, so a
scorer sees the old champion or the new one and never a half of either; every earlier champion stays in its history.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from credit_risk_platform.adapters.atomic_file import write_atomically
from credit_risk_platform.adapters.warehouse.lock import WriterLock
from credit_risk_platform.domain.bundle import BundleError, ModelBundle

_SHA = re.compile(r"[0-9a-f]{64}")


class BundleNotFoundError(KeyError):
    """No such bundle, or no such earlier champion. The message lists what there is."""

    def __str__(self) -> str:
        return str(self.args[0])


class StaleChampionError(RuntimeError):
    """Someone else promoted while this promotion was being weighed; nothing was changed."""


@dataclass(frozen=True)
class Promotion:
    """One entry of the champion's history: what began to score, when (ISO, UTC), by whose run and word, and why.

    A rollback names in `withdraws` the bundle it took out of service.
    """

    name: str
    version: int
    sha: str
    promoted_at: str
    run_id: str
    promoted_by: str
    reason: str
    mlflow_run_id: str = ""
    training_fingerprint: str = ""
    withdraws: str = ""


@dataclass(frozen=True)
class Champion:
    """The pointer: the promotion in force, its metrics per split, and all promotions up to it, oldest first."""

    promotion: Promotion
    metrics: dict[str, dict[str, float]]
    history: tuple[Promotion, ...] = field(default=())

    @property
    def sha(self) -> str:
        return self.promotion.sha

    @property
    def withdrawn(self) -> frozenset[str]:
        """Bundles that a rollback took out of service and nobody put back: no training promotes them again."""
        gone: set[str] = set()
        for entry in self.history:
            gone.discard(entry.sha)
            if entry.withdraws:
                gone.add(entry.withdraws)
        return frozenset(gone)

    def as_dict(self) -> dict[str, Any]:
        return {
            **asdict(self.promotion),
            "metrics": self.metrics,
            "history": [asdict(entry) for entry in self.history],
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Champion:
        rest = dict(stored)
        metrics = rest.pop("metrics")
        history = tuple(Promotion(**entry) for entry in rest.pop("history"))
        return cls(Promotion(**rest), metrics, history)


class BundleStore:
    """Bundles below `root/bundles`, the pointer at `root/champion.json`.

    A `role` ("behaviour") has a champion and a history of its own, at `root/<role>_champion.json`.
    """

    def __init__(self, root: Path, role: str = "") -> None:
        self.root = root
        self._asset = f"{role}_champion" if role else "champion"
        self.pointer_file = root / f"{self._asset}.json"
        self._lock = WriterLock(root / f"{self._asset}.lock", timeout_seconds=60.0)

    # ---------------------------------------------------------------- bundles

    def path(self, sha: str) -> Path:
        if not _SHA.fullmatch(sha):
            raise BundleNotFoundError(f"{sha!r} is no bundle: a bundle is named by the 64 hex digits of its SHA-256")
        return self.root / "bundles" / f"{sha}.zip"

    def put(self, data: bytes) -> str:
        """Store `data` under its SHA-256 and return it. Putting twice stores once; a damaged copy is replaced."""
        sha = hashlib.sha256(data).hexdigest()
        target = self.path(sha)
        if not target.exists() or hashlib.sha256(target.read_bytes()).hexdigest() != sha:
            write_atomically(target, data)
        return sha

    def get(self, sha: str) -> bytes:
        """The bytes of a bundle; `BundleNotFoundError` when absent, `BundleError` when they are not what was stored."""
        target = self.path(sha)
        try:
            data = target.read_bytes()
        except FileNotFoundError:
            raise BundleNotFoundError(
                f"no bundle {sha[:12]} in {target.parent}: it was removed or belongs to another home; "
                "materialise the training group to train a model here"
            ) from None
        if hashlib.sha256(data).hexdigest() != sha:
            raise BundleError(
                f"{target} was changed after it was stored: its content no longer has the hash in its name. "
                "Restore the file from a backup or from its MLflow run, or roll back to another version."
            )
        return data

    def load(self, sha: str) -> ModelBundle:
        return ModelBundle.from_bytes(self.get(sha), expected_sha=sha)

    # ---------------------------------------------------------------- champion

    def pointer(self) -> Champion | None:
        """The promotion in force, or `None` before the first."""
        try:
            stored = self.pointer_file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        return Champion.from_dict(json.loads(stored))

    def champion(self) -> ModelBundle | None:
        """The bundle that scores now, or `None` before the first promotion."""
        pointer = self.pointer()
        return self.load(pointer.sha) if pointer else None

    def promote(self, promotion: Promotion, metrics: dict[str, dict[str, float]], *, replaces: str | None) -> Champion:
        """Point at `promotion.sha`. `replaces` is the champion it was weighed against (`None` = there was none).

        Raises `StaleChampionError` when another one reigns by now, `BundleNotFoundError` when the bundle is not here.
        """
        with self._lock.held():
            current = self.pointer()
            reigning = current.sha if current else None
            if reigning != replaces:
                raise StaleChampionError(
                    f"weighed against {_short(replaces)}, but {_short(reigning)} was promoted meanwhile; "
                    f"materialise models/{self._asset} again to weigh it against the new one"
                )
            self.load(promotion.sha)
            history = (*(current.history if current else ()), promotion)
            champion = Champion(promotion, metrics, history)
            write_atomically(self.pointer_file, (json.dumps(champion.as_dict(), indent=2) + "\n").encode())
            return champion

    def earlier(self, which: str) -> Promotion:
        """The latest promotion of a version number or of a SHA-256 (8 leading digits suffice), for a rollback."""
        pointer = self.pointer()
        history = pointer.history if pointer else ()
        for entry in reversed(history):
            if which == str(entry.version) or (len(which) >= 8 and entry.sha.startswith(which)):
                return entry
        known = ", ".join(f"{entry.version} ({entry.name} {entry.sha[:12]})" for entry in history) or "none yet"
        raise BundleNotFoundError(f"{which!r} never was champion. Roll back to one of: {known}")


def _short(sha: str | None) -> str:
    return sha[:12] if sha else "no champion"
