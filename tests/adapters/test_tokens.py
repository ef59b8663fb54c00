"""Tokens: the same in Python and in DuckDB, useless without the key, and a key that stays secret."""

from __future__ import annotations

import hashlib
import hmac
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_risk_platform.adapters.tokens import TokenKey, TokenKeyError, load_token_key, token_sql


@settings(deadline=None)
@given(secret=st.binary(min_size=1, max_size=200), customer=st.text(max_size=300))
def test_duckdb_s_token_is_the_hmac_of_the_standard_library(secret: bytes, customer: str) -> None:
    key = TokenKey(secret)
    inner, outer = key.pads()
    connection = duckdb.connect()
    found = connection.execute(
        f"select {token_sql('$customer::varchar')}", {"customer": customer, "inner": inner, "outer": outer}
    ).fetchone()
    connection.close()
    assert found == (hmac.new(secret, customer.encode(), hashlib.sha256).hexdigest(),) == (key.token(customer),)


def test_a_token_of_nobody_is_null_and_not_the_token_of_nothing() -> None:
    connection = duckdb.connect()
    inner, outer = TokenKey(b"k").pads()
    assert connection.execute(f"select {token_sql('null::varchar')}", {"inner": inner, "outer": outer}).fetchone() == (
        None,
    )
    connection.close()


def test_the_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    first, second = load_token_key(tmp_path / "secrets"), load_token_key(tmp_path / "secrets")
    assert first == second
    assert len(first.secret) == 64
    assert (tmp_path / "secrets" / "pii_token_key").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in (tmp_path / "secrets").iterdir()] == ["pii_token_key"]


def test_threads_that_start_together_in_a_new_home_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: load_token_key(tmp_path / "secrets").secret, range(8)))
    assert len(keys) == 1
    assert [file.name for file in (tmp_path / "secrets").iterdir()] == ["pii_token_key"]


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    load_token_key(tmp_path)
    (tmp_path / "pii_token_key").chmod(0o644)
    with pytest.raises(TokenKeyError, match="chmod 600"):
        load_token_key(tmp_path)


def test_a_configured_key_is_used_and_no_file_is_made(tmp_path: Path) -> None:
    assert load_token_key(tmp_path, "sixteen letters!").secret == b"sixteen letters!"
    assert list(tmp_path.iterdir()) == []


def test_a_short_configured_key_is_refused_without_showing_it(tmp_path: Path) -> None:
    with pytest.raises(TokenKeyError, match="shorter than 16") as caught:
        load_token_key(tmp_path, "hunter2")
    assert "hunter2" not in str(caught.value)


def test_neither_a_key_nor_its_identifier_gives_the_key_away() -> None:
    key = TokenKey(b"a very secret key")
    assert "secret" not in repr(key)
    assert key.id != TokenKey(b"another secret key").id
    assert len(key.id) == 8
