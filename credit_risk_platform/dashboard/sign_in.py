"""Who reads: anybody on this machine where the dashboard is bound to loopback, else who holds an API key of the home.

Every role may read: the pages show no customer, and nothing here writes. A key that is revoked or ends signs its reader
out at the next page. Keys are compared in constant time, and neither shown, kept nor logged.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import streamlit as st

from credit_risk_platform.adapters.api_keys import ApiKey, ApiKeyError, ApiKeys, KeyRing
from credit_risk_platform.adapters.kafka_ports import is_loopback
from credit_risk_platform.dashboard import lake

LOCAL = "local"
"""The name of a reader who needs no key."""
WRONG_KEYS, WRONG_KEYS_OF_ONE, WINDOW_SECONDS = 60, 5, 60.0
_SIGNED_IN = "signed_in_key_id"
_log = logging.getLogger(__name__)


class Attempts:
    """Wrong keys of the last minute, by address and in all: beyond a few, no key is looked at for a while."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._wrong: deque[tuple[float, str]] = deque()

    def wait_seconds(self, address: str) -> float:
        """How long this address has to wait before its next try; 0 when it may try now."""
        with self._lock:
            now = self._monotonic()
            while self._wrong and self._wrong[0][0] <= now - WINDOW_SECONDS:
                self._wrong.popleft()
            own = [at for at, who in self._wrong if who == address]
            full = own if len(own) >= WRONG_KEYS_OF_ONE else []
            if len(self._wrong) >= WRONG_KEYS:
                full = [self._wrong[0][0], *full]
            return max(0.0, full[0] + WINDOW_SECONDS - now) if full else 0.0

    def wrong(self, address: str) -> None:
        with self._lock:
            self._wrong.append((self._monotonic(), address))


def required() -> bool:
    """Unless the server listens on loopback alone; `CRP_DASHBOARD_SIGN_IN` asks there too (behind a proxy)."""
    address = st.get_option("server.address")
    return lake.settings().dashboard_sign_in or not address or not is_loopback(str(address))


def reader_name() -> str:
    """The client name of the reader's key, as `crp keys list` shows it; `local` where none is needed."""
    key = _present()
    return key.client if key is not None else LOCAL


def admitted() -> bool:
    """Whether the reader is signed in, or need not be."""
    return not required() or _present() is not None


def gate() -> None:
    """Draw the sign-in and stop here, unless the reader is admitted."""
    if admitted():
        return
    st.session_state.pop(_SIGNED_IN, None)
    st.title("Credit risk dashboard")
    with st.form("sign-in", width=480):
        presented = st.text_input(
            "API key", type="password", autocomplete="off", help="Made with: crp keys create NAME --role analyst"
        )
        if st.form_submit_button("Sign in", type="primary"):
            _try(presented)
    st.caption("Any live key of this platform opens the dashboard. It is not kept: a reload asks again.")
    st.stop()


def who() -> None:
    """Say in the sidebar who is signed in, with the way out; nothing where no key was asked for."""
    if (key := _present()) is not None:
        with st.sidebar:
            st.caption(f"Signed in as {key.client} ({key.role})")
            st.button("Sign out", on_click=lambda: st.session_state.pop(_SIGNED_IN, None))


def _try(presented: str) -> None:
    address = _address()
    if (wait := _attempts().wait_seconds(address)) > 0:
        st.error(f"Too many wrong keys. Try again in {wait:.0f} s.")
        return
    try:
        key = _ring().find(presented.strip(), datetime.now(UTC))
    except ApiKeyError as error:
        st.error(str(error))
        return
    if key is None:
        _attempts().wrong(address)
        _log.warning("dashboard: a wrong key from %s", address)
        st.error("No live key: see `crp keys list`, or make one with `crp keys create NAME --role analyst`.")
        return
    _log.info("dashboard: %s (%s) signed in with key %s", key.client, key.role, key.id)
    st.session_state[_SIGNED_IN] = key.id
    st.rerun()


def _address() -> str:
    return st.context.ip_address or "this machine"


def _present() -> ApiKey | None:
    key_id = st.session_state.get(_SIGNED_IN)
    return _ring().live(key_id, datetime.now(UTC)) if key_id is not None else None


def _ring() -> KeyRing:
    return _key_ring(str(lake.settings().paths.secrets))


@st.cache_resource(show_spinner=False)
def _key_ring(folder: str) -> KeyRing:
    return KeyRing(ApiKeys(Path(folder)))


@st.cache_resource(show_spinner=False)
def _attempts() -> Attempts:
    return Attempts()
