"""Requests that keep quiet: no word of one in any log while it is sent, and of its failure only what kind it was.

urllib3 writes paths and queries, where account numbers and the passwords of webhooks stand; so do its errors.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

CONNECT_SECONDS = 3.05
_LOGGERS = ("urllib3.connectionpool", "urllib3.util.retry")
_sending: ContextVar[bool] = ContextVar("sending", default=False)


class _NotWhileSending(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not _sending.get()


_QUIET = _NotWhileSending()


@contextmanager
def unlogged() -> Iterator[None]:
    """Whatever this thread's HTTP library says within is dropped; other threads' words are not."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_QUIET)
    token = _sending.set(True)
    try:
        yield
    finally:
        _sending.reset(token)


def what_failed(error: Exception, read_seconds: float) -> str:
    """What went wrong, from the type alone: the text of these errors holds the address."""
    import requests
    from urllib3.exceptions import TimeoutError as BrokenOffError

    if isinstance(error, requests.exceptions.ConnectTimeout):
        return f"could not be reached within {CONNECT_SECONDS:.0f} s"
    if isinstance(error, (requests.exceptions.Timeout, BrokenOffError)):
        return f"did not answer within {read_seconds:g} s"
    if isinstance(error, requests.exceptions.SSLError):
        return "has no certificate that this machine trusts"
    if isinstance(error, requests.exceptions.ConnectionError):
        return "could not be reached, or hung up"
    return f"could not be asked ({type(error).__name__})"
