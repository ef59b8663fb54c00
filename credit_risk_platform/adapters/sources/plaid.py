"""Plaid: bank transactions of customers who linked their accounts, by days and by cursor.

https://plaid.com/docs/api/products/transactions. Amounts are in the currency's unit,
above zero for money that went out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, TypeAlias

from credit_risk_platform.adapters.fintech.source import (
    Connection,
    ConnectionLostError,
    Delivery,
    RecordShape,
)
from credit_risk_platform.adapters.http_source import READ_SECONDS, HttpSource, SourceError

Page: TypeAlias = "tuple[str, dict[str, Any]]"
"""An answer as text and parsed."""
PAGE_ROWS = 500
"""As many as Plaid gives at once."""
PER_MINUTE = 30
"""What Plaid allows a login for /transactions/get (50 for /transactions/sync)."""
RESTARTS = 5
_MUTATION = "TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION"
_NEXT_STEPS = {
    "ITEM_LOGIN_REQUIRED": "have the customer sign in at the bank again (Plaid Link in update mode)",
    "INVALID_ACCESS_TOKEN": "take the token out of CRP_PLAID_ACCESS_TOKENS, or put the customer's present one there",
    "ITEM_NOT_FOUND": "take the token out of CRP_PLAID_ACCESS_TOKENS: the customer has withdrawn it",
    "ACCESS_NOT_GRANTED": "have the customer grant access to transactions (Plaid Link in update mode)",
    "PRODUCT_NOT_READY": "wait: Plaid still fetches the account's history; the next poll asks again",
    "RATE_LIMIT_EXCEEDED": "wait for the next poll; if it lasts, ask Plaid for a higher limit",
    "INVALID_API_KEYS": "set CRP_PLAID_CLIENT_ID and CRP_PLAID_SECRET of the environment that CRP_PLAID_URL names",
}
_LOST = {"ITEM_LOGIN_REQUIRED", "INVALID_ACCESS_TOKEN", "ITEM_NOT_FOUND", "ACCESS_NOT_GRANTED", "PRODUCT_NOT_READY"}

_DETAILED = {
    "INCOME_WAGES": "salary",
    "BANK_FEES_INSUFFICIENT_FUNDS": "returned_payment",
    "BANK_FEES_OVERDRAFT_FEES": "overdraft",
    "RENT_AND_UTILITIES_RENT": "rent",
    "FOOD_AND_DRINK_GROCERIES": "groceries",
    "TRANSFER_OUT_WITHDRAWAL": "cash",
    "TRANSFER_IN_DEPOSIT": "cash",
}
_PRIMARY = {
    "INCOME": "income", "TRANSFER_IN": "transfer", "TRANSFER_OUT": "transfer", "LOAN_PAYMENTS": "loan_payment",
    "BANK_FEES": "fee", "ENTERTAINMENT": "card", "FOOD_AND_DRINK": "card", "GENERAL_MERCHANDISE": "card",
    "HOME_IMPROVEMENT": "card", "MEDICAL": "card", "PERSONAL_CARE": "card", "GENERAL_SERVICES": "card",
    "TRANSPORTATION": "card", "TRAVEL": "card", "RENT_AND_UTILITIES": "card",
}  # fmt: skip
"""Plaid's personal finance categories -> ours; what stands in neither is `other`."""


def _category() -> str:
    cases = [
        f"when record ->> '$.personal_finance_category.{level}' = '{theirs}' then '{ours}'"
        for level, words in (("detailed", _DETAILED), ("primary", _PRIMARY))
        for theirs, ours in words.items()
    ]
    return f"case {' '.join(cases)} end"


SHAPE = RecordShape(
    transaction_id="record ->> '$.transaction_id'",
    account_id="record ->> '$.account_id'",
    booked_on="record ->> '$.date'",
    booked_at="record ->> '$.datetime'",
    raw_amount="record ->> '$.amount'",
    amount="-number",
    # Either one or the other: what has no ISO code (crypto, points) is not landed.
    currency="coalesce(record ->> '$.iso_currency_code', record ->> '$.unofficial_currency_code')",
    category=_category(),
    provider_category="record ->> '$.personal_finance_category.detailed'",
    pending="record ->> '$.pending'",
    counterparty="coalesce(record ->> '$.merchant_entity_id', record ->> '$.counterparties[0].entity_id', "
    "lower(record ->> '$.counterparties[0].name'), lower(record ->> '$.name'))",
    owner="lower(record ->> '$.account_owner')",
    channel="record ->> '$.payment_channel'",
    lists=("$.transactions", "$.added", "$.modified"),
    removed="$.removed",
    facts=(
        "amount", "iso_currency_code", "date", "datetime", "authorized_date", "authorized_datetime", "payment_channel",
        "pending", "pending_transaction_id", "personal_finance_category", "transaction_code", "transaction_type",
        "location.country",
    ),
    known=(
        "transaction_id", "account_id", "account_owner", "unofficial_currency_code", "check_number", "counterparties",
        "location", "name", "merchant_name", "merchant_entity_id", "logo_url", "website", "payment_meta",
        "personal_finance_category_icon_url", "original_description", "category", "category_id",
    ),
)  # fmt: skip


