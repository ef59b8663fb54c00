"""Contracts of the landed tables that are no loans: the repayment panel and the macro series."""

from __future__ import annotations

from functools import partial

from credit_risk_platform.domain.contracts.column import Column, Kind, Stage

_BATCH = Column("_batch", Stage.LANDING, Kind.TEXT, "", "Landed file: first 12 hex digits of its SHA-256.")
_paid = partial(Column, stage=Stage.OUTCOME)
_money = partial(_paid, kind=Kind.MONEY, unit="currency")

REPAYMENT_KEY = ("loan_id", "instalment_number")
REPAYMENT_COLUMNS: tuple[Column, ...] = (
    Column("loan_id", Stage.LANDING, Kind.TEXT, "", "Loan, as in the loan table of the same batch.", nullable=False),
    _paid("instalment_number", kind=Kind.COUNT, unit="count", description="1 for the first.", nullable=False, lower=1),
    _paid("due_date", kind=Kind.DAY, unit="date", description="Day the instalment fell due.", nullable=False),
    _money("amount_due", description="Instalment due.", nullable=False),
    _money("principal_due", description="Principal part due.", nullable=False),
    _money("interest_due", description="Interest part due.", nullable=False),
    _paid("paid_date", kind=Kind.DAY, unit="date", description="Day it was paid; blank when it was not."),
    _money("amount_paid", description="Amount paid.", nullable=False),
    _money("principal_paid", description="Principal part paid.", nullable=False),
    _money("interest_paid", description="Interest part paid.", nullable=False),
    _money("opening_balance", description="Balance before.", nullable=False),
    _money("closing_balance", description="Balance after: opening less principal paid.", nullable=False),
    _paid("known_at", kind=Kind.TIMESTAMP, unit="UTC", description="When the platform learnt of it.", nullable=False),
    _BATCH,
)

MACRO_KEY = ("series_id", "observation_date", "vintage_date")
_macro = partial(Column, stage=Stage.MACRO, nullable=False)
MACRO_COLUMNS: tuple[Column, ...] = (
    _macro("series_id", kind=Kind.TEXT, unit="", description="FRED's name of the series."),
    _macro("observation_date", kind=Kind.DAY, unit="date", description="First day of the period described."),
    _macro("value", kind=Kind.NUMBER, unit="of the series", description="Published value."),
    _macro("publication_date", kind=Kind.DAY, unit="date", description="Day this value became public."),
    _macro("vintage_date", kind=Kind.DAY, unit="date", description="Edition of the value: a revision is another row."),
    _BATCH,
)
