"""What a Kafka message must look like, topic by topic. Pure data; the intake adapter judges millions by it.

Every message is one JSON object: `schema_version`, `event_id`, `event_time` and `data`. The fields of `data` are
columns of the contracts that files land under: a value is spelled, limited and rejected alike whichever way it comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial

from credit_risk_platform.domain.contracts.column import Column, Kind, Stage
from credit_risk_platform.domain.contracts.feed_columns import REPAYMENT_COLUMNS
from credit_risk_platform.domain.contracts.loan_columns import INPUT, by_name

MAX_MESSAGE_BYTES = 262_144
"""A message above it is not read into memory: an application takes about 2 kB."""
DEAD_LETTER_SUFFIX = ".dlq"

_KNOWN_AT_APPLICATION = (Stage.CORE, Stage.ERA, Stage.BUREAU, Stage.EXTRA, Stage.RESTRICTED)


@dataclass(frozen=True)
class MessageContract:
    """One topic's messages. `key` is the field of `data` that messages are keyed, and so ordered, by."""

    topic: str
    version: int
    description: str
    columns: tuple[Column, ...]
    """Fields of `data`: `required` ones must be there, those not `nullable` must be filled in."""
    key: str

    @property
    def dead_letter_topic(self) -> str:
        return self.topic + DEAD_LETTER_SUFFIX

    @property
    def raw_table(self) -> str:
        """Warehouse table that keeps the sound messages."""
        return f"bronze.{RAW_TABLES[self.topic]}"

    @cached_property
    def kept(self) -> tuple[Column, ...]:
        """Columns that are stored as they came; personal ones become `subject_token` and are stored nowhere."""
        return tuple(column for column in self.columns if not column.pii)


def _application_columns() -> tuple[Column, ...]:
    given = replace(by_name("id"), required=True, nullable=False, landed=True)
    decided = replace(by_name("application_date"), required=True, nullable=False)
    known = (
        column for column in INPUT
        if column.stage in _KNOWN_AT_APPLICATION and column.landed and column.name != decided.name
    )  # fmt: skip
    return (given, by_name("customer_id"), decided, *known, by_name("addr_state"))


_fact = partial(Column, stage=Stage.OUTCOME, required=True, nullable=False)

APPLICATIONS = MessageContract(
    topic="loan_applications",
    version=1,
    description="One application for a loan, with what is known when it is decided and nothing that comes later.",
    columns=_application_columns(),
    key="id",
)
REPAYMENTS = MessageContract(
    topic="repayments",
    version=1,
    description="What is known of one instalment: that it fell due, and what was paid; a later message restates it.",
    columns=tuple(
        replace(
            column,
            required=True,
            lower=0.0 if column.kind is Kind.MONEY else column.lower,
            description="Loan of the book." if column.name == "loan_id" else column.description,
        )
        for column in REPAYMENT_COLUMNS
        if column.name not in ("known_at", "_batch")
    ),
    key="loan_id",
)
TRANSACTIONS = MessageContract(
    topic="bank_transactions",
    version=1,
    description="One booking on a customer's current account.",
    columns=(
        _fact("transaction_id", kind=Kind.TEXT, unit="", description="The bank's number of the booking."),
        Column("customer_id", Stage.PERSON, Kind.TEXT, "", "Customer; becomes `subject_token`.", required=True,
               nullable=False, landed=False, pii=True),
        _fact("amount", kind=Kind.MONEY, unit="currency", description="Above zero: money came in; below: it went out.",
              lower=-1e9, upper=1e9),
        _fact("category", kind=Kind.TEXT, unit="",
              description="salary, transfer, rent, groceries, card, cash, loan_payment, fee or returned_payment."),
        _fact("balance_after", kind=Kind.MONEY, unit="currency", description="Balance after the booking.",
              lower=-1e9, upper=1e9, required=False, nullable=True),
    ),
    key="customer_id",
)  # fmt: skip

CONTRACTS: Mapping[str, MessageContract] = {
    contract.topic: contract for contract in (APPLICATIONS, REPAYMENTS, TRANSACTIONS)
}
RAW_TABLES: Mapping[str, str] = {
    APPLICATIONS.topic: "raw_applications",
    REPAYMENTS.topic: "raw_repayments",
    TRANSACTIONS.topic: "raw_transactions",
}