class PlaidClient:
    """Plaid's answers as it gave them. Raises `SourceError`, whose text names no key, token, customer or account."""

    def __init__(
        self,
        client_id: str,
        secret: str,
        *,
        url: str,
        tokens: Sequence[str] = (),
        per_minute: int = PER_MINUTE,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        self._headers = {"PLAID-CLIENT-ID": client_id, "PLAID-SECRET": secret, "Plaid-Version": "2020-09-14"}
        self.http = HttpSource(
            "Plaid", url, setting="CRP_PLAID_URL", secrets=(client_id, secret, *tokens), per_minute=per_minute,
            sleep=sleep, clock=clock, read_seconds=read_seconds,
        )  # fmt: skip

    def __repr__(self) -> str:
        return "PlaidClient(***)"

    def get_plaid_transactions(self, access_token: str, start_date: date, end_date: date) -> list[dict[str, Any]]:
        """Every transaction of those days, both included, as Plaid describes them. Personal data."""
        pages = self.pages_between(access_token, start_date, end_date)
        return [transaction for _, page in pages for transaction in page["transactions"]]

    def pages_between(self, access_token: str, first: date, last: date) -> list[Page]:
        """(text, parsed) of each page of /transactions/get. Fetched again where the list changed between two pages."""
        for _ in range(1 + RESTARTS):
            pages: list[Page] = []
            held = 0
            while not pages or held < pages[-1][1]["total_transactions"]:
                page = self._post("/transactions/get", access_token, {
                    "start_date": first.isoformat(), "end_date": last.isoformat(),
                    "options": {"count": PAGE_ROWS, "offset": held},
                }, ("transactions", "total_transactions"))  # fmt: skip
                pages.append(page)
                held += len(page[1]["transactions"])
                if not page[1]["transactions"]:
                    break
            ids = [transaction.get("transaction_id") for _, page in pages for transaction in page["transactions"]]
            known = [one for one in ids if one is not None]  # one without an id is the landing's to refuse
            if len(set(known)) == len(known) and held == pages[-1][1]["total_transactions"]:
                return pages
        raise SourceError(
            f"Plaid's list of {first} to {last} changed or repeated itself while it was read, {1 + RESTARTS} times; "
            "nothing was landed. Next step: fetch these days again later."
        )

    def pages_since(self, access_token: str, cursor: str | None) -> list[Page]:
        """(text, parsed) of each page of one whole update of /transactions/sync.

        Where the data changed between two pages, Plaid asks to begin again from the cursor of the update's first page;
        what was read until then is dropped.
        """
        for _ in range(1 + RESTARTS):
            pages: list[Page] = []
            at = cursor
            while True:
                page = self._sync(access_token, at)
                if page is None:
                    break
                pages.append(page)
                if not page[1]["has_more"]:
                    return pages
                if page[1]["next_cursor"] == at:
                    raise SourceError(
                        "Plaid says that there is more, and names the same cursor again; nothing was landed. "
                        "Next step: wait for the next poll; if it lasts, report it to Plaid."
                    )
                at = page[1]["next_cursor"]
        raise SourceError(
            f"Plaid's transactions changed while they were read, {1 + RESTARTS} times; nothing was landed. "
            "Next step: wait for the next poll."
        )

    def close(self) -> None:
        self.http.close()

    # ---------------------------------------------------------------- inside

    def _sync(self, access_token: str, cursor: str | None) -> Page | None:
        """A page, or None where the update has to begin again."""
        body = {"count": PAGE_ROWS, **({"cursor": cursor} if cursor is not None else {})}
        try:
            return self._post("/transactions/sync", access_token, body, ("added", "has_more", "next_cursor"))
        except PlaidRefusalError as refusal:
            if refusal.code == _MUTATION:
                return None
            raise

    def _post(self, path: str, access_token: str, body: Mapping[str, Any], needed: tuple[str, ...]) -> Page:
        answer = self.http.ask(
            "POST", path, key=access_token, body={"access_token": access_token, **body}, headers=self._headers
        )
        found = self.http.parsed(answer)
        if answer.status == 200 and all(name in found for name in needed):
            return answer.text, found
        code = self.http.clean(found.get("error_code"), 60)
        request = self.http.clean(found.get("request_id"), 60)
        step = _NEXT_STEPS.get(code, "look the code up at plaid.com/docs/errors")
        text = f"Plaid answered {answer.status} {code} (request {request}). Next step: {step}."
        raise (PlaidLostError if code in _LOST else PlaidRefusalError)(text, code)


class PlaidRefusalError(SourceError):
    """Plaid refused a request; `code` is its error_code."""

    def __init__(self, text: str, code: str) -> None:
        super().__init__(text)
        self.code = code


class PlaidLostError(PlaidRefusalError, ConnectionLostError):
    """Plaid reads this one login no longer, or not yet."""


class PlaidSource:
    """Implements `FintechSource`. `tokens`: customer id -> access token; `id#bank` for a customer's second bank."""

    name = "plaid"
    shape = SHAPE

    def __init__(self, client: PlaidClient, tokens: Mapping[str, str]) -> None:
        self._client, self._tokens = client, dict(tokens)

    def __repr__(self) -> str:
        return f"PlaidSource({len(self._tokens)} logins)"

    def connections(self) -> Sequence[Connection]:
        return [Connection(item, item.partition("#")[0]) for item in sorted(self._tokens)]

    def between(self, connection: Connection, first: date, last: date) -> Delivery:
        return self._delivered(self._client.pages_between, connection, (first, last), (first, last))

    def since(self, connection: Connection, cursor: str | None, today: date) -> Delivery:
        return self._delivered(self._client.pages_since, connection, (cursor,), None)

    def close(self) -> None:
        self._client.close()

    def _delivered(
        self,
        pages_of: Callable[..., list[Page]],
        connection: Connection,
        what: tuple[Any, ...],
        days: tuple[date, date] | None,
    ) -> Delivery:
        before = self._client.http.effort
        pages = pages_of(self._tokens[connection.name], *what)
        effort = self._client.http.effort - before
        cursor = pages[-1][1].get("next_cursor") if days is None else None
        return Delivery(tuple(text for text, _ in pages), effort, cursor, days)
