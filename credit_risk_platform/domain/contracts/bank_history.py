"""The bank transactions behind cash-flow features, whichever way they came: what every source of them can tell."""

from __future__ import annotations

from functools import partial

from credit_risk_platform.domain.contracts.column import Column, Kind, Stage

BANK_TRANSACTIONS = "bronze.bank_transactions"
"""A view; `adapters/bank_history.py` says over which tables."""

# Known at the decision where it was booked before it, which is what the mart asks for.
_known = partial(Column, stage=Stage.EXTRA)

BANK_COLUMNS: tuple[Column, ...] = (
    _known("source_system", kind=Kind.TEXT, unit="", description="Where it came from.", nullable=False),
    _known(
        "transaction_id", kind=Kind.TEXT, unit="", description="The source's number of the booking.", nullable=False
    ),
    Column("subject_token", Stage.LANDING, Kind.TEXT, "", "Customer, as everywhere.", nullable=False),
    _known("booked_on", kind=Kind.DAY, unit="date", description="Day of the booking.", nullable=False),
    _known("booked_at", kind=Kind.TIMESTAMP, unit="UTC", description="Moment of the booking, where it is told."),
    _known("amount", kind=Kind.MONEY, unit="currency", description="Above zero: money came in.", nullable=False),
    _known("category", kind=Kind.TEXT, unit="", description="In the words of the bank_transactions topic."),
    _known("balance_after", kind=Kind.MONEY, unit="currency", description="Balance after it, where it is told."),
    _known("is_pending", kind=Kind.FLAG, unit="", description="Whether it may still change.", nullable=False),
)
