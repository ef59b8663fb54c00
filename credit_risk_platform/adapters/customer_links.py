"""Links to a customer's own page: signed, so nobody can make one, and ending by themselves. They carry a score id."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from credit_risk_platform.adapters.tokens import TokenKeyError, kept_secret

if TYPE_CHECKING:
    from itsdangerous import URLSafeTimedSerializer

KEY_FILE = "customer_link_key"
SALT = "a customer's own page"
SHORTEST = 16


class CustomerLinks:
    """Makes and reads the token of a link. Times are passed in, with their zone."""

    def __init__(self, secret: bytes, days: int) -> None:
        self._secret, self._lasts = secret, timedelta(days=days)

    def __repr__(self) -> str:
        return "CustomerLinks(***)"

    def token(self, score_id: str, now: datetime) -> str:
        """The token that opens the page of this score until `now` and the days a link lasts."""
        return str(self._serializer(now).dumps(score_id))

    def score_id(self, token: str, now: datetime) -> str | None:
        """Whose page a token opens; `None` for one that was forged, changed, has ended, or is from the future."""
        from itsdangerous import BadSignature

        try:
            found = self._serializer(now).loads(token, max_age=int(self._lasts.total_seconds()))
        except BadSignature:  # an ended one is one of these
            return None
        return found if isinstance(found, str) else None

    def _serializer(self, now: datetime) -> URLSafeTimedSerializer:
        from itsdangerous import TimestampSigner, URLSafeTimedSerializer

        class At(TimestampSigner):  # the library asks the clock; ours is told
            def get_timestamp(self) -> int:
                return int(now.timestamp())

        return URLSafeTimedSerializer(
            self._secret,
            salt=SALT,
            signer=At,
            signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
        )


def link_secret(folder: Path, configured: str | None = None) -> bytes:
    """The configured secret, else the one kept in `folder`. Raises `TokenKeyError` for one that is too short."""
    if configured is None:
        return kept_secret(folder / KEY_FILE)
    if len(configured) < SHORTEST:
        raise TokenKeyError(
            f"CRP_CUSTOMER_LINK_KEY is shorter than {SHORTEST} characters; make one with `openssl rand -hex 32`."
        )
    return configured.encode()
