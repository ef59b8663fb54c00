"""RazorpayX: what moved on a business account, newest first, in pages without a total.

https://razorpay.com/docs/api/x/transactions. Amounts are whole paise; times are seconds since 1970. A booking is final.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from credit_risk_platform.adapters.fintech.source import Connection, ConnectionLostError, Delivery, Flaw, RecordShape
from credit_risk_platform.adapters.http_source import READ_SECONDS, HttpSource, SourceError
from credit_risk_platform.domain.contracts.reasons import Reason

PAGE_ROWS = 100
"""As many as RazorpayX gives at once."""
PER_MINUTE = 60
REPEATS = 3
LOOK_BACK_DAYS = 3
"""A poll fetches so many days before the newest booking again: some are booked late."""
FIRST_POLL_DAYS = 30
"""How far the first poll goes back; older days are a backfill's."""
_NEXT_STEPS = {
    401: "set CRP_RAZORPAYX_KEY_ID and CRP_RAZORPAYX_KEY_SECRET; a key that was regenerated is dead at once",
    403: "have this server's address allowed in RazorpayX's dashboard, or use a key that may read transactions",
    429: "wait for the next poll; if it lasts, ask Razorpay for a higher limit",
}

_PAISE = "try_cast(record ->> '$.{}' as decimal(18, 0))"
_DAY = "strftime(try(make_timestamp(try_cast(record ->> '$.created_at' as bigint) * 1000000)), '{}')"
_ENTITIES = {
    "bank_transfer": "transfer", "payout": "transfer", "external": "transfer", "reversal": "returned_payment",
    "payout_reversal": "returned_payment", "fund_account.validation": "fee", "fee": "fee",
}  # fmt: skip
_CATEGORY = " ".join(f"when '{theirs}' then '{ours}'" for theirs, ours in _ENTITIES.items())

SHAPE = RecordShape(
    transaction_id="record ->> '$.id'",
    account_id="record ->> '$.account_number'",
    booked_on=f"coalesce({_DAY.format('%Y-%m-%d')}, record ->> '$.created_at')",
    booked_at=_DAY.format("%Y-%m-%dT%H:%M:%SZ"),
    raw_amount="record ->> '$.amount'",
    amount=f"(case when {_PAISE.format('debit')} > 0 then -number else number end) * 0.01",
    currency="record ->> '$.currency'",
    category=f"case record ->> '$.source.entity' {_CATEGORY} end",
    provider_category="record ->> '$.source.entity'",
    balance_after=f"{_PAISE.format('balance')} * 0.01",
    counterparty="coalesce(record ->> '$.source.payer_account', record ->> '$.source.contact_id', "
    "record ->> '$.source.fund_account_id')",
    channel="record ->> '$.source.mode'",
    lists=("$.items",),
    facts=(
        "entity", "amount", "currency", "credit", "debit", "balance", "created_at", "source.id", "source.entity",
        "source.mode", "source.status", "source.amount", "source.fees", "source.tax", "source.fee_type",
        "source.created_at",
    ),
    known=("id", "account_number", "source"),
    currencies=frozenset({"INR"}),
    flaws=(
        Flaw(
            "amount",
            f"number is not null and {_PAISE.format('credit')} + {_PAISE.format('debit')} is distinct from number",
            Reason.OUT_OF_RANGE,
            "Report the record to Razorpay: credit and debit do not come to the amount, so its sign or unit is unsure.",
        ),
    ),
)  # fmt: skip


