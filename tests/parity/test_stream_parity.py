"""The same application through the nightly portfolio run and through Kafka: the same score, to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime

import pyarrow as pa
import pytest

from credit_risk_platform.adapters.bundles import BundleStore, Promotion
from credit_risk_platform.adapters.feature_sql import FeatureSql
from credit_risk_platform.adapters.online_sql import intake_script
from credit_risk_platform.adapters.policies import PolicyBook, policy_on
from credit_risk_platform.adapters.portfolio import score_open_loans
from credit_risk_platform.adapters.streaming.batch import Outcome
from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.calibration import Calibrator, Method
from credit_risk_platform.domain.contracts.messages import APPLICATIONS
from credit_risk_platform.domain.features import model_features
from credit_risk_platform.domain.models.frame import FeatureTable, InputFeature
from credit_risk_platform.domain.models.zoo import model_class
from credit_risk_platform.domain.synthetic.events import Pace, sound_events
from credit_risk_platform.domain.synthetic.portfolio import portfolio
from tests.kafka_cluster import KafkaCluster
from tests.mart_book import AS_OF, LOANS, built_marts, compiled_project
from tests.stream_book import TOPIC, StreamHome, fresh_topics, opened, stamp

DAY = date(2026, 6, 30)
NOON = datetime(2026, 6, 30, 12)
SENT = 400
COMPARED = (
    "as_of", "pd", "points", "band", "decision", "reasons", "policy_version", "model_name", "bundle_sha",
    "feature_sql_hash", "numeric_inputs", "categorical_inputs",
)  # fmt: skip


@pytest.fixture(scope="module")
def stream(kafka: KafkaCluster) -> Iterator[StreamHome]:
    book = built_marts()
    crown(BundleStore(book.settings.paths.models), trained())
    fresh_topics(kafka)
    with opened(book.settings.home, kafka) as home:
        yield home


def trained() -> ModelBundle:
    """A boosted model on all features of the real marts, its SQL cut from the real manifest."""
    features = [InputFeature.of(feature) for feature in model_features()]
    rows = built_marts().warehouse.query(
        "select f.*, is_bad from gold.application_features as f join gold.loan_outcomes using (loan_id) "
        "where matured order by loan_id"
    )
    frame = FeatureTable.from_arrow(rows, features)
    _, manifest = compiled_project()
    return ModelBundle(
        name="xgboost",
        model=model_class("xgboost")().fit(frame, rows["is_bad"].to_numpy(zero_copy_only=False), seed=0),
        calibrator=Calibrator(Method.PLATT, intercept=0.1, slope=0.9),
        features=tuple(features),
        feature_sql=FeatureSql.from_manifest(manifest).sql,
        training_fingerprint="fingerprint",
        policy_version="any",
        seed=0,
        intake_sql=intake_script(manifest, "int_applications"),
        background=frame.take(slice(300)),
    )


def crown(bundles: BundleStore, bundle: ModelBundle) -> None:
    pointer, sha = bundles.pointer(), bundles.put(bundle.to_bytes())
    promotion = Promotion(bundle.name, 1, sha, "2026-07-01T00:00:00+00:00", "run", "test", "because")
    bundles.promote(promotion, {}, replaces=pointer.sha if pointer else None)


def applications_of_the_book(loan_ids: pa.Array) -> pa.Table:
    """The loans as their applicants gave them: the rows of the file they were landed from."""
    block = next(portfolio(LOANS, 7, AS_OF))
    names = [column.name for column in APPLICATIONS.columns if column.name in block.loans.column_names]
    return block.loans.filter(pa.compute.is_in(block.loans["id"], loan_ids)).select(names)


def test_an_application_scores_the_same_by_file_and_by_message(stream: StreamHome) -> None:
    bundle = BundleStore(stream.settings.paths.models).champion()
    assert bundle is not None
    policy = policy_on(stream.warehouse, PolicyBook(stream.settings.policy_folder), DAY)
    batches = score_open_loans(stream.warehouse, bundle, DAY, policy)
    nightly = pa.Table.from_batches(batches).sort_by("loan_id").slice(0, SENT)
    applications = applications_of_the_book(nightly["loan_id"].combine_chunks())
    events = list(sound_events(APPLICATIONS, [applications], "the book", Pace(datetime(2026, 6, 30, 9))))
    assert len(events) == nightly.num_rows == SENT

    stream.send(events)
    report = stream.streams.process(TOPIC, stream.pending(), stamp("stream"), NOON)

    assert dict(report.outcomes) == {Outcome.SCORED: SENT}
    streamed = stream.warehouse.query("select * from gold.score_ledger where kafka_topic = ? order by loan_id", [TOPIC])
    assert streamed["loan_id"].to_pylist() == nightly["loan_id"].to_pylist()
    for name in COMPARED:
        assert bits(streamed[name]) == bits(nightly[name]), name
    answered = stream.warehouse.query(
        "select rules from gold.application_scores where topic = ? order by loan_id", [TOPIC]
    )
    assert answered["rules"].to_pylist() == nightly["rules"].to_pylist()
    assert set(nightly["decision"].to_pylist()) == {"approve", "refer", "decline"}
    assert any(nightly["rules"].to_pylist())


def bits(column: pa.ChunkedArray) -> list[object]:
    """Values that are equal only where every bit is: floats as hexadecimal text."""

    def of(value: object) -> object:
        if isinstance(value, list):
            return [of(one) for one in value]
        return value.hex() if isinstance(value, float) else value

    return [of(value) for value in column.to_pylist()]
