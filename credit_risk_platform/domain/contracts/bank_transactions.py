"""The common shape of bank transactions, whichever provider they come from, and the words they are told in."""

from __future__ import annotations

from functools import partial

from credit_risk_platform.domain.contracts.column import Column, Kind, Stage
from credit_risk_platform.domain.contracts.reasons import Reason

CONTRACT_VERSION = "1.0.0"
BANK_TRANSACTION_KEY = ("source_system", "transaction_id")
LARGEST_AMOUNT = 1e12

_given = partial(Column, stage=Stage.OUTCOME, unit="", nullable=False)
_maybe = partial(Column, stage=Stage.OUTCOME, unit="")
_token = partial(Column, stage=Stage.LANDING, kind=Kind.TEXT, unit="")

BANK_TRANSACTION_COLUMNS: tuple[Column, ...] = (
    _given("transaction_id", kind=Kind.TEXT, description="The provider's id of the booking."),
    _token("account_token", description="Account, as 64 hex digits that nobody can trace back.", nullable=False),
    _token(
        "subject_token",
        description="Customer, the same as in the loans; of an account whose customer is unknown, the account.",
        nullable=False,
    ),
    _token("connection_token", description="The login through which it was read.", nullable=False),
    _given("booked_on", kind=Kind.DAY, description="Day of the booking, as the provider dates it."),
    _maybe("booked_at", kind=Kind.TIMESTAMP, description="Moment of the booking, UTC, where the provider tells it."),
    _given(
        "amount",
        kind=Kind.MONEY,
        unit="currency",
        description="Above zero: money came in; below: it went out.",
        lower=-LARGEST_AMOUNT,
        upper=LARGEST_AMOUNT,
    ),
    _given("currency", kind=Kind.TEXT, description="ISO 4217 code."),
    _given("direction", kind=Kind.TEXT, description="in, out, or none for an amount of zero."),
    _given("category", kind=Kind.TEXT, description="One of the platform's words, see CATEGORIES."),
    _maybe("provider_category", kind=Kind.TEXT, description="The provider's own word."),
    _given("pending", kind=Kind.FLAG, description="Not booked for good: may still change or vanish."),
    _maybe("balance_after", kind=Kind.MONEY, unit="currency", description="Balance of the account after the booking."),
    _token("counterparty_token", description="The other side of the booking."),
    _token("owner_token", description="Owner of the account by name, where the provider names one."),
    _maybe("channel", kind=Kind.TEXT, description="How it was paid: online, in store, NEFT."),
    _token("source_system", description="Provider.", nullable=False),
    _token("facts", description="JSON of the record's fields that tell nothing of a person.", nullable=False),
    _token("_batch", description="Delivery: first 12 hex digits of the SHA-256 of its pages.", nullable=False),
)

CATEGORIES = (
    "salary", "income", "transfer", "rent", "groceries", "card", "cash", "loan_payment", "fee", "overdraft",
    "returned_payment", "other",
)  # fmt: skip
"""Those of the stream's `bank_transactions`, and: other income, a fee for overdrawing, what fits nowhere.

`returned_payment` is a payment that bounced or was reversed: what an NSF count counts.
"""

_ISO_4217 = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF "
    "CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL "
    "HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD "
    "MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG "
    "QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD "
    "TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG"
)
CURRENCIES = frozenset(_ISO_4217.split())
"""ISO 4217, current money; what a provider calls otherwise (crypto, points) is not landed."""

NEXT_STEPS = {
    ("transaction_id", Reason.REQUIRED_BLANK): (
        "Report the record to the provider: without an id a booking cannot be told from another one."
    ),
    ("account_id", Reason.REQUIRED_BLANK): "Report the record to the provider: a booking belongs to an account.",
    (
        "booked_on",
        Reason.REQUIRED_BLANK,
    ): "Report the record to the provider: without a day it has no partition.",
    ("booked_on", Reason.UNPARSABLE): "Report the record to the provider: the day is not written as 2024-12-31.",
    ("booked_on", Reason.IMPOSSIBLE_DATE): (
        "Look at the provider's clock: a booking cannot lie in the future or before 1900. Then fetch the day again."
    ),
    ("booked_on", Reason.OUT_OF_RANGE): (
        "Fetch the day that the record names: the provider sent it with days it does not belong to."
    ),
    ("amount", Reason.REQUIRED_BLANK): "Report the record to the provider: it has no amount.",
    ("amount", Reason.UNPARSABLE): (
        "Report the record to the provider: the amount is no number, or has parts smaller than the currency's smallest "
        "unit."
    ),
    ("amount", Reason.OUT_OF_RANGE): "Look at the unit: no single booking is worth more than 1e12.",
    ("currency", Reason.REQUIRED_BLANK): "Report the record to the provider: an amount without currency says nothing.",
    ("currency", Reason.OUT_OF_RANGE): (
        "Nothing to do for crypto or points: they are not landed. Otherwise add the code to CURRENCIES in "
        "domain/contracts/bank_transactions.py, or to the source's own list."
    ),
    ("pending", Reason.UNPARSABLE): "Report the record to the provider: pending is neither true nor false.",
}
"""(column, reason) -> what to do about a record in quarantine."""
