"""One POST of JSON, as every HTTP channel needs it: bounded in time, verified, and silent about its address.

The address of a webhook is its password, and urllib3 writes paths into its log; so it does not log while we send.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from credit_risk_platform.adapters.alerting.channels.base import ChannelError
from credit_risk_platform.adapters.http_quiet import CONNECT_SECONDS, unlogged, what_failed
from credit_risk_platform.domain.privacy import blurred

READ_SECONDS = 5.0
TRIES_AGAIN = 2
"""Within one call, after no connection or an answer 500, 502 or 504; later calls are the book's."""
SHORTEST_TOKEN = 6
_ABOUT_THIS_MESSAGE = {400, 413, 422}
_COME_BACK_LATER = {429, 503}
_LATER_SECONDS, _LATEST_SECONDS = 60.0, 3_600.0


def post(
    url: str,
    body: Mapping[str, Any],
    *,
    secrets: tuple[str, ...],
    headers: Mapping[str, str] | None = None,
    read_seconds: float = READ_SECONDS,
) -> None:
    """Returns once the receiver answered 2xx. Raises `ChannelError`, whose text names none of `secrets`."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.exceptions import HTTPError

    trouble = None
    with requests.Session() as session, unlogged():
        session.mount(_scheme(url), HTTPAdapter(max_retries=_tries()))
        try:
            answer = session.post(
                url,
                json=body,
                headers=headers,
                timeout=(CONNECT_SECONDS, read_seconds),
                allow_redirects=False,  # a POST would arrive as a GET, and be taken for sent
                stream=True,
            )
            with answer:
                said = answer.raw.read(300, decode_content=True).decode(errors="replace")
                code, wait = answer.status_code, answer.headers.get("Retry-After")
        except (requests.RequestException, HTTPError) as error:  # the second where the answer breaks off
            trouble = what_failed(error, read_seconds)
    # Out here, for an error keeps the one it was raised in, and that one knows the address.
    if trouble:
        raise ChannelError(f"{_host(url)} {trouble}")
    if not 200 <= code < 300:
        raise _refusal(_host(url), code, _clean(said, secrets), wait)


def secret_parts(url: str) -> tuple[str, ...]:
    """The address of a webhook, and what in it may be a token: long parts of path and query, and a password."""
    parts = _split(url)
    pieces = [*re.split(r"[/&=?]", f"{parts.path}?{parts.query}"), parts.password or ""]
    return (url, *(piece for piece in pieces if len(piece) >= SHORTEST_TOKEN))


def _refusal(host: str, code: int, said: str, wait: str | None) -> ChannelError:
    text = f"{host} answered {code}" + (f": {said}" if said else "")
    if code in _COME_BACK_LATER:
        return ChannelError(text, retry_after=_seconds(wait))
    if 300 <= code < 400:
        return ChannelError(f"{text} (it has moved: set the new address)")
    if code in (401, 403, 404, 410):
        return ChannelError(f"{text} (address or key is wrong or was withdrawn: set a new one)")
    return ChannelError(text, refused=code in _ABOUT_THIS_MESSAGE)


def _seconds(wait: str | None) -> float:
    """Retry-After, in seconds or as a date, within bounds; one minute where it says nothing that can be read."""
    from urllib3.exceptions import InvalidHeader
    from urllib3.util import Retry

    try:
        asked = Retry().parse_retry_after(wait) if wait else _LATER_SECONDS
    except InvalidHeader:
        asked = _LATER_SECONDS
    return min(max(asked, 1.0), _LATEST_SECONDS)


def _tries() -> Any:
    from urllib3.util import Retry

    return Retry(
        total=TRIES_AGAIN,
        read=False,  # the message may have arrived
        other=0,
        status_forcelist={500, 502, 504},
        allowed_methods=None,
        backoff_factor=0.2,
        respect_retry_after_header=False,  # the book waits, not this process
        raise_on_status=False,
    )


def _scheme(url: str) -> str:
    scheme = _split(url).scheme
    if scheme not in ("http", "https"):
        raise ChannelError("the address that is set starts with neither https:// nor http://")
    return f"{scheme}://"


def _host(url: str) -> str:
    return _split(url).hostname or "the receiver"


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        raise ChannelError("the address that is set is none: set another") from None


def _clean(said: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        said = said.replace(secret, "***")
    return blurred(" ".join(said.split()))[:200]
