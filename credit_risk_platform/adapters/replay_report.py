"""What a replay found: one score then and now, and which of its parts have changed since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from credit_risk_platform.domain.provenance import InputDifference, PartComparison, same_value


@dataclass(frozen=True)
class Outcome:
    """What a score says.

    `band` is `None` where its policy version is no longer on record; `decision` also where none was made, or where it
    cannot be made again.
    """

    pd: float
    points: float
    band: str | None
    decision: str | None = None
    reasons: tuple[str, ...] | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Outcome:
        """What a ledger row says."""
        reasons = None if row["reasons"] is None else tuple(row["reasons"])
        return cls(row["pd"], row["points"], row["band"], row["decision"], reasons)

    @property
    def said(self) -> tuple[object, ...]:
        """What was said about the loan, beside the numbers."""
        return self.band, self.decision, self.reasons

    def __str__(self) -> str:
        told = f"PD {self.pd!r}  points {self.points!r}  band {self.band}"
        if self.decision is None:
            return told
        return f"{told}  {self.decision}{' for ' + ', '.join(self.reasons) if self.reasons else ''}"


@dataclass(frozen=True)
class ReplayReport:
    """One score then and now. `genuine`: the ledger row still has the hash it was written with."""

    score_id: str
    loan_id: str
    as_of: date
    model_name: str
    bundle_sha: str
    then: Outcome
    again: Outcome
    genuine: bool
    parts: tuple[PartComparison, ...]
    inputs: tuple[InputDifference, ...]
    """Features that would have another value today."""

    @property
    def equal(self) -> bool:
        """Reproduced to the last bit, from a row nobody touched."""
        then, again = self.then, self.again
        numbers = same_value(then.pd, again.pd) and same_value(then.points, again.points)
        return self.genuine and numbers and then.said == again.said

    @property
    def changed(self) -> tuple[PartComparison, ...]:
        """Parts that are not what they were when the score was given."""
        return tuple(part for part in self.parts if part.same is False)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "as_of": self.as_of.isoformat(), "equal": self.equal}

    def lines(self) -> Iterator[str]:
        """The report as text, one finding a line."""
        yield f"score {self.score_id}, loan {self.loan_id} as of {self.as_of}, {self.model_name} {self.bundle_sha[:12]}"
        yield f"  then   {self.then}"
        yield f"  again  {self.again}"
        if not self.genuine:
            yield "  the ledger row was changed after it was written; the ledger audit says which rows were"
        yield f"  {'equal to the last bit' if self.equal else 'NOT equal'}"
        for part in self.parts:
            state = {True: "unchanged", False: "changed since", None: "cannot be compared"}[part.same]
            yield f"  {part.part}: {state}{': ' + part.detail if part.detail else ''}"
        for value in self.inputs:
            yield f"    {value.feature}: {value.then!r} then, {value.now!r} now"