class RazorpayXClient:
    """RazorpayX's answers as it gave them. Raises `SourceError`, whose text names no key and no account."""

    def __init__(
        self,
        key_id: str,
        key_secret: str,
        account_number: str,
        *,
        url: str,
        per_minute: int = PER_MINUTE,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        self._auth, self._account = (key_id, key_secret), account_number
        self.http = HttpSource(
            "RazorpayX", url, setting="CRP_RAZORPAYX_URL", secrets=(key_id, key_secret, account_number),
            per_minute=per_minute, sleep=sleep, clock=clock, read_seconds=read_seconds,
        )  # fmt: skip

    def __repr__(self) -> str:
        return "RazorpayXClient(***)"

    def get_razorpay_transactions(self, limit: int = 100, page_size: int = 50) -> list[dict[str, Any]]:
        """The newest `limit` transactions at most, as RazorpayX describes them. Personal data."""
        found: dict[Any, dict[str, Any]] = {}
        for _, items in self.pages({}, page_size, limit):
            found.update((item.get("id"), item) for item in items)
        return list(found.values())[:limit]

    def pages_between(self, first: date, last: date) -> list[str]:
        """Text of each page with the bookings of those days (UTC)."""
        window = {"from": _epoch(first), "to": _epoch(last + timedelta(days=1)) - 1}
        return [text for text, _ in self.pages(window, PAGE_ROWS)]

    def pages(
        self, window: dict[str, int], page_size: int, limit: int | None = None
    ) -> list[tuple[str, list[dict[str, Any]]]]:
        """(text, items) of each page until a short one.

        There is no total, so a page that was served twice would hide another one: it is asked for again. Bookings that
        come in between push some of a page to the next one, and cost nothing: they are told apart by their ids.
        """
        seen: set[Any] = set()
        pages: list[tuple[str, list[dict[str, Any]]]] = []
        skip = 0
        while limit is None or len(seen) < limit:
            page = self._page({**window, "skip": skip, "count": page_size}, seen)
            pages.append(page)
            seen.update(item.get("id") for item in page[1])
            skip += len(page[1])
            if len(page[1]) < page_size:
                break
        return pages

    def close(self) -> None:
        self.http.close()

    # ---------------------------------------------------------------- inside

    def _page(self, query: dict[str, int], seen: set[Any]) -> tuple[str, list[dict[str, Any]]]:
        for _ in range(1 + REPEATS):
            text, items = self._get(query)
            if not items or not seen or any(item.get("id") not in seen for item in items):
                return text, items
        raise SourceError(
            f"RazorpayX gave the same page again at skip={query['skip']}, {1 + REPEATS} times, so what stands there is "
            "not known; nothing was landed. Next step: fetch these days again later."
        )

    def _get(self, query: dict[str, int]) -> tuple[str, list[dict[str, Any]]]:
        answer = self.http.ask(
            "GET", "/v1/transactions", key="", params={"account_number": self._account, **query}, auth=self._auth
        )
        found = self.http.parsed(answer)
        items = found.get("items")
        if answer.status == 200 and isinstance(items, list):
            return answer.text, items
        error = found.get("error")
        code = self.http.clean(error.get("code") if isinstance(error, dict) else "without an error code", 60)
        step = _NEXT_STEPS.get(answer.status, "look the code up at razorpay.com/docs/errors")
        text = f"RazorpayX answered {answer.status} {code}. Next step: {step}."
        raise (ConnectionLostError if answer.status in (401, 403) else SourceError)(text)


class RazorpayXSource:
    """Implements `FintechSource` for one account. Its cursor is the day of its last poll."""

    name = "razorpayx"
    shape = SHAPE

    def __init__(self, client: RazorpayXClient, account_number: str) -> None:
        self._client, self._account = client, account_number

    def __repr__(self) -> str:
        return "RazorpayXSource(***)"

    def connections(self) -> Sequence[Connection]:
        return [Connection(self._account, f"account:{self.name}:{self._account}")]

    def between(self, connection: Connection, first: date, last: date) -> Delivery:
        before = self._client.http.effort
        pages = tuple(self._client.pages_between(first, last))
        return Delivery(pages, self._client.http.effort - before, days=(first, last))

    def since(self, connection: Connection, cursor: str | None, today: date) -> Delivery:
        """All days from a little before the cursor's on: bookings are final, so what is older stays as it is."""
        since = date.fromisoformat(cursor) - timedelta(days=LOOK_BACK_DAYS) if cursor else None
        first = min(since or today - timedelta(days=FIRST_POLL_DAYS), today)
        delivery = self.between(connection, first, today)
        return Delivery(delivery.pages, delivery.effort, today.isoformat(), delivery.days)

    def close(self) -> None:
        self._client.close()


def _epoch(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
