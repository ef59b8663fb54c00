"""Subject tokens: HMAC-SHA256 of a customer id, in Python for one and in DuckDB for millions, to the same result.

The key never leaves the machine; without it a token cannot be traced back or made again for a guessed id.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

BLOCK = 64
KEY_FILE = "pii_token_key"
LOAN_PREFIX = "loan:"
"""Set before a loan id that stands in for an unknown customer, so that it can never equal a customer's id."""


class TokenKeyError(RuntimeError):
    """The key cannot be used; the message says what to do."""


@dataclass(frozen=True)
class TokenKey:
    """A secret key. Its text form shows nothing of it."""

    secret: bytes

    def __repr__(self) -> str:
        return "TokenKey(***)"

    def token(self, customer: str) -> str:
        """64 hex digits."""
        return hmac.new(self.secret, customer.encode(), hashlib.sha256).hexdigest()

    @property
    def id(self) -> str:
        """Tells one key from another and nothing about either."""
        return self.token("id of this key")[:8]

    def pads(self) -> tuple[bytes, bytes]:
        """Inner and outer key block of RFC 2104, to bind to `token_sql`."""
        key = hashlib.sha256(self.secret).digest() if len(self.secret) > BLOCK else self.secret
        block = key.ljust(BLOCK, b"\0")
        return bytes(byte ^ 0x36 for byte in block), bytes(byte ^ 0x5C for byte in block)


def token_sql(customer: str, inner: str = "$inner", outer: str = "$outer") -> str:
    """DuckDB expression for the token of text expression `customer`; null for null. Bind `TokenKey.pads()`."""
    return f"sha256({outer}::blob || unhex(sha256({inner}::blob || encode({customer}))))"


def load_token_key(folder: Path, configured: str | None = None) -> TokenKey:
    """The configured key, else the one kept in `folder`, made there once and readable by its owner only.

    Raises:
        TokenKeyError: the key is shorter than 16 characters, or others may read its file.
    """
    if configured is not None:
        if len(configured) < 16:
            raise TokenKeyError(
                "CRP_PII_TOKEN_KEY is shorter than 16 characters; make one with `openssl rand -hex 32`."
            )
        return TokenKey(configured.encode())
    return TokenKey(kept_secret(folder / KEY_FILE))


def kept_secret(file: Path) -> bytes:
    """The secret in `file`, made there once and readable by its owner only; raises `TokenKeyError` if others may."""
    if not file.exists():
        _create(file)
    if file.stat().st_mode & 0o077:
        raise TokenKeyError(f"{file} can be read by others; run: chmod 600 {file}")
    return file.read_bytes().strip()


def _create(file: Path) -> None:
    """Write a fresh key aside and link it into place: two processes that start at once agree on one key."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = file.with_name(f".{file.name}.{secrets.token_hex(8)}")  # two threads share a process id
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as stream:
            stream.write(secrets.token_hex(32))
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(aside, file)
        except FileExistsError:
            return
    finally:
        aside.unlink()
