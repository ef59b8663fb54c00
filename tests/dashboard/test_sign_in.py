"""Whoever reaches the dashboard from elsewhere shows a key of the home; nothing is drawn before."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from streamlit import config
from streamlit.testing.v1 import AppTest

from credit_risk_platform.adapters.api_keys import ApiKeys, Role
from credit_risk_platform.cli.dashboard import SCRIPT
from credit_risk_platform.dashboard import sign_in
from credit_risk_platform.dashboard.sign_in import WRONG_KEYS_OF_ONE, Attempts
from credit_risk_platform.settings import Settings
from tests.dashboard_book import new_book

WRONG = f"crp_{'0' * 12}_{'0' * 64}"


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return new_book(tmp_path_factory.mktemp("home"))


@pytest.fixture(autouse=True)
def _everywhere(book: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CRP_HOME", str(book.home))
    monkeypatch.setattr(sign_in, "_address", lambda: "10.0.0.1")
    before = config.get_option("server.address")
    config.set_option("server.address", "0.0.0.0")
    forget()
    yield
    config.set_option("server.address", before)


def forget() -> None:
    """Wrong keys of other tests, and keys that were read: a ring looks at its file once a second."""
    sign_in._attempts.clear()
    sign_in._key_ring.clear()


def guarded() -> None:
    """Stands for the pages, which draw slowly."""
    import streamlit as st

    from credit_risk_platform.dashboard import sign_in

    sign_in.gate()
    st.metric("Reader", sign_in.reader_name())


def opened() -> AppTest:
    return AppTest.from_function(guarded, default_timeout=60).run()


def signed_in(app: AppTest, key: str) -> AppTest:
    app.text_input[0].set_value(key)
    return app.button[0].click().run()


def is_open(app: AppTest) -> bool:
    assert not app.exception
    return bool(app.metric) and not app.text_input


def test_the_pages_stand_behind_it(book: Settings) -> None:
    key = ApiKeys(book.paths.secrets).create("first", Role.ANALYST, datetime.now(UTC))
    app = AppTest.from_file(str(SCRIPT), default_timeout=60).run()
    assert not is_open(app)
    assert not app.sidebar.multiselect
    app = signed_in(app, key)
    assert is_open(app)
    assert app.sidebar.multiselect


@pytest.mark.parametrize("role", Role)
def test_a_live_key_of_any_role_opens_it(book: Settings, role: Role) -> None:
    key = ApiKeys(book.paths.secrets).create(f"a-{role}", role, datetime.now(UTC))
    app = opened()
    assert not is_open(app)
    app = signed_in(app, key)
    assert is_open(app)
    assert app.metric[0].value == f"a-{role}"  # the name in the log of exports


def test_neither_a_wrong_nor_a_revoked_key_does_and_neither_is_told(
    book: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    keys = ApiKeys(book.paths.secrets)
    key = keys.create("bob", Role.ANALYST, datetime.now(UTC))
    app = signed_in(opened(), key)
    assert is_open(app)
    keys.revoke(key.split("_")[1], datetime.now(UTC))
    forget()  # instead of waiting a second
    assert not is_open(app.run())  # the session ends with its key
    with caplog.at_level(logging.INFO):
        for one in (WRONG, key, "nonsense"):
            app = signed_in(opened(), one)
            assert not is_open(app)
            shown = " ".join(element.value for element in app.error)
            assert "No live key" in shown
            assert one not in shown
            assert one not in caplog.text
    assert "wrong key" in caplog.text


def test_after_a_few_wrong_keys_even_a_right_one_waits(book: Settings) -> None:
    key = ApiKeys(book.paths.secrets).create("eve", Role.ANALYST, datetime.now(UTC))
    app = opened()
    for _ in range(WRONG_KEYS_OF_ONE):
        app = signed_in(app, WRONG)
    app = signed_in(app, key)
    assert not is_open(app)
    assert "Too many" in app.error[0].value


def test_the_wait_is_of_one_address_and_ends() -> None:
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    for _ in range(WRONG_KEYS_OF_ONE):
        attempts.wrong("10.0.0.1")
    assert attempts.wait_seconds("10.0.0.1") == 60
    assert attempts.wait_seconds("10.0.0.2") == 0
    now[0] = 60.0
    assert attempts.wait_seconds("10.0.0.1") == 0


def test_this_machine_alone_needs_no_key_unless_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    config.set_option("server.address", "127.0.0.1")
    assert is_open(opened())
    monkeypatch.setenv("CRP_DASHBOARD_SIGN_IN", "true")
    assert not is_open(opened())


def test_a_server_that_names_no_address_listens_everywhere_and_asks() -> None:
    config.set_option("server.address", None)
    assert not is_open(opened())
