"""One multi-asset per topic: a run is one micro-batch, written in one transaction by `Streams.process`."""

import datetime as dt
from collections.abc import Iterator, Sequence

import dagster as dg

from credit_risk_platform.adapters.streaming.batch import BatchReport, NotReadyError, OffsetRange
from credit_risk_platform.adapters.streaming.metrics import record
from credit_risk_platform.adapters.streaming.streams import Streams
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import Gold, table_of
from credit_risk_platform.defs.streaming import checks
from credit_risk_platform.defs.streaming.lanes import SHARED, Lane
from credit_risk_platform.defs.streaming.metadata import batch_metadata, table_metadata
from credit_risk_platform.defs.streaming.requests import ATTEMPT, NOT_READY, BatchConfig, range_text, ranges_in
from credit_risk_platform.settings import Settings
from credit_risk_platform.upstream import stamp_of, upstream_provenance

REASON_LENGTH = 300


def build_assets(lane: Lane) -> dg.AssetsDefinition:
    @dg.multi_asset(name=lane.topic, specs=lane.specs, check_specs=checks.specs_of(lane), description=lane.about)
    def micro_batch(
        context: dg.AssetExecutionContext,
        config: BatchConfig,
        settings: dg.ResourceParam[Settings],
        streams: dg.ResourceParam[Streams],
        warehouse: dg.ResourceParam[Warehouse],
    ) -> Iterator[dg.MaterializeResult]:
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        try:
            streams.warm(lane.topic, now)
            topic_id = _same_topic(streams, lane, config)
            ranges = ranges_in(config, lane.topic) or _all_that_waits(streams, lane, settings)
            report = _process(context, lane, ranges, config, streams, now)
            record(report, settings.paths.metrics)
        except NotReadyError as error:
            # Told from a fault of the messages by this tag: attempts that failed so never lead to dead letters.
            context.instance.add_run_tags(context.run.run_id, {NOT_READY: str(error)[:REASON_LENGTH]})
            raise dg.Failure(str(error), allow_retries=False) from error
        yield from _results(context, lane, report, topic_id, warehouse)

    return micro_batch


def _same_topic(streams: Streams, lane: Lane, config: BatchConfig) -> str:
    topic_id = streams.log(lane.topic).topic_id()
    if config.topic_id and config.topic_id != topic_id:
        raise dg.Failure(
            f"Topic {lane.topic} was deleted and made anew since this batch was asked for: its offsets mean other "
            "messages now. Nothing was read; the sensor asks for the new topic's messages from their beginning.",
            allow_retries=False,
        )
    return topic_id


def _all_that_waits(streams: Streams, lane: Lane, settings: Settings) -> list[OffsetRange]:
    ranges = streams.log(lane.topic).pending(settings.stream_batch_messages)
    if not ranges:
        raise dg.Failure(f"Nothing waits in topic {lane.topic}: there is nothing to materialise.", allow_retries=False)
    return ranges


def _process(
    context: dg.AssetExecutionContext,
    lane: Lane,
    ranges: Sequence[OffsetRange],
    config: BatchConfig,
    streams: Streams,
    now: dt.datetime,
) -> BatchReport:
    stamp = stamp_of(context, upstream_provenance(context))
    report = streams.process(lane.topic, ranges, stamp, now, isolate=config.isolate)
    context.log.info(
        "%d messages of %s in %.2f s: %s; %d wait",
        report.messages,
        lane.topic,
        report.seconds,
        ", ".join(f"{count} {outcome}" for outcome, count in report.outcomes.items() if count) or "all done before",
        report.lag,
    )
    return report


def _results(
    context: dg.AssetExecutionContext, lane: Lane, report: BatchReport, topic_id: str, warehouse: Warehouse
) -> Iterator[dg.MaterializeResult]:
    batch = batch_metadata(report, topic_id, int(context.run.tags.get(ATTEMPT, "1")))
    for spec in SHARED:
        context.log_event(
            dg.AssetMaterialization(spec.key, metadata=table_metadata(warehouse, spec.key, report) | batch)
        )
    if appended := report.rows.get(table_of(Gold.SCORE_LEDGER)):
        # Its days are partitions that the nightly run makes; a batch adds rows to them and completes none.
        context.log_event(dg.AssetObservation(Gold.SCORE_LEDGER, metadata={"appended": appended} | batch))
    version = dg.DataVersion(range_text(topic_id, report.ranges))
    for key in lane.keys:
        yield dg.MaterializeResult(
            asset_key=key,
            data_version=version,
            metadata=table_metadata(warehouse, key, report) | batch,
            check_results=checks.results(lane, report) if key == lane.raw else [],
        )
