"""Where model bundles lie and which of them scores: content-addressed files and one small pointer. No MLflow here.

A bundle never changes: its name is the SHA-256 of its bytes. Promotion replaces `champion.json` at once, so a scorer
sees the old champion or the new one and never a half of either; every earlier champion stays in its history.
Where they lie in an object store, each home keeps copies of the bundles it has used, and looks at the pointer anew.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from credit_risk_platform.adapters.atomic_file import write_atomically
from credit_risk_platform.adapters.files import ChangedMeanwhileError, LocalFiles, Place, as_files
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

    def __init__(self, root: Place, role: str = "") -> None:
        self.files = as_files(root)
        self.root = self.files.local
        self._copies = not isinstance(self.files, LocalFiles)
        self._asset = f"{role}_champion" if role else "champion"
        self.pointer_file = self.root / f"{self._asset}.json"
        self._lock = WriterLock(self.pointer_file.with_suffix(".lock"), timeout_seconds=60.0)

    # ---------------------------------------------------------------- bundles

    def path(self, sha: str) -> Path:
        """The bundle as a file of this home: itself, or the copy that `put` and `get` leave."""
        if not _SHA.fullmatch(sha):
            raise BundleNotFoundError(f"{sha!r} is no bundle: a bundle is named by the 64 hex digits of its SHA-256")
        return self.root / _name(sha)

    def location(self, sha: str) -> str:
        """Where the bundle lies for everybody: a path of this home, or the object's address."""
        return self.files.location(_name(sha))

    def shas(self) -> list[str]:
        """Every bundle of the store, sorted."""
        found = (Path(name) for name in self.files.names("bundles"))
        return [file.stem for file in found if file.suffix == ".zip" and _SHA.fullmatch(file.stem)]

    def put(self, data: bytes) -> str:
        """Store `data` under its SHA-256 and return it. Putting twice stores once; a damaged copy is replaced."""
        sha = hashlib.sha256(data).hexdigest()
        if not _is(self.files.read(_name(sha)), sha):
            self.files.put_bytes(data, _name(sha))
        if self._copies:
            write_atomically(self.path(sha), data)
        return sha

    def get(self, sha: str) -> bytes:
        """The bytes of a bundle; `BundleNotFoundError` when absent, `BundleError` when they are not what was stored."""
        copy = self.path(sha)
        if self._copies and copy.exists() and _is(data := copy.read_bytes(), sha):
            return data
        data = self._stored(sha)
        if self._copies:
            write_atomically(copy, data)
        return data

    def load(self, sha: str) -> ModelBundle:
        return ModelBundle.from_bytes(self.get(sha), expected_sha=sha)

    # ---------------------------------------------------------------- champion

    def pointer(self) -> Champion | None:
        """The promotion in force, or `None` before the first."""
        stored = self.files.read(self.pointer_file.name)
        return Champion.from_dict(json.loads(stored)) if stored is not None else None

    def champion(self) -> ModelBundle | None:
        """The bundle that scores now, or `None` before the first promotion."""
        pointer = self.pointer()
        return self.load(pointer.sha) if pointer else None

    def promote(self, promotion: Promotion, metrics: dict[str, dict[str, float]], *, replaces: str | None) -> Champion:
        """Point at `promotion.sha`. `replaces` is the champion it was weighed against (`None` = there was none).

        Raises `StaleChampionError` when another one reigns by now, `BundleNotFoundError` when the bundle is not here.
        """
        with self._lock.held():
            found = self.files.tagged(self.pointer_file.name)
            current = Champion.from_dict(json.loads(found[0])) if found else None
            reigning = current.sha if current else None
            if reigning != replaces:
                raise self._stale(replaces, _short(reigning))
            ModelBundle.from_bytes(self._stored(promotion.sha), expected_sha=promotion.sha)
            history = (*(current.history if current else ()), promotion)
            champion = Champion(promotion, metrics, history)
            data = (json.dumps(champion.as_dict(), indent=2) + "\n").encode()
            try:
                self.files.swap(data, self.pointer_file.name, found[1] if found else None)
            except ChangedMeanwhileError as error:  # by another host: the lock is this home's
                raise self._stale(replaces, "another") from error
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

    def _stored(self, sha: str) -> bytes:
        self.path(sha)  # refuses what is no SHA
        data, place = self.files.read(_name(sha)), self.files.location("bundles")
        if data is None:
            raise BundleNotFoundError(
                f"no bundle {sha[:12]} in {place}: it was removed or belongs to another home; "
                "materialise the training group to train a model here"
            )
        if not _is(data, sha):
            raise BundleError(
                f"{self.files.location(_name(sha))} was changed after it was stored: its content no longer has the "
                "hash in its name. Restore the file from a backup or from its MLflow run, or roll back to another "
                "version."
            )
        return data

    def _stale(self, replaces: str | None, reigning: str) -> StaleChampionError:
        return StaleChampionError(
            f"weighed against {_short(replaces)}, but {reigning} was promoted meanwhile; "
            f"materialise models/{self._asset} again to weigh it against the new one"
        )


def _name(sha: str) -> str:
    return f"bundles/{sha}.zip"


def _is(data: bytes | None, sha: str) -> bool:
    return data is not None and hashlib.sha256(data).hexdigest() == sha


def _short(sha: str | None) -> str:
    return sha[:12] if sha else "no champion"
