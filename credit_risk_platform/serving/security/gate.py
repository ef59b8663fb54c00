"""The ASGI middleware every request passes: id, key, rate and size on the way in; headers and audit on the way out."""

from __future__ import annotations

import logging
import re
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from credit_risk_platform.adapters.api_keys import KeyRing
from credit_risk_platform.log_format import ACCESS
from credit_risk_platform.serving.problems import FieldError, Kind, Problem
from credit_risk_platform.serving.security.audit import AuditLog
from credit_risk_platform.serving.security.callers import authenticate
from credit_risk_platform.serving.security.rates import ClientRates

log = logging.getLogger(__name__)
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/docs", "/openapi.json"})
"""What needs no key: probes of the machine that runs us, and the contract. None of them tells about a person."""
CUSTOMER_PAGES = "/me/"
"""Below it a signed link is the key: whoever holds it sees one record, and no key of ours would help a customer."""
DOCS_FILES = "/docs-files"
"""Below it: scripts and styles of /docs."""
METRICS_PATH = "/metrics"
_FORWARDED = ("forwarded", "x-forwarded-for", "via")
_PROCESS, _NUMBERS = uuid.uuid4().hex[:20], count()  # ids without a system call each: those give the interpreter away
_REQUEST_ID = re.compile(r"[A-Za-z0-9._\-]{1,64}", re.ASCII)
# As ASGI sends them, and only appended: a dozen headers set one by one took longer than the rest of the gate.
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)
_DATA_ONLY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_PAGES = frozenset({"/docs"})  # a page of scripts; all other answers are data
UVICORN = {"server_header": False, "access_log": False, "proxy_headers": False, "timeout_keep_alive": 30}
"""How a server must be started for the promises here to hold: no banner, and no peer address out of a header."""


_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key: `crp_<id>_<secret>`."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key."},
}


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class GateOptions:
    """What the gate works with. `body_bytes` is the most a request may carry."""

    keys: KeyRing
    rates: ClientRates
    audit: AuditLog
    body_bytes: int = 8_000_000
    now: Callable[[], datetime] = field(default=_utc_now)


def install(app: FastAPI, options: GateOptions) -> None:
    """Put the gate before `app`, and the ways to show a key into its OpenAPI document."""
    app.add_middleware(Gate, options=options)
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        document.setdefault("components", {})["securitySchemes"] = _SCHEMES
        for path, operations in document["paths"].items():
            if path not in OPEN_PATHS:
                for operation in operations.values():
                    operation["security"] = [{name: []} for name in _SCHEMES]
        return document

    app.openapi = openapi  # type: ignore[method-assign]


class Gate:
    """The outermost of our middlewares, but for the one that takes the time."""

    def __init__(self, app: ASGIApp, options: GateOptions) -> None:
        self.app = app
        self.options = options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            try:
                await self.app(scope, receive, send)
            finally:
                self.options.audit.close()
            return
        if scope["type"] != "http":  # there is no route for web sockets, and none shall come without a key
            await send({"type": "websocket.close", "code": 1008})
            return
        visit = _Visit(scope, send)
        try:
            self._admit(scope, visit)
            await self.app(scope, _Limited(receive, self.options.body_bytes), visit.send)
        except Problem as problem:
            await visit.refuse(problem, receive)
        except Exception as error:  # noqa: BLE001 - the last resort: an answer for the client, a trace for us
            await visit.refuse(_unexpected(error, visit.request_id), receive)
        finally:
            entry = visit.entry()
            self.options.audit.write(entry)
            if ACCESS.isEnabledFor(logging.INFO):
                ACCESS.info("%s %s %s", entry["method"], entry["route"], entry["status"], extra=_fields(entry))

    def _admit(self, scope: Scope, visit: _Visit) -> None:
        headers = visit.request_headers
        path = scope["path"]
        near = visit.state["near"] = _on_this_machine(scope, headers)
        if not _is_open(path) and not (path == METRICS_PATH and near):
            caller = authenticate(headers, self.options.keys, self.options.now())
            visit.state["caller"] = caller
            visit.rate_headers = self.options.rates.take(caller.client)
        declared = headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > self.options.body_bytes:
            raise too_large(self.options.body_bytes)


