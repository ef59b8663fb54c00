"""Plaid as its documentation and its response examples describe it: /transactions/get and /transactions/sync."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any

from tests.fintech.stand_ins.server import Reply, Request, StandIn

CLIENT_ID, SECRET = "5f1c0ffee0ddba11c11en71d", "5ec2e7-plaid-d0-n07-10g"
KINDS = (
    ("INCOME", "INCOME_WAGES", -2500.00, "ACME PAYROLL Jane Roe"),
    ("FOOD_AND_DRINK", "FOOD_AND_DRINK_GROCERIES", 72.10, "Walmart"),
    ("RENT_AND_UTILITIES", "RENT_AND_UTILITIES_RENT", 900.00, "Rent to John Doe Landlord"),
    ("BANK_FEES", "BANK_FEES_INSUFFICIENT_FUNDS", 35.00, "NSF fee"),
    ("LOAN_PAYMENTS", "LOAN_PAYMENTS_PERSONAL_LOAN_PAYMENT", 310.55, "Loan instalment"),
    ("TRANSFER_OUT", "TRANSFER_OUT_WITHDRAWAL", 60.00, "ATM Mary Major"),
)
OWNER = "Jane Q. Roe"


def transaction(account: str, number: int, day: dt.date, **changes: Any) -> dict[str, Any]:
    """A transaction with every field that Plaid's example has."""
    primary, detailed, amount, name = KINDS[number % len(KINDS)]
    return {
        "account_id": account,
        "account_owner": OWNER,
        "amount": amount,
        "iso_currency_code": "USD",
        "unofficial_currency_code": None,
        "check_number": None,
        "counterparties": [
            {"name": name, "type": "merchant", "logo_url": None, "website": None, "entity_id": f"e{number % 7}",
             "confidence_level": "HIGH"}
        ],
        "date": day.isoformat(),
        "datetime": f"{day.isoformat()}T15:10:09Z",
        "authorized_date": day.isoformat(),
        "authorized_datetime": None,
        "location": dict.fromkeys(
            ("address", "city", "region", "postal_code", "country", "lat", "lon", "store_number"), None
        ),
        "name": name,
        "merchant_name": name,
        "merchant_entity_id": None,
        "logo_url": None,
        "website": None,
        "payment_meta": {
            "by_order_of": None, "payee": "John Doe Landlord", "payer": OWNER, "payment_method": None,
            "payment_processor": None, "ppd_id": None, "reason": None, "reference_number": None,
        },
        "payment_channel": "online",
        "pending": False,
        "pending_transaction_id": None,
        "personal_finance_category": {"primary": primary, "detailed": detailed, "confidence_level": "HIGH"},
        "personal_finance_category_icon_url": "https://example.invalid/icon.png",
        "transaction_id": hashlib.sha256(f"{account} {number}".encode()).hexdigest()[:37],
        "transaction_code": None,
        "transaction_type": "digital",
        **changes,
    }  # fmt: skip


