"""A zip whose bytes depend on its members only: for skops archives and for the model bundle."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

FIXED_DATE = (1980, 1, 1, 0, 0, 0)


def archive(members: Mapping[str, bytes]) -> bytes:
    """Members sorted by name, dates fixed, stored and not deflated: zlib's output differs between builds."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as target:
        for name in sorted(members):
            target.writestr(zipfile.ZipInfo(name, FIXED_DATE), members[name])
    return buffer.getvalue()
