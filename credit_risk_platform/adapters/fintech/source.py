"""What the platform asks of whoever knows a customer's bank account, and of a plug-in that adds another provider.

A source fetches and says in SQL where its records keep what; judging, tokens and writing are the platform's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

from credit_risk_platform.adapters.http_source import Effort, SourceError
from credit_risk_platform.domain.contracts.reasons import Reason

ENTRY_POINTS = "credit_risk_platform.fintech_sources"
"""Group in which an installed package names a callable without arguments that returns a `FintechSource`."""


class NotConfiguredError(SourceError):
    """Settings are missing; the text names them."""


class ConnectionLostError(SourceError):
    """The provider lets us read this one login no longer, until its owner or an operator acts."""


class OvertakenError(SourceError):
    """Another run wrote this login's bookings meanwhile; nothing was written now."""


@dataclass(frozen=True)
class Connection:
    """One login or account that can be read. Both texts are personal: they leave this object as tokens only."""

    name: str = field(repr=False)
    """Tells it from the source's other connections, for ever."""
    subject: str = field(repr=False)
    """Whose bookings they are: the lender's customer id, or `account:<source>:<account id>` where that is unknown."""


@dataclass(frozen=True)
class Delivery:
    """What one connection said, as it said it."""

    pages: tuple[str, ...] = field(repr=False)
    """JSON texts in the order they came; a later page restates what an earlier one said."""
    effort: Effort = field(default_factory=Effort)
    cursor: str | None = None
    """Where the next `since` goes on."""
    days: tuple[date, date] | None = None
    """First and last day of which this is all there is; None: these are changes, of any day."""


@dataclass(frozen=True)
class Flaw:
    """A condition over `record` that makes a record unusable, and what to tell."""

    column: str
    condition: str
    reason: Reason
    next_step: str


@dataclass(frozen=True)
class RecordShape:
    """Where a record (JSON object `record`) keeps what: DuckDB expressions that give text, null where it is not said.

    `amount` is the exception: it sees `number`, the DECIMAL(28,9) of `raw_amount`, and gives the signed amount in the
    currency's unit, above zero for money that came in.
    """

    transaction_id: str
    account_id: str
    booked_on: str
    raw_amount: str
    currency: str
    amount: str = "number"
    booked_at: str = "null"
    category: str = "'other'"
    provider_category: str = "null"
    pending: str = "'false'"
    balance_after: str = "null"
    counterparty: str = "null"
    owner: str = "null"
    channel: str = "null"
    lists: tuple[str, ...] = ("$",)
    """JSON paths of a page's lists of records."""
    removed: str | None = None
    """JSON path of the list of records that are withdrawn; they need no more than `transaction_id`."""
    facts: tuple[str, ...] = ()
    """Fields of a record that are kept as they came, since they tell nothing of a person; `a.b` is a nested one."""
    known: tuple[str, ...] = ()
    """Fields that are read or left out on purpose; any other one is reported as new, and not landed."""
    currencies: frozenset[str] | None = None
    """The only ones it may speak of; None: any of ISO 4217."""
    flaws: tuple[Flaw, ...] = ()


class FintechSource(Protocol):
    """A provider of bank transactions; `name` is the `source_system`, its asset `bronze/raw_<name>_transactions`."""

    name: str
    shape: RecordShape

    def connections(self) -> Sequence[Connection]:
        """Raises `NotConfiguredError`, naming the settings."""
        ...

    def between(self, connection: Connection, first: date, last: date) -> Delivery:
        """Every booking of those days, both included. Raises `SourceError`."""
        ...

    def since(self, connection: Connection, cursor: str | None, today: date) -> Delivery:
        """What is new since `cursor` (None: all that the provider has, or as far back as the source sees fit).

        A delivery that ends in the middle is not returned: the cursor moves only with all that came before it.
        """
        ...

    def close(self) -> None:
        """Let connections go; the source is not asked again."""
        ...


def page_lists(shape: RecordShape) -> Mapping[str, bool]:
    """JSON path of each list -> are its records withdrawn? In the order in which later ones restate earlier ones."""
    return {**dict.fromkeys(shape.lists, False), **({shape.removed: True} if shape.removed else {})}
