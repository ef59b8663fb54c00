"""`score_new_loans`: the scoring API's answer for a pandas frame, for notebooks.

Nothing is written: neither application nor score reaches the lake or the ledger.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from credit_risk_platform.adapters.application_scorer import ApplicationScorer
from credit_risk_platform.adapters.bundles import BundleStore, Champion
from credit_risk_platform.adapters.files import Place
from credit_risk_platform.adapters.policies import PolicyBook
from credit_risk_platform.adapters.tokens import load_token_key
from credit_risk_platform.serving.lake import own_lake
from credit_risk_platform.serving.problems import FieldError
from credit_risk_platform.serving.rows import bronze_rows
from credit_risk_platform.serving.schemas import Asked, RefusedError, read
from credit_risk_platform.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

FAULTS_SHOWN = 10
NAMED = ("customer_id", "id")


class RefusedLoansError(ValueError):
    """Loans that cannot be scored as they are. `faults` is row label -> what is wrong with it."""

    def __init__(self, faults: Mapping[Any, Sequence[FieldError]]) -> None:
        self.faults = faults
        told = [
            f"row {label}, {error.field}: {error.detail} {error.fix}"
            for label, found in faults.items()
            for error in found
        ]
        more = f"\n... and {len(told) - FAULTS_SHOWN:,} more faults" if len(told) > FAULTS_SHOWN else ""
        super().__init__(f"{len(faults):,} loans cannot be scored:\n" + "\n".join(told[:FAULTS_SHOWN]) + more)


def score_new_loans(
    new_loans_df: pd.DataFrame,
    model: str | None = None,
    label_encoders: Any = None,  # noqa: ARG001  part of the published call
    *,
    home: Path | str | None = None,
    as_of: date | None = None,
) -> pd.DataFrame:
    """PD, rating and decision of each loan of a frame, in its order and with its index.

    Columns are the fields of `POST /api/v1/predict`: its ten names or those of the fuller application, judged by the
    same contract; NaN means missing. A row that names nobody (`customer_id`, `id`) is known by its label. `model` is
    the SHA-256 of another bundle of the home (default: its champion). `label_encoders` is taken for the sake of older
    notebooks: a bundle knows its categories. `as_of` (default: today, UTC) picks policy and macro figures.

    Returns `default_prediction` (1: the PD is at or above the approval cut-off of the policy), `default_probability`,
    `risk_rating` (Very Low ... Very High), `score_points`, `decision`, `reason_codes` and `policy_version`. Raises
    `RefusedLoansError` naming row, field and fix, `NotReadyError` when the home has no champion, or its warehouse is
    Snowflake, which a notebook does not open.
    """
    import pandas as pd

    settings = Settings() if home is None else Settings(home=Path(home))
    day = as_of or datetime.now(UTC).date()
    secret = settings.pii_token_key
    key = load_token_key(settings.paths.secrets, secret.get_secret_value() if secret else None)
    asked: list[Asked] = []
    faults: dict[Any, list[FieldError]] = {}
    for label, record in zip(new_loans_df.index, _records(new_loans_df), strict=True):
        named = record if any(name in record for name in NAMED) else {**record, "id": str(label)}
        try:
            asked.append(read(named, day, key))
        except RefusedError as error:
            faults[label] = error.errors
    if faults:
        raise RefusedLoansError(faults)
    with _scorer(settings, model) as scorer:
        policy = scorer.policy(day)
        scored = scorer.score(bronze_rows(asked, day), day) if asked else None
    columns = {name: scored[column].to_pylist() if scored else [] for name, column in _SHOWN.items()}
    found = pd.DataFrame(columns, index=new_loans_df.index)
    found.insert(0, "default_prediction", (found["default_probability"] >= policy.approve_below).astype("int64"))
    return found


_SHOWN = {
    "default_probability": "pd",
    "risk_rating": "band",
    "score_points": "points",
    "decision": "decision",
    "reason_codes": "reasons",
    "policy_version": "policy_version",
}


def _records(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Each row as a JSON object of what it holds: dates as text, missing values left out."""
    import pandas as pd

    plain = frame.copy()
    for name in plain.select_dtypes("datetime").columns:
        plain[name] = plain[name].dt.strftime("%Y-%m-%d")
    for record in plain.astype(object).to_dict("records"):
        yield {str(name): _python(value) for name, value in record.items() if not pd.isna(value)}


def _python(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value


@contextmanager
def _scorer(settings: Settings, model: str | None) -> Iterator[ApplicationScorer]:
    store = BundleStore(settings.files("models")) if model is None else _OneBundle(settings.files("models"), model)
    warehouse = own_lake(settings)
    try:
        scorer = ApplicationScorer(warehouse, store, PolicyBook(settings.policy_folder))
        scorer.refresh()
        yield scorer
    finally:
        warehouse.close()


class _OneBundle(BundleStore):
    """A store in which one bundle reigns, whoever is champion."""

    def __init__(self, root: Place, sha: str) -> None:
        super().__init__(root)
        self.path(sha)  # refuses what is no SHA
        self._sha = sha

    def pointer(self) -> Champion | None:
        reigning = super().pointer()
        return replace(reigning, promotion=replace(reigning.promotion, sha=self._sha)) if reigning else None
