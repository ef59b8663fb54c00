"""The three lanes of the stream: a topic, the tables its messages become, the job and the sensor that move them."""

from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg

from credit_risk_platform.catalog import Bronze, Gold, Group, Models, Owner
from credit_risk_platform.domain.contracts.messages import APPLICATIONS, REPAYMENTS, TRANSACTIONS, MessageContract

KINDS = {"kafka", "duckdb"}


@dataclass(frozen=True)
class Lane:
    """One topic. The first of `specs` holds the messages as they came; a run makes all of them, in one step."""

    contract: MessageContract
    job: str
    sensor: str
    about: str
    specs: tuple[dg.AssetSpec, ...]

    @property
    def relief(self) -> str:
        """The sensor that looks while the other one's tick is over and its next has not begun."""
        return self.sensor.replace("_sensor", "_relief_sensor")

    @property
    def topic(self) -> str:
        return self.contract.topic

    @property
    def keys(self) -> tuple[dg.AssetKey, ...]:
        return tuple(spec.key for spec in self.specs)

    @property
    def raw(self) -> dg.AssetKey:
        return self.keys[0]


def _spec(key: dg.AssetKey, owner: str, deps: list[dg.AssetKey], description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        key,
        deps=deps,
        description=description,
        group_name=Group.STREAMING,
        owners=[owner],
        kinds=KINDS,
        code_version="1",
    )


SCORING = Lane(
    APPLICATIONS,
    job="micro_batch_scoring",
    sensor="kafka_applications_sensor",
    about="Scores loan applications as they arrive: one run is one batch of exact offsets.",
    specs=(
        _spec(
            Bronze.RAW_APPLICATIONS,
            Owner.DATA,
            [],
            "Loan applications as they came through Kafka and passed the checks of landed loans: one row per message, "
            "known by topic, partition and offset. Customers appear as tokens only.",
        ),
        _spec(
            Gold.APPLICATION_SCORES,
            Owner.MODELS,
            [
                Bronze.RAW_APPLICATIONS,
                Models.CHAMPION,
                Gold.RISK_BANDS,
                Gold.REASON_CODES,
                dg.AssetKey(["silver", "int_macro_published"]),
            ],
            "Probability of default, points, risk band and decision, with reasons where that is not to approve, of "
            "each application that arrived as an event: by the champion and the policy in force, from the same feature "
            "SQL as the nightly scores. Every score also stands in gold/score_ledger with the message it came from.",
        ),
    ),
)
REPAYING = Lane(
    REPAYMENTS,
    job="repayment_updates",
    sensor="kafka_repayments_sensor",
    about="Brings the state of loans up to date as repayments arrive: one run is one batch of exact offsets.",
    specs=(
        _spec(
            Bronze.RAW_REPAYMENTS,
            Owner.DATA,
            [],
            "Repayments as they came through Kafka: what fell due and what was paid, one row per message. A later "
            "message about the same instalment restates it; the earlier one stays here.",
        ),
        _spec(
            Gold.LOAN_STATE,
            Owner.MODELS,
            [
                Bronze.RAW_REPAYMENTS,
                Bronze.SYNTHETIC_LOANS,
                Bronze.SYNTHETIC_REPAYMENTS,
                Models.BEHAVIOUR_CHAMPION,
                Gold.RISK_BANDS,
            ],
            "Where each loan stands after its latest repayment event: balance, days past due, delinquency bucket and "
            "the probability of default its payment behaviour gives. One row per loan.",
        ),
    ),
)
WINDOWS = Lane(
    TRANSACTIONS,
    job="transaction_windows",
    sensor="kafka_transactions_sensor",
    about="Keeps account movements and their sums over time windows: one run is one batch of exact offsets.",
    specs=(
        _spec(
            Bronze.RAW_TRANSACTIONS,
            Owner.DATA,
            [],
            "Bookings on customers' current accounts as they came through Kafka, one row per message, customers as "
            "tokens.",
        ),
        _spec(
            Gold.TXN_FEATURES_WINDOW,
            Owner.ANALYTICS,
            [Bronze.RAW_TRANSACTIONS],
            "Each customer's account in windows of 30 seconds: bookings that came in time, money in and out, returned "
            "payments, lowest and last balance.",
        ),
        _spec(
            Bronze.LATE_EVENTS,
            Owner.DATA,
            [],
            "Bookings that arrived after their time window was closed. They are kept and counted, and change no "
            "window that somebody may have acted upon.",
        ),
    ),
)

LANES = (SCORING, REPAYING, WINDOWS)
BY_TOPIC: Mapping[str, Lane] = {lane.topic: lane for lane in LANES}

SHARED = (
    _spec(
        Gold.MESSAGE_TRACE,
        Owner.DATA,
        [lane.raw for lane in LANES],
        "What became of every message of every topic: scored, recorded, duplicate, late, dead letter or lost, in which "
        "run and why. Each message has exactly one row. Written by the runs of all three streaming jobs.",
    ),
    _spec(
        Bronze.DEAD_LETTERS,
        Owner.DATA,
        [],
        "Messages that could not be used: which field, why, and what to do next; personal data is blurred. They also "
        "go to the topic's dead-letter topic. Written by the runs of all three streaming jobs.",
    ),
)
"""Tables that each lane writes to. A key has one definition in Dagster, so they are declared once, without a job of
their own, and each run reports what it added to them."""
