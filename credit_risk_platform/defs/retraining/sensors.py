"""Asks for a training when the champion's evidence calls for one; whether its candidate reigns is for the gates."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from credit_risk_platform.adapters import retraining_evidence
from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.realised import MAX_SHIFT, MAX_Z
from credit_risk_platform.adapters.retraining_record import RetrainingRecord
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import BATCH_RUN, TRIGGER, TRIGGER_EVIDENCE, TRIGGER_VALUE, Models
from credit_risk_platform.domain.retraining import Basis, Decision, Evidence, Limits, Triggered, decide
from credit_risk_platform.settings import Settings

NAME = "retrain_on_drift"
TRAINING_JOB, WHOLE_JOB, CHOSEN_ASSETS_JOB = "model_training", "full_pipeline", "__ASSET_JOB"
"""Jobs that may train: the training's own, the pipeline, and what *Materialize* in the UI makes."""
SENSOR_TAG = "dagster/sensor_name"
"""Dagster tags every run of a sensor with its name."""

_Status = dg.DagsterRunStatus
UNFINISHED = [_Status.NOT_STARTED, _Status.QUEUED, _Status.STARTING, _Status.STARTED, _Status.CANCELING]
LATEST = 200
"""Unfinished runs of a job that are looked at; a backfill may queue thousands, and none of them trains."""


def build_retraining_sensor(settings: Settings) -> dg.SensorDefinition:
    status = dg.DefaultSensorStatus.RUNNING if settings.automation_running else dg.DefaultSensorStatus.STOPPED

    @dg.sensor(
        name=NAME,
        job_name=TRAINING_JOB,
        minimum_interval_seconds=300,
        default_status=status,
        description=(
            "Trains anew when the scores of new applications have moved (PSI above 0.25), when PDs no longer come true "
            f"or when {settings.retrain_new_labels:,} loans have matured since the champion's training; at most once "
            f"in {settings.retrain_cooldown_days} days and never twice on the same evidence. The run's tags name the "
            "trigger; the promotion gates decide on what it trains."
        ),
    )
    def retrain_on_drift(
        context: dg.SensorEvaluationContext,
        warehouse: dg.ResourceParam[DuckLakeWarehouse],
        bundles: dg.ResourceParam[BundleStore],
    ) -> dg.RunRequest | dg.SkipReason:
        return look(context.instance, warehouse, bundles, settings, datetime.now(UTC))

    return retrain_on_drift


def look(
    instance: dg.DagsterInstance, warehouse: Warehouse, bundles: BundleStore, settings: Settings, now: datetime
) -> dg.RunRequest | dg.SkipReason:
    """A training, or why there is none. Keeps nothing from look to look but what a run's tags say of its start."""
    pointer = bundles.pointer()
    if pointer is None:
        return dg.SkipReason("There is no champion to replace: the weekly training, or crp train, makes the first.")
    evidence = retraining_evidence.gather(warehouse, pointer.sha)
    limits = Limits(MAX_SHIFT, MAX_Z, settings.retrain_new_labels, timedelta(days=settings.retrain_cooldown_days))
    last = _last_triggered(instance, RetrainingRecord(settings.files("models")))
    decision = decide(evidence, limits, last, _in_progress(instance), now)
    return _request(evidence, decision) if decision.train else dg.SkipReason(decision.sentence)


def _request(evidence: Evidence, decision: Decision) -> dg.RunRequest:
    basis = str(evidence.basis)
    return dg.RunRequest(
        run_key=basis,
        tags={
            TRIGGER: "+".join(decision.triggers),
            TRIGGER_VALUE: ", ".join(decision.values),
            TRIGGER_EVIDENCE: basis,
            **BATCH_RUN,
        },
    )


def _last_triggered(instance: dg.DagsterInstance, record: RetrainingRecord) -> Triggered | None:
    """From the run history, noted while it still is there. A request that never became a run leaves no trace."""
    asked_here = dg.RunsFilter(job_name=TRAINING_JOB, tags={SENSOR_TAG: NAME})
    for run_record in instance.get_run_records(asked_here, limit=1):
        run = run_record.dagster_run
        record.note(
            Triggered(
                at=run_record.create_timestamp,
                run_id=run.run_id,
                trigger=run.tags[TRIGGER],
                value=run.tags[TRIGGER_VALUE],
                basis=Basis.parse(run.tags[TRIGGER_EVIDENCE]),
            )
        )
    return record.last()


def _in_progress(instance: dg.DagsterInstance) -> str | None:
    """A run, waiting or working, that may make a new champion, whoever started it."""
    for job in (TRAINING_JOB, WHOLE_JOB, CHOSEN_ASSETS_JOB):
        for run in instance.get_runs(dg.RunsFilter(job_name=job, statuses=UNFINISHED), limit=LATEST):
            if _trains(run):
                return f"run {run.run_id[:8]} of {job}, {run.status.value.lower().replace('_', ' ')}"
    return None


def _trains(run: dg.DagsterRun) -> bool:
    """Whether a run is to make a champion: all of the named jobs do, unless someone chose among their assets."""
    if run.asset_selection is None:
        return run.job_name != CHOSEN_ASSETS_JOB
    return Models.CHAMPION in run.asset_selection