class PlaidStandIn(StandIn):
    """Items by access token. Each keeps its transactions and the log of what happened to them, which sync replays."""

    def __init__(self, page_rows: int | None = None) -> None:
        self.page_rows = page_rows
        """Smaller pages than asked for, so that a few transactions make several."""
        self.items: dict[str, dict[str, dict[str, Any]]] = {}
        self.logs: dict[str, list[tuple[str, str]]] = {}
        self.broken: dict[str, tuple[int, str]] = {}
        """Access token -> (status, error_code)."""
        super().__init__()

    def add(self, token: str, transactions: list[dict[str, Any]]) -> None:
        held, log = self.items.setdefault(token, {}), self.logs.setdefault(token, [])
        for one in transactions:
            key = str(one["transaction_id"])
            log.append(("modified" if key in held else "added", key))
            held[key] = one

    def year(self, token: str, account: str, first: dt.date, days: int) -> None:
        """Zero to three transactions each day."""
        made, number = [], 0
        for offset in range(days):
            for _ in range(offset % 4):
                made.append(transaction(account, number, first + dt.timedelta(days=offset)))
                number += 1
        self.add(token, made)

    def remove(self, token: str, key: str) -> None:
        del self.items[token][key]
        self.logs[token].append(("removed", key))

    def answer(self, request: Request) -> Reply:
        if (request.headers.get("plaid-client-id"), request.headers.get("plaid-secret")) != (CLIENT_ID, SECRET):
            return error(400, "INVALID_INPUT", "INVALID_API_KEYS")
        token = request.body.get("access_token")
        if token in self.broken:
            status, code = self.broken[token]
            return error(status, "ITEM_ERROR", code)
        if token not in self.items:
            return error(400, "INVALID_INPUT", "INVALID_ACCESS_TOKEN")
        answers = {"/transactions/get": self._get, "/transactions/sync": self._sync}
        return answers[request.path](token, request.body)

    def _get(self, token: str, body: dict[str, Any]) -> Reply:
        options = body["options"]
        assert 1 <= options["count"] <= 500
        within = [t for t in self.items[token].values() if body["start_date"] <= str(t["date"]) <= body["end_date"]]
        within.sort(key=lambda one: (one["date"], one["transaction_id"] or ""), reverse=True)
        page = within[options["offset"] :][: self._rows(options["count"])]
        return Reply(200, {"accounts": accounts(page), "transactions": page, "item": ITEM,
                           "total_transactions": len(within), "request_id": "45QSn"})  # fmt: skip

    def _sync(self, token: str, body: dict[str, Any]) -> Reply:
        """A cursor is `<place in the log the update began at>:<length of the log then>:<place>`."""
        assert 1 <= body["count"] <= 500
        log = self.logs[token]
        begun, length, at = (int(part) for part in body["cursor"].split(":")) if body.get("cursor") else (0, 0, 0)
        if at == length:  # the last update was read to its end: this request begins another
            begun, length = at, len(log)
        elif length != len(log):
            return error(400, "TRANSACTIONS_ERROR", "TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION")
        end = min(length, at + self._rows(body["count"]))
        told: dict[str, list[Any]] = {"added": [], "modified": [], "removed": []}
        for what, key in log[at:end]:
            if what == "removed" or key not in self.items[token]:
                told["removed"].append({"account_id": "gone", "transaction_id": key})
            else:
                told[what].append(self.items[token][key])
        page = [*told["added"], *told["modified"]]
        return Reply(200, {"accounts": accounts(page), **told, "next_cursor": f"{begun}:{length}:{end}",
                           "has_more": end < length, "request_id": "Wvhy9PZHQLV8njG",
                           "transactions_update_status": "HISTORICAL_UPDATE_COMPLETE"})  # fmt: skip

    def _rows(self, asked: int) -> int:
        return min(asked, self.page_rows or asked)


def error(status: int, kind: str, code: str) -> Reply:
    return Reply(status, {"error_type": kind, "error_code": code, "error_message": f"about access token {OWNER}",
                          "display_message": None, "request_id": "HNTDNrA8F1shFEW"})  # fmt: skip


def accounts(page: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "account_id": account,
            "balances": {"available": 110.94, "current": 110.94, "iso_currency_code": "USD", "limit": None,
                         "unofficial_currency_code": None},
            "mask": "0000",
            "name": "Plaid Checking",
            "official_name": "Plaid Gold Standard 0% Interest Checking",
            "subtype": "checking",
            "type": "depository",
        }
        for account in sorted({one["account_id"] for one in page})
    ]  # fmt: skip


ITEM = {
    "available_products": ["balance"], "billed_products": ["transactions"], "consent_expiration_time": None,
    "error": None, "institution_id": "ins_3", "institution_name": "Chase",
    "item_id": "eVBnVMp7zdTJLkRNr33Rs6zr7KNJqBFL9DrE6",
    "update_type": "background", "webhook": "", "auth_method": "INSTANT_AUTH",
}  # fmt: skip
