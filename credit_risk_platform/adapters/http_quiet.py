"""No word of a request in any log while it is sent: urllib3 writes paths and queries, where account numbers stand."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

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
