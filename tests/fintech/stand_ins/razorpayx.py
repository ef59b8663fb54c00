"""RazorpayX as its documentation and its response examples describe it: GET /v1/transactions."""

from __future__ import annotations

import base64
import datetime as dt
from typing import Any

from tests.fintech.stand_ins.server import Reply, Request, StandIn

KEY_ID, KEY_SECRET, ACCOUNT = "rzp_live_n0t4l0g", "rzp-k3y-s3cr3t-n0t-4-10g", "7878780080316316"
PAYER, PAYER_ACCOUNT = "Saurav Kumar", "6543266545411243"


def transaction(number: int, at: dt.datetime, **changes: Any) -> dict[str, Any]:
    """Credits by bank transfer and debits by payout, in turn, with every field that the examples have."""
    paise, seconds = 12_345 + 100 * number, int(at.timestamp())
    credit = number % 2 == 0
    source: dict[str, Any] = (
        {"id": f"bt_{number:014}", "entity": "bank_transfer", "payer_name": PAYER, "payer_account": PAYER_ACCOUNT,
         "payer_ifsc": "UTIB0000002", "mode": "NEFT", "bank_reference": f"AXIR{number:012}", "amount": paise}
        if credit else
        {"id": f"pout_{number:014}", "entity": "payout" if number % 14 != 13 else "reversal",
         "fund_account_id": "fa_00000000000001", "amount": paise,
         "notes": {"notes_key_1": f"for {PAYER}", "notes_key_2": "decaf"}, "fees": 3, "tax": 1,
         "status": "processed", "utr": f"{number:012}", "mode": "NEFT", "created_at": seconds,
         "fee_type": None}
    )  # fmt: skip
    return {
        "id": f"txn_{number:014}",
        "entity": "transaction",
        "account_number": ACCOUNT,
        "amount": paise,
        "currency": "INR",
        "credit": paise if credit else 0,
        "debit": 0 if credit else paise,
        "balance": 10_000_000 + paise,
        "source": source,
        "created_at": seconds,
        **changes,
    }


class RazorpayXStandIn(StandIn):
    """One account's transactions, newest first."""

    def __init__(self) -> None:
        self.transactions: list[dict[str, Any]] = []
        self.repeat = 0
        """How many times the page before is served in place of the one asked for (at any skip but 0)."""
        super().__init__()

    def year(self, first: dt.date, days: int) -> None:
        """Zero to three transactions each day, some at its very ends."""
        hours = (0.0, 12.0, 23 + 59 / 60)
        number = len(self.transactions)
        for offset in range(days):
            midnight = dt.datetime.combine(first + dt.timedelta(days=offset), dt.time(), dt.UTC)
            for place in range(offset % 4):
                self.transactions.append(transaction(number, midnight + dt.timedelta(hours=hours[place])))
                number += 1

    def answer(self, request: Request) -> Reply:
        expected = base64.b64encode(f"{KEY_ID}:{KEY_SECRET}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {expected}":
            return error(401, f"The api key provided is invalid for {ACCOUNT}")
        if request.query.get("account_number") != ACCOUNT:
            return error(400, "The account number is invalid")
        skip, count = int(request.query.get("skip", 0)), int(request.query.get("count", 10))
        if not 1 <= count <= 100:
            return error(400, "The count must be between 1 and 100.")
        if skip and self.repeat:
            self.repeat -= 1
            skip -= count
        first, last = int(request.query.get("from", 0)), int(request.query.get("to", 2**40))
        within = [
            one
            for one in self.transactions
            if not isinstance(one["created_at"], int) or first <= one["created_at"] <= last
        ]
        within.sort(key=lambda one: (str(one["created_at"]), str(one["id"])), reverse=True)
        page = within[skip : skip + count]
        return Reply(200, {"entity": "collection", "count": len(page), "items": page})


def error(status: int, description: str) -> Reply:
    return Reply(status, {"error": {"code": "BAD_REQUEST_ERROR", "description": description, "field": None,
                                    "source": "business", "step": None, "reason": "input_validation_failed",
                                    "metadata": {}}})  # fmt: skip
