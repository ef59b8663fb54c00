"""API keys of a home: `crp_<key id>_<secret>`, kept as salted hashes in a file that its owner alone may read.

A secret is 256 random bits, so nobody can guess it, and SHA-256 with a salt of its own is the right hash: the slow
hashes of passwords (scrypt, argon2) buy time against guessing, and would cost 50 ms a request. The key id is no secret;
it finds the entry, stands in the audit log, and is what `revoke` takes.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from credit_risk_platform.adapters.atomic_file import write_atomically
from credit_risk_platform.adapters.warehouse.lock import WriterLock

FILE = "api_keys.json"
LIVE_KEYS_PER_CLIENT = 2
RELOAD_SECONDS = 1.0
_KEY = re.compile(r"crp_([0-9a-f]{12})_([0-9a-f]{64})", re.ASCII)
_CLIENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}", re.ASCII)


class Role(StrEnum):
    """What the holder of a key may do; `serving/security/roles.py` says which route takes which role."""

    ENGINEER = "engineer"
    ANALYST = "analyst"
    UNDERWRITER = "underwriter"
    AUDITOR = "auditor"
    ADMIN = "admin"


class ApiKeyError(ValueError):
    """The keys cannot be changed so, or their file cannot be used; the message says what to do."""


@dataclass(frozen=True)
class ApiKey:
    """One entry: everything about a key but its secret. Times are UTC, ISO 8601; `ends` is None for no end."""

    id: str
    client: str
    role: Role
    created: str
    salt: str
    hash: str
    ends: str | None = None
    revoked: str | None = None

    def live(self, now: datetime) -> bool:
        return self.revoked is None and (self.ends is None or now < datetime.fromisoformat(self.ends))


class ApiKeys:
    """The keys of `folder`/api_keys.json. Each change is one atomic replacement under a lock."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / FILE
        self._lock = WriterLock(folder / "api_keys.lock", timeout_seconds=30.0)

    def all(self) -> tuple[ApiKey, ...]:
        """Every key ever made, oldest first.

        Raises:
            ApiKeyError: others may read the file, or it was damaged.
        """
        try:
            mode = self.file.stat().st_mode
        except FileNotFoundError:
            return ()
        if mode & 0o077:
            raise ApiKeyError(f"{self.file} can be read by others; run: chmod 600 {self.file}")
        try:
            stored = json.loads(self.file.read_text(encoding="utf-8"))
            return tuple(ApiKey(**{**entry, "role": Role(entry["role"])}) for entry in stored["keys"])
        except (ValueError, KeyError, TypeError) as error:
            raise ApiKeyError(
                f"{self.file} is damaged ({type(error).__name__}): restore it from a backup, or remove it and make "
                "new keys with `crp keys create`"
            ) from None

    def create(self, client: str, role: Role, now: datetime, ends: datetime | None = None) -> str:
        """A new key of `client`, in the only moment in which it can be read.

        Raises:
            ApiKeyError: a name that is no name, an end in the past, or a third live key.
        """
        if not _CLIENT.fullmatch(client):
            raise ApiKeyError(f"{client!r} is no client name: 1 to 63 letters, digits and . _ @ -, a letter first")
        if ends is not None and ends <= now:
            raise ApiKeyError(f"a key cannot end before it begins: {ends.isoformat()}")
        with self._changing():
            keys = self.all()
            _refuse_third(keys, client, now)
            made, text = _fresh(client, role, now, ends)
            self._write((*keys, made))
        return text

    def create_first(self, client: str, role: Role, now: datetime) -> str | None:
        """A first key for a home without any, `None` where there is one: two servers that start at once make one."""
        with self._changing():
            if self.all():
                return None
            made, text = _fresh(client, role, now, None)
            self._write((made,))
        return text

    def rotate(self, client: str, now: datetime, overlap: timedelta) -> str:
        """A new key with the role of the client's present one, which goes on working for `overlap`."""
        with self._changing():
            keys = self.all()
            live = [key for key in keys if key.client == client and key.live(now)]
            if not live:
                raise ApiKeyError(f"{client!r} has no live key: make one with `crp keys create {client} --role ROLE`")
            _refuse_third(keys, client, now)
            old = live[-1]
            end = now + overlap
            if old.ends is not None:
                end = min(end, datetime.fromisoformat(old.ends))
            made, text = _fresh(client, old.role, now, None)
            self._write((*(replace(key, ends=end.isoformat()) if key.id == old.id else key for key in keys), made))
        return text

    def revoke(self, key_id: str, now: datetime) -> ApiKey:
        """End a key at once; a running API learns of it within a second."""
        with self._changing():
            keys = self.all()
            if key_id not in {key.id for key in keys}:
                raise ApiKeyError(f"no key has the id {key_id!r}: see `crp keys list`")
            changed = tuple(
                replace(key, revoked=now.isoformat()) if key.id == key_id and key.revoked is None else key
                for key in keys
            )
            self._write(changed)
        return next(key for key in changed if key.id == key_id)

    def _changing(self) -> AbstractContextManager[None]:
        self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self._lock.held()

    def _write(self, keys: tuple[ApiKey, ...]) -> None:
        content = json.dumps({"keys": [asdict(key) for key in keys]}, indent=2)
        write_atomically(self.file, content.encode(), mode=0o600)


