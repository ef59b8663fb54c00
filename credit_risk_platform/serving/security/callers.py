"""Who is calling: the key a request shows, checked against the key file; and what a route asks of the caller's role."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from fastapi import Request
from starlette.datastructures import Headers

from credit_risk_platform.adapters.api_keys import ApiKeyError, KeyRing, Role
from credit_risk_platform.serving.problems import Kind, Problem
from credit_risk_platform.serving.security.roles import SEE_SUBJECTS

log = logging.getLogger(__name__)
_HOW = "Send `Authorization: Bearer crp_...` or `X-API-Key: crp_...`; keys are made with `crp keys create`."


@dataclass(frozen=True)
class Caller:
    """The client a live key belongs to."""

    client: str
    role: Role
    key_id: str

    @property
    def sees_subjects(self) -> bool:
        """Whether an answer may carry the subject token."""
        return self.role in SEE_SUBJECTS


def authenticate(headers: Headers, keys: KeyRing, now: datetime) -> Caller:
    """The caller.

    Raises:
        Problem: 401 without a live key; 503 when the key file cannot be used, so that nobody is let in by it.
    """
    presented = _presented(headers)
    if presented is None:
        raise _unauthenticated("This request carries no API key.")
    try:
        key = keys.find(presented, now)
    except (ApiKeyError, OSError) as error:
        log.error("API keys cannot be read: %s", error)
        raise Problem(Kind.NOT_READY, "API keys cannot be checked now; the server's log says why.") from None
    if key is None:
        # One answer for unknown, ended and revoked keys: it tells nothing about the keys there are.
        raise _unauthenticated("This API key is unknown, has ended or was revoked.")
    return Caller(key.client, key.role, key.id)


def require(*roles: Role) -> Callable[..., Awaitable[Caller]]:
    """FastAPI dependency: the caller, whose role must be one of `roles`.

    Raises:
        Problem: 403, which names the roles that may.
    """

    async def caller(request: Request) -> Caller:
        found: Caller = request.state.caller  # set by the gate, which lets nobody in without a key
        if found.role not in roles:
            needed = ", ".join(roles)
            raise Problem(
                Kind.FORBIDDEN,
                f"This key has the role {found.role}; this route takes: {needed}. Ask for a key with one of these.",
            )
        return found

    return caller


def _presented(headers: Headers) -> str | None:
    if (key := headers.get("x-api-key")) is not None:
        return key
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else None


def _unauthenticated(detail: str) -> Problem:
    return Problem(Kind.UNAUTHENTICATED, f"{detail} {_HOW}", headers={"WWW-Authenticate": "Bearer"})
