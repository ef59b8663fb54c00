"""How a provider is asked over HTTP: bounded in time, verified, at its pace, again after a fault, silent on secrets.

Of dlt this uses the retrying session (back-off, Retry-After, which faults are worth another try). Its paging and its
incremental state are not used: dlt commits the state with its own load, and ours must stand or fall with the rows in
one transaction of the warehouse; and its client writes bodies and headers into its log at level DEBUG.
"""

from __future__ import annotations

import ipaddress
import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from credit_risk_platform.adapters.http_quiet import CONNECT_SECONDS, unlogged, what_failed
from credit_risk_platform.domain.privacy import blurred

READ_SECONDS = 30.0
TRIES = 6
PATIENCE_SECONDS = 300.0
"""A provider that says to come back later than this is left for the next poll."""
JITTER_SECONDS = 1.0
_MINUTE = 60.0


class SourceError(RuntimeError):
    """A provider could not be read; the text says what to do next, and names no secret."""


@dataclass(frozen=True)
class Effort:
    """What asking took."""

    requests: int = 0
    retries: int = 0
    waited_seconds: float = 0.0

    def __sub__(self, before: Effort) -> Effort:
        return Effort(
            self.requests - before.requests,
            self.retries - before.retries,
            round(self.waited_seconds - before.waited_seconds, 3),
        )


@dataclass(frozen=True)
class Answer:
    """Status, body and request id of an answer. The body may be personal: its text form shows nothing of it."""

    status: int
    text: str

    def __repr__(self) -> str:
        return f"Answer({self.status}, {len(self.text)} characters)"


class Pace:
    """At most `per_minute` requests within any minute, per key (a provider counts by login or by account)."""

    def __init__(self, per_minute: int, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self.per_minute, self._clock, self._sleep = per_minute, clock, sleep
        self._asked: dict[str, deque[float]] = {}

    def wait(self, key: str) -> float:
        """Sleeps until the next request may go; returns for how long."""
        asked = self._asked.setdefault(key, deque(maxlen=self.per_minute))
        waited = 0.0
        if len(asked) == self.per_minute and (left := asked[0] + _MINUTE - self._clock()) > 0:
            self._sleep(left)
            waited = left
        asked.append(self._clock())
        return waited


class HttpSource:
    """One provider at `url`. `name` and `setting` are what errors call it and its address; `secrets` are never shown.

    Raises `SourceError` at once where `url` would carry secrets over the network in the clear.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        setting: str,
        secrets: tuple[str, ...],
        per_minute: int,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        self.name, self._url, self._secrets = name, _checked(url, name, setting).rstrip("/"), secrets
        self._sleep, self._read_seconds = sleep, read_seconds
        self._pace = Pace(per_minute, clock, sleep)
        self._requests, self._retries, self._waited = 0, 0, 0.0
        self._made: Any = None
        self._key = ""

    def __repr__(self) -> str:
        return f"HttpSource({self.name})"

    @property
    def effort(self) -> Effort:
        """Since it was made; subtract an earlier one."""
        return Effort(self._requests, self._retries, self._waited)

    def ask(
        self,
        method: str,
        path: str,
        *,
        key: str,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> Answer:
        """The provider's answer, also where it refuses; `key` is whose allowance it costs. Raises `SourceError`."""
        import requests

        trouble: str | None = None
        self._key = key
        try:
            with unlogged():
                answer = self._session.request(
                    method, self._url + path, json=body, params=params, headers=headers, auth=auth,
                    allow_redirects=False,  # it would take the secrets with it
                )  # fmt: skip
                status, content = answer.status_code, answer.content
        except requests.RequestException as error:
            trouble = what_failed(error, self._read_seconds)
        # Out here, for an error keeps the one it was raised in, and that one knows address, query and body.
        if trouble:
            raise SourceError(f"{self.name} {trouble}. Next step: wait for the next poll, or look at the network.")
        if 300 <= status < 400:
            raise SourceError(f"{self.name} answered {status}: it has moved. Next step: set the new address.")
        return Answer(status, content.decode(errors="replace"))

    def parsed(self, answer: Answer) -> dict[str, Any]:
        """The answer's JSON object; raises `SourceError` where it is none. Numbers keep their spelling in `text`."""
        try:
            found = json.loads(answer.text)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise SourceError(
                f"{self.name} answered {answer.status} with something that is no JSON object ({len(answer.text)} "
                "characters). Next step: see whether a proxy stands between, and whether the address is the API's."
            )
        return found

    def clean(self, said: object, length: int = 200) -> str:
        """What a provider said, fit to be shown: without secrets, addresses and long numbers."""
        text = str(said)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return blurred(" ".join(text.split()))[:length]

    def close(self) -> None:
        if self._made is not None:
            self._made.close()
            self._made = None

    # ---------------------------------------------------------------- inside

    @property
    def _session(self) -> Any:
        if self._made is None:
            from dlt.sources.helpers.requests.retry import Client
            from tenacity import stop_after_attempt, stop_any, wait_random

            session = Client(
                request_timeout=(CONNECT_SECONDS, self._read_seconds),
                raise_for_status=False,  # its error would name the address with its query
                request_max_attempts=TRIES,
                request_backoff_factor=1,
                # Also bounds what it obeys of a Retry-After, so it stands above our patience.
                request_max_retry_delay=86_400,
            ).session
            send: Any = session.send  # wrapped by tenacity, whose settings may be changed
            session.send = send.retry_with(  # type: ignore[method-assign]
                wait=send.retry.wait + wait_random(0, JITTER_SECONDS),
                stop=stop_any(stop_after_attempt(TRIES), _too_long),  # type: ignore[arg-type]
                sleep=self._sleep,
                before=self._before_try,
                before_sleep=self._before_sleep,
            )
            self._made = session
        return self._made

    def _before_try(self, _: Any) -> None:
        self._waited += self._pace.wait(self._key)
        self._requests += 1

    def _before_sleep(self, state: Any) -> None:
        self._retries += 1
        self._waited += state.upcoming_sleep


def _too_long(state: Any) -> bool:
    return bool(state.upcoming_sleep > PATIENCE_SECONDS)


def _checked(url: str, name: str, setting: str) -> str:
    """`url`, which must be https but on this machine itself, and carry no password of its own."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https" and host and not parts.username and not parts.password:
        return url
    if parts.scheme == "http" and _is_loopback(host):
        return url
    raise SourceError(
        f"{setting} must be an https:// address without user and password in it: {name}'s keys would travel in the "
        f"clear. Next step: set {setting}; plain http is allowed to this machine only (127.0.0.1, ::1, localhost)."
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
