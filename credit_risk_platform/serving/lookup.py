"""Finding a score again: among the answers of this process, in the ledger, in the spools of the processes beside it."""

from __future__ import annotations

from typing import Any

from credit_risk_platform.adapters.api_sink import SCORES
from credit_risk_platform.adapters.ledger import ScoreLedger, UnknownScoreError
from credit_risk_platform.serving import answers
from credit_risk_platform.serving import spool as spools
from credit_risk_platform.serving.answers import Answer
from credit_risk_platform.serving.champion import Follower
from credit_risk_platform.serving.drain import answered
from credit_risk_platform.serving.pending import Pending
from credit_risk_platform.serving.segments import DamagedSegmentError, read
from credit_risk_platform.serving.spool import Spool

MOST_FILES = 8
"""Spool files looked into for one score: those of the last seconds. An older one waits for a ledger out of reach."""


class Lookup:
    """Scores by id. Reads only, and off the event loop."""

    def __init__(self, follower: Follower, pending: Pending, spool: Spool) -> None:
        self.follower, self.pending, self.spool = follower, pending, spool
        self.ledger = ScoreLedger(follower.scorer.warehouse)

    def find(self, score_id: str) -> tuple[Answer, str]:
        """The score as a `StoredScore` without its token, and the token. Raises `UnknownScoreError` with near ids."""
        if (told := self.pending.get(score_id)) is not None:
            return {**told[0], "recorded": False}, told[1]
        try:
            row = self.ledger.find(score_id)
        except UnknownScoreError:
            if (waiting := self._beside(score_id)) is None:
                raise
            return self._shown(waiting, score_id, recorded=False)
        return self._shown({**row, "rules": self._rules(row["score_id"])}, row["score_id"], recorded=True)

    def _shown(self, row: dict[str, Any], score_id: str, *, recorded: bool) -> tuple[Answer, str]:
        policy = self.follower.scorer.policy(row["as_of"])
        version = self.follower.versions.of(row["bundle_sha"])
        return {**answers.answer(row, score_id, version, policy, None), "recorded": recorded}, row["subject_token"]

    def _rules(self, score_id: str) -> list[str]:
        """Rules that fired; they stand with the scores of applications, not in the ledger."""
        warehouse = self.ledger.warehouse
        if not warehouse.exists(SCORES):
            return []
        found = warehouse.query(f"select any_value(rules) as rules from {SCORES} where score_id = ?", [score_id])
        return list(found["rules"][0].as_py() or [])

    def _beside(self, score_id: str) -> dict[str, Any] | None:
        """A score that another process has answered and not yet drained."""
        for path in spools.latest(self.spool.folder, MOST_FILES):
            try:
                segment = read(path)
            except (FileNotFoundError, DamagedSegmentError):  # drained this moment, or of no use
                continue
            if segment is not None:
                scores = answered(segment).scores
                ids = answers.score_ids(scores)
                if score_id in ids:
                    return dict(scores.slice(ids.index(score_id), 1).to_pylist()[0])
        return None
