"""Which trainings were started by a trigger: a small file beside the champion's pointer.

Dagster's run history knows them too, but it may be pruned after a month, and a cool-down may last a year.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime

from credit_risk_platform.adapters.files import Place, as_files
from credit_risk_platform.domain.retraining import Basis, Triggered

FILE = "retraining.json"


class RetrainingRecord:
    """`retraining.json` in the folder of the models: every triggered training, oldest first."""

    def __init__(self, folder: Place) -> None:
        self._files = as_files(folder)

    def history(self) -> tuple[Triggered, ...]:
        stored = self._files.read(FILE)
        return tuple(
            Triggered(**{**row, "at": datetime.fromisoformat(row["at"]), "basis": Basis.parse(row["basis"])})
            for row in (json.loads(stored) if stored is not None else ())
        )

    def last(self) -> Triggered | None:
        history = self.history()
        return history[-1] if history else None

    def note(self, started: Triggered) -> None:
        """Keep it; noting the same run again changes nothing."""
        history = self.history()
        if any(known.run_id == started.run_id for known in history):
            return
        rows = [
            {**asdict(entry), "at": entry.at.isoformat(), "basis": str(entry.basis)}
            for entry in sorted((*history, started), key=lambda entry: entry.at)
        ]
        self._files.put_bytes((json.dumps(rows, indent=2) + "\n").encode(), FILE)
