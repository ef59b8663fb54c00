"""`crp replay`: opens a home's ledger and bundle store, and says whether its scores come out again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from credit_risk_platform.cli.home import CommandError
from credit_risk_platform.cli.warehouse import opened
from credit_risk_platform.settings import Settings

if TYPE_CHECKING:
    from credit_risk_platform.adapters.replay import Replayer
    from credit_risk_platform.adapters.replay_report import ReplayReport


@dataclass(frozen=True)
class Replayed:
    """Scores replayed one after the other, up to the first that differs. `last` is the one to look at."""

    replayed: int
    asked: int
    last: ReplayReport

    @property
    def equal(self) -> bool:
        return self.last.equal

    def as_dict(self) -> dict[str, Any]:
        if self.asked == 1:
            return self.last.as_dict()
        first_difference = None if self.equal else self.last.as_dict()
        return {"replayed": self.replayed, "equal": self.equal, "first_difference": first_difference}

    def lines(self) -> Iterator[str]:
        if self.asked > 1 and self.equal:
            yield f"{self.replayed} scores replayed, all equal to the last bit"
        else:
            yield from self.last.lines()


def replay(settings: Settings, score_id: str | None, sample: int | None, seed: int) -> Replayed:
    """Replay one score, or `sample` scores drawn with `seed`, stopping at the first difference."""
    from credit_risk_platform.adapters.ledger import LedgerError
    from credit_risk_platform.domain.bundle import BundleError

    if (score_id is None) == (sample is None):
        raise CommandError("give one SCORE_ID, or --sample N")
    with _replayer(settings) as replayer:
        try:
            ids = [score_id] if score_id is not None else replayer.ledger.sample(sample or 0, seed)
            if not ids:
                raise CommandError("the ledger holds no score yet: crp score")
            for number, one in enumerate(ids, start=1):  # noqa: B007  the loop may end early; its place is the answer
                report = replayer.replay(one)
                if not report.equal:
                    break
            return Replayed(number, len(ids), report)
        except (LedgerError, BundleError) as error:
            raise CommandError(str(error)) from error


@contextmanager
def _replayer(settings: Settings) -> Iterator[Replayer]:
    from credit_risk_platform.adapters.bundles import BundleStore
    from credit_risk_platform.adapters.dbt_project import DbtWorkspace
    from credit_risk_platform.adapters.feature_sql import FeatureSql
    from credit_risk_platform.adapters.ledger import LEDGER, ScoreLedger
    from credit_risk_platform.adapters.policies import PolicyBook
    from credit_risk_platform.adapters.replay import Replayer

    dbt = DbtWorkspace(settings.paths.dbt, settings.paths.warehouse, settings.environment())
    with opened(settings, "score to replay") as warehouse:
        if not warehouse.exists(LEDGER):
            raise CommandError(f"{settings.home} has no score ledger yet: crp score")
        sql = FeatureSql.from_manifest(dbt.manifest()).sql
        policies = PolicyBook(settings.policy_folder)
        yield Replayer(ScoreLedger(warehouse), BundleStore(settings.files("models")), policies, sql)
