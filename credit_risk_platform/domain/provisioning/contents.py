"""A small model's content as one name: the SHA-256 of its canonical JSON."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical(stored: dict[str, Any]) -> bytes:
    """JSON with sorted keys and no spaces: the same numbers give the same bytes."""
    return json.dumps(stored, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def sha256_of(stored: dict[str, Any]) -> str:
    """64 hex digits that name the content."""
    return hashlib.sha256(canonical(stored)).hexdigest()
