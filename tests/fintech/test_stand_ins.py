"""The stand-ins speak as the providers' own examples do: every key there is here, of the same kind."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from tests.fintech.conftest import TOKEN
from tests.fintech.stand_ins import plaid as plaid_book
from tests.fintech.stand_ins import razorpayx as razorpayx_book
from tests.fintech.stand_ins.server import Request

DAY = dt.date(2024, 3, 1)


@pytest.fixture
def examples(datasets: Path) -> Path:
    if not (datasets / "api").is_dir():
        pytest.skip(f"the providers' response examples are not at {datasets / 'api'}")
    return datasets / "api"


def example(file: Path) -> Any:
    return json.loads(file.read_text())


def shape(value: Any) -> Any:
    """Keys and kinds; a list is as its elements together, and what is null somewhere may be anything."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        merged: Any = None
        for inner in value:
            merged = together(merged, shape(inner))
        return [merged]
    return None if value is None else "number" if type(value) in (int, float) else type(value).__name__


def together(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return {key: together(one.get(key), other.get(key)) for key in {**one, **other}}
    if isinstance(one, list) and isinstance(other, list):
        return [together(one[0], other[0])]
    return one if other is None else other


def lacking(given: Any, theirs: Any, at: str = "") -> list[str]:
    """Where `given` says something else than `theirs`, or does not say it."""
    if isinstance(theirs, dict):
        if not isinstance(given, dict):
            return [at]
        return [gap for key, inner in theirs.items() for gap in
                (lacking(given[key], inner, f"{at}.{key}") if key in given else [f"{at}.{key}"])]  # fmt: skip
    if isinstance(theirs, list) and isinstance(given, list):
        return lacking(given[0], theirs[0], f"{at}[]")
    return [] if None in (given, theirs) or given == theirs else [f"{at}: {given} for {theirs}"]


def ask(server: Any, path: str, body: dict[str, Any], query: dict[str, str], headers: dict[str, str]) -> Any:
    return server.answer(Request("POST" if body else "GET", path, query, headers, body)).body


KEYS = {"plaid-client-id": plaid_book.CLIENT_ID, "plaid-secret": plaid_book.SECRET}


def test_plaid_s_list_by_dates_is_as_plaid_shows_it(plaid, examples: Path) -> None:
    plaid.add(TOKEN, [plaid_book.transaction("acc", 1, DAY)])
    body = {"access_token": TOKEN, "start_date": "2024-03-01", "end_date": "2024-03-01",
            "options": {"count": 500, "offset": 0}}  # fmt: skip
    given = ask(plaid, "/transactions/get", body, {}, KEYS)
    assert lacking(shape(given), shape(example(examples / "plaid" / "transactions_get.200.example-1.json"))) == []


def test_plaid_s_update_is_as_plaid_shows_it(plaid, examples: Path) -> None:
    kept, gone = (plaid_book.transaction("acc", number, DAY) for number in (1, 2))
    plaid.add(TOKEN, [kept, gone])
    plaid.add(TOKEN, [kept])
    plaid.remove(TOKEN, gone["transaction_id"])
    given = ask(plaid, "/transactions/sync", {"access_token": TOKEN, "count": 500}, {}, KEYS)
    assert lacking(shape(given), shape(example(examples / "plaid" / "transactions_sync.200.example-1.json"))) == []


def test_razorpayx_s_list_and_errors_are_as_razorpay_shows_them(razorpayx, razorpayx_client, examples: Path) -> None:
    folder = examples / "razorpay"
    at = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
    razorpayx.transactions = [razorpayx_book.transaction(number, at) for number in (0, 1)]
    page = [item for _, items in razorpayx_client.pages({}, 100) for item in items]
    theirs = example(folder / "docs_razorpayx_transactions_collection.json")
    assert lacking(shape({"entity": "collection", "count": 2, "items": page}), shape(theirs)) == []
    refused = razorpayx.answer(Request("GET", "/v1/transactions", {}, {}, {}))
    assert refused.status == 401
    assert lacking(shape(refused.body), shape(example(folder / "bad_request_error.json"))) == []