class KeyRing:
    """The keys as a running API sees them: the file is looked at once a second at most, and read when it changed."""

    def __init__(self, keys: ApiKeys, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._keys = keys
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._looked = float("-inf")
        self._seen: tuple[int, int, int] | None = None
        self._by_id: dict[str, ApiKey] = {}

    def find(self, presented: str, now: datetime) -> ApiKey | None:
        """The live key whose secret this is."""
        match = _KEY.fullmatch(presented)
        if match is None:
            return None
        self._follow()
        entry = self._by_id.get(match[1])
        # An unknown id costs the same hash as a known one: the time of a refusal tells nothing.
        stored = entry or _NOBODY
        right = hmac.compare_digest(_hash(match[2], stored.salt), stored.hash)
        return entry if entry is not None and right and entry.live(now) else None

    def live(self, key_id: str, now: datetime) -> ApiKey | None:
        """The key of that id while it is live: for a session that began with its secret."""
        self._follow()
        entry = self._by_id.get(key_id)
        return entry if entry is not None and entry.live(now) else None

    def _follow(self) -> None:
        if self._monotonic() - self._looked < RELOAD_SECONDS:
            return
        with self._lock:
            try:
                found = self._keys.file.stat()
                seen = (found.st_mtime_ns, found.st_ino, found.st_mode)
            except FileNotFoundError:
                seen = None
            if seen != self._seen:
                # In this order a damaged file refuses every request, with its reason, until it is mended.
                self._by_id = {key.id: key for key in self._keys.all()}
                self._seen = seen
            self._looked = self._monotonic()


def _refuse_third(keys: tuple[ApiKey, ...], client: str, now: datetime) -> None:
    live = [key.id for key in keys if key.client == client and key.live(now)]
    if len(live) >= LIVE_KEYS_PER_CLIENT:
        raise ApiKeyError(
            f"{client!r} has {len(live)} live keys ({', '.join(live)}), the most there may be: "
            "wait for one to end, or `crp keys revoke` it"
        )


def _fresh(client: str, role: Role, now: datetime, ends: datetime | None) -> tuple[ApiKey, str]:
    key_id, secret, salt = secrets.token_hex(6), secrets.token_hex(32), secrets.token_hex(16)
    made = ApiKey(
        id=key_id,
        client=client,
        role=role,
        created=now.isoformat(),
        salt=salt,
        hash=_hash(secret, salt),
        ends=ends.isoformat() if ends else None,
    )
    return made, f"crp_{key_id}_{secret}"


def _hash(secret: str, salt: str) -> str:
    return hmac.new(bytes.fromhex(salt), secret.encode(), hashlib.sha256).hexdigest()


_NOBODY = ApiKey("", "", Role.AUDITOR, "", "00" * 16, "00" * 32)
