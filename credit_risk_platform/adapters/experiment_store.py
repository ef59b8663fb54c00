"""Experiments on file: `experiments.json` beside the champion's pointer, one running at a time, none ever deleted."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from credit_risk_platform.adapters.bundles import BundleNotFoundError, BundleStore
from credit_risk_platform.adapters.warehouse.lock import WriterLock
from credit_risk_platform.domain.experiments import Experiment, ExperimentError, Mode, StopRule

FILE = "experiments.json"


class ExperimentStore:
    """Reads are always of a whole file; a process that scores may look at it as often as it likes."""

    def __init__(self, bundles: BundleStore) -> None:
        self.bundles = bundles
        self._place = bundles.files.location(FILE)
        self._lock = WriterLock(bundles.root / "experiments.lock", timeout_seconds=60.0)

    def all(self) -> tuple[Experiment, ...]:
        """Every experiment, oldest first. Raises `ExperimentError` for a file nobody can read."""
        try:
            stored = self.bundles.files.read(FILE)
            return tuple(_experiment(entry) for entry in json.loads(stored)) if stored is not None else ()
        except (ValueError, KeyError, TypeError) as error:
            raise ExperimentError(f"{self._place} is damaged ({error}): put a copy of it back") from error

    def running(self) -> Experiment | None:
        return next((found for found in self.all() if found.running), None)

    def find(self, sha: str) -> str:
        """The bundle whose SHA-256 begins so (8 digits or more). Raises `ExperimentError` with those there are."""
        known = self.bundles.shas()
        found = [name for name in known if len(sha) >= 8 and name.startswith(sha)]
        if len(found) != 1:
            there = ", ".join(name[:12] for name in known) or "none"
            raise ExperimentError(f"{sha!r} names no single bundle of {self.bundles.files.uri}; it holds: {there}")
        return found[0]

    def start(self, experiment: Experiment) -> Experiment:
        """Put it on file. Raises `ExperimentError` beside a running one, for a name used before, or for a challenger
        that is not in the store, reads other features than the champion or, in a split, cannot decide.
        """
        self._refuse_unfit(experiment)
        with self._lock.held():
            before = self.all()
            if busy := [found.id for found in before if found.running]:
                raise ExperimentError(f"experiment {busy[0]} is running: stop it first (crp experiment stop)")
            if experiment.id in {found.id for found in before}:
                raise ExperimentError(
                    f"there was an experiment {experiment.id}: its hash split is used up, take another id"
                )
            self._keep((*before, experiment))
        return experiment

    def stop(self, when: datetime, because: str) -> Experiment:
        """End the running one. Raises `ExperimentError` when none is."""
        with self._lock.held():
            before = self.all()
            current = next((found for found in before if found.running), None)
            if current is None:
                raise ExperimentError("no experiment is running")
            ended = replace(current, ended=when, ended_because=because)
            self._keep(tuple(ended if found is current else found for found in before))
        return ended

    def _refuse_unfit(self, experiment: Experiment) -> None:
        try:
            challenger, champion = (
                self.bundles.load(sha) for sha in (experiment.challenger_sha, experiment.champion_sha)
            )
        except BundleNotFoundError as error:
            raise ExperimentError(f"experiment {experiment.id}: {error}") from error
        if challenger.features != champion.features:
            names = [{feature.name for feature in bundle.features} for bundle in (challenger, champion)]
            differ = ", ".join(sorted(names[0] ^ names[1])) or "their order or kind"
            raise ExperimentError(
                f"experiment {experiment.id}: the challenger reads other features than the champion ({differ}), so it "
                "cannot be scored on what the ledger keeps"
            )
        if experiment.mode is Mode.SPLIT and (not challenger.intake_sql or challenger.background is None):
            raise ExperimentError(
                f"experiment {experiment.id}: the challenger is too old to decide on applications: train it again"
            )

    def _keep(self, experiments: tuple[Experiment, ...]) -> None:
        entries = [_entry(experiment) for experiment in experiments]
        self.bundles.files.put_bytes((json.dumps(entries, indent=2) + "\n").encode(), FILE)


def _entry(experiment: Experiment) -> dict[str, Any]:
    times = {"started": experiment.started.isoformat(), "ended": experiment.ended and experiment.ended.isoformat()}
    return {**asdict(experiment), **times}


def _experiment(entry: dict[str, Any]) -> Experiment:
    ended = entry["ended"]
    given = {
        "mode": Mode(entry["mode"]),
        "started": datetime.fromisoformat(entry["started"]),
        "ended": datetime.fromisoformat(ended) if ended else None,
        "stop_rule": StopRule(**entry["stop_rule"]),
    }
    return Experiment(**{**entry, **given})