def _fields(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != "time"}  # the log's line has its own


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith((f"{DOCS_FILES}/", CUSTOMER_PAGES))


class _Visit:
    """One request on its way through: its id, what the answer's headers must say, what the audit log will."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send = scope, send
        self._begun = time.perf_counter()
        self._time = _utc_now()
        self.request_headers = Headers(scope=scope)
        wanted = self.request_headers.get("x-request-id", "")
        self.request_id = wanted if _REQUEST_ID.fullmatch(wanted) else f"{_PROCESS}{next(_NUMBERS):012x}"
        self.state: dict[str, Any] = scope.setdefault("state", {})
        self.state["request_id"] = self.request_id
        self.rate_headers: dict[str, str] = {}
        self._status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            own = message.get("headers", ())
            message["headers"] = [*own, *self._headers(any(name == _DATA_ONLY[0] for name, _ in own))]
        await self._send(message)

    async def refuse(self, problem: Problem, receive: Receive) -> None:
        """Answer with the problem, unless an answer is already on its way: then the connection breaks off."""
        if self._status is not None:
            raise problem from None  # a server would log its cause, with what that quotes
        await problem.response(self.request_id)(self._scope, receive, self.send)

    def _headers(self, has_policy: bool) -> Iterator[tuple[bytes, bytes]]:
        """`has_policy`: the answer is a page that says itself what it may load."""
        yield from _HEADERS
        yield b"x-request-id", self.request_id.encode()
        if not has_policy and self._scope["path"] not in _PAGES:
            yield _DATA_ONLY
        for name, value in self.rate_headers.items():
            yield name.lower().encode(), value.encode()

    def entry(self) -> dict[str, Any]:
        """The line of the audit log. The route by its template: a path may hold anything a stranger typed."""
        caller = self.state.get("caller")
        route = self._scope.get("route")
        return {
            "time": self._time.isoformat(),
            "request_id": self.request_id,
            "client": caller.client if caller else None,
            "key_id": caller.key_id if caller else None,
            "role": caller.role if caller else None,
            "method": self._scope["method"],
            "route": getattr(route, "path", None),
            "status": self._status,
            "scores": self.state.get("scores", 0),
            "ms": round((time.perf_counter() - self._begun) * 1000, 2),
        }


class _Limited:
    """`receive` that stops at so many bytes, for bodies that come without a declared length, or with a false one."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._left, self._most = receive, most, most

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise too_large(self._most)
        return message


def too_large(most: int) -> Problem:
    """413 for a body above `most` bytes."""
    limit = f"{most / 1_000_000:g} MB"
    wrong = FieldError(
        field="", code="too-large", detail=f"The body is larger than {limit}.", fix="Send several smaller batches."
    )
    # The rest of the body is not read, so the connection cannot be used again.
    return Problem(Kind.TOO_LARGE, f"A request may carry {limit}.", [wrong], headers={"Connection": "close"})


def _unexpected(error: Exception, request_id: str) -> Problem:
    # Where, never what: the message of somebody else's exception may quote an applicant's data.
    stack = "".join(traceback.format_tb(error.__traceback__))
    log.error("request %s failed with %s\n%s", request_id, type(error).__qualname__, stack)
    return Problem(Kind.INTERNAL, f"Nothing is known to be wrong with the request. Report its id: {request_id}.")


def _on_this_machine(scope: Scope, headers: Headers) -> bool:
    """Whether the peer is a process beside us, and no proxy that speaks for somebody elsewhere."""
    host = (scope.get("client") or ("",))[0]
    near = host == "::1" or host.startswith("127.")
    return near and not any(name in headers for name in _FORWARDED)
