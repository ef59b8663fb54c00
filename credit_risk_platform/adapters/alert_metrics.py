"""What the metrics of alert rules are right now: one function per metric of `domain/alert_metrics.py`.

Each answers with a value and what people ask first about it, or with why there is none: a table that nobody has
written yet, too few rows to mean something, an API that is down. No data is never an alarm, nor an all-clear.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from shutil import disk_usage

from credit_risk_platform.adapters.alert_gauges import Gauges, NoDataError, Reading
from credit_risk_platform.adapters.api_scrape import NotScrapedError
from credit_risk_platform.adapters.drift_report import FEATURE_DRIFT, NEW, SCORE_DRIFT
from credit_risk_platform.adapters.performance import ENOUGH_BADS, MATURED
from credit_risk_platform.adapters.realised import ENOUGH_LOANS, REALISED
from credit_risk_platform.adapters.streaming.batch import Outcome
from credit_risk_platform.adapters.streaming.sink import TRACE
from credit_risk_platform.domain.alerts import Fact
from credit_risk_platform.domain.contracts.messages import APPLICATIONS, CONTRACTS
from credit_risk_platform.domain.maturity import Exposure

LATELY = timedelta(hours=1)
ENOUGH_MESSAGES = 100
DAYS_BEFORE, ENOUGH_DAYS, ENOUGH_PER_DAY = 7, 3, 20
"""The mean is taken over a week; it says nothing with fewer days since the first application, or on a trickle."""
_ARRIVED = "coalesce(kafka_time, event_time)"
"""What came by HTTP has no time in Kafka."""


def measure(metric: str, gauges: Gauges) -> Reading:
    """The metric of that name (`domain.alert_metrics.METRICS`) now."""
    try:
        return MEASURED[metric](gauges)
    except (NoDataError, NotScrapedError) as error:
        return Reading(None, note=str(error))


def api_latency_p95(gauges: Gauges) -> Reading:
    lately = gauges.api
    if lately.p95_ms is None:
        raise NoDataError(f"{lately.predictions:.0f} predictions in {lately.seconds:.0f} s are too few for a p95")
    return Reading(lately.p95_ms, {"calls": int(lately.predictions), "over_seconds": int(lately.seconds)})


def api_error_rate(gauges: Gauges) -> Reading:
    lately = gauges.api
    if lately.error_rate is None:
        raise NoDataError(f"{lately.calls:.0f} calls in {lately.seconds:.0f} s are too few for a rate")
    return Reading(lately.error_rate, {"failed": int(lately.failed), "calls": int(lately.calls)})


def feature_drift_score(gauges: Gauges) -> Reading:
    return _psi(gauges, FEATURE_DRIFT)


def score_psi(gauges: Gauges) -> Reading:
    return _psi(gauges, SCORE_DRIFT)


def auc_roc(gauges: Gauges) -> Reading:
    """On matured vintages that the champion never met."""
    return Reading(*_auc(gauges, Exposure.NEW), asset=_page(MATURED))


def auc_drop_vs_development(gauges: Gauges) -> Reading:
    """Against the vintages that were held out when it was trained; both figures are made in the same way."""
    now, facts = _auc(gauges, Exposure.NEW)
    then, _ = _auc(gauges, Exposure.HELD_OUT)
    return Reading(then - now, {**facts, "auc": now, "development_auc": then}, _page(MATURED))


def calibration_shift(gauges: Gauges) -> Reading:
    sql = f"select * from {REALISED} where as_of = (select max(as_of) from {REALISED})"
    found = gauges.row(REALISED, sql)
    if found["loans"] < ENOUGH_LOANS:
        raise NoDataError(f"{found['loans']} newly matured loans as of {found['as_of']} are too few for a level")
    facts = {"shift": found["shift"], "loans": found["loans"], "expected_bad_rate": found["mean_pd"],
             "observed_bad_rate": found["bads"] / found["loans"], "as_of": found["as_of"].isoformat()}  # fmt: skip
    return Reading(abs(found["shift"]), facts, _page(SCORE_DRIFT))


def stream_lag_messages(gauges: Gauges) -> Reading:
    """Over the topics that could be asked."""
    asked = gauges.lags()
    known = {topic: found.messages for topic, found in asked.items() if found.messages is not None}
    if not known:
        raise NoDataError(next((found.note for found in asked.values()), "there is no topic"))
    return Reading(float(sum(known.values())), dict(known), "monitoring/stream_health")


def dead_letter_share(gauges: Gauges) -> Reading:
    found = gauges.row(
        TRACE,
        f"select count(*) as n, count(*) filter (outcome = ?) as dead from {TRACE} where processed_at > ?",
        str(Outcome.DEAD_LETTER), gauges.utc - LATELY,
    )  # fmt: skip
    if found["n"] < ENOUGH_MESSAGES:
        raise NoDataError(f"{found['n']} messages in the last hour are too few for a share")
    return Reading(found["dead"] / found["n"], {"dead_letters": found["dead"], "messages": found["n"]},
                   "bronze/dead_letters")  # fmt: skip


def applications_per_day_vs_mean(gauges: Gauges) -> Reading:
    """Yesterday (UTC) over the mean of the week before it; the first day there is counts as begun, not as whole."""
    yesterday = gauges.utc.date() - timedelta(days=1)
    table = APPLICATIONS.raw_table
    sql = f"""
        select count(*) filter ({_ARRIVED}::date = ?) as last_day,
            count(*) filter ({_ARRIVED}::date between ? and ?) as before,
            (select min({_ARRIVED})::date + 1 from {table}) as whole_from
        from {table} where {_ARRIVED} >= ? and {_ARRIVED} < ?
    """
    week = yesterday - timedelta(days=DAYS_BEFORE)
    found = gauges.row(
        table, sql, yesterday, week, yesterday - timedelta(days=1), week, yesterday + timedelta(days=1)
    )  # fmt: skip
    days = (yesterday - max(week, found["whole_from"])).days if found["whole_from"] else 0
    if days < ENOUGH_DAYS or found["before"] < ENOUGH_PER_DAY * days:
        raise NoDataError(f"{found['before']} applications in {max(days, 0)} whole days are too few for a mean")
    mean = found["before"] / days
    return Reading(found["last_day"] / mean, {"day": yesterday.isoformat(), "applications": found["last_day"],
                   "mean_of_days_before": round(mean, 1)}, "bronze/raw_applications")  # fmt: skip


def feed_age_hours(gauges: Gauges) -> Reading:
    """Of the streams that have ever brought something."""
    tables = [contract.raw_table for contract in CONTRACTS.values() if gauges.warehouse.exists(contract.raw_table)]
    if not tables:
        raise NoDataError("no stream and no API call has brought anything yet")
    each = " union all ".join(
        f"select '{table}' as feed, max({_ARRIVED}) as last_seen from {table}" for table in tables
    )
    found = gauges.row(tables[0], f"select * from ({each}) where last_seen is not null order by last_seen limit 1")
    hours = (gauges.utc - found["last_seen"]).total_seconds() / 3_600
    return Reading(hours, {"feed": found["feed"], "last_seen": f"{found['last_seen']:%Y-%m-%d %H:%M} UTC"},
                   _page(found["feed"]))  # fmt: skip


def disk_free_share(gauges: Gauges) -> Reading:
    """What a user of the platform may still write; the part that is kept for root does not count."""
    found = disk_usage(gauges.home)
    return Reading(found.free / found.total, {"free_gb": round(found.free / 1e9, 1)}, "monitoring/platform_health")


def _psi(gauges: Gauges, table: str) -> Reading:
    """Highest PSI of the latest day measured, over new applications."""
    sql = f"""
        select feature, psi, actual_rows, as_of from {table}
        where population = ? and as_of = (select max(as_of) from {table}) order by psi desc nulls last, feature limit 1
    """
    found = gauges.row(table, sql, NEW)
    if found["psi"] is None:
        raise NoDataError(f"{found['actual_rows']} new applications as of {found['as_of']} are too few for a PSI")
    facts = {"feature": found["feature"], "as_of": found["as_of"].isoformat(), "applications": found["actual_rows"]}
    return Reading(found["psi"], facts, _page(table))


def _auc(gauges: Gauges, exposure: Exposure) -> tuple[float, dict[str, Fact]]:
    """AUC within vintages, each weighing as many pairs of a bad and a good loan as it has; and what it rests on."""
    sql = f"""
        select sum(auc * bads * (loans - bads)) / sum(bads * (loans - bads)) as auc, sum(loans)::bigint as loans,
            sum(bads)::bigint as bads, count(*) as vintages
        from {MATURED} where exposure = ? and auc is not null
    """
    found = gauges.row(MATURED, sql, str(exposure))
    if not found["vintages"] or min(found["bads"], found["loans"] - found["bads"]) < ENOUGH_BADS:
        raise NoDataError(f"{found['bads'] or 0} bad loans in matured vintages ({exposure}) are too few for an AUC")
    return found["auc"], {name: found[name] for name in ("loans", "bads", "vintages")}


def _page(table: str) -> str:
    return table.replace(".", "/")


MEASURED: Mapping[str, Callable[[Gauges], Reading]] = {
    function.__name__: function
    for function in (
        api_latency_p95,
        api_error_rate,
        auc_roc,
        auc_drop_vs_development,
        feature_drift_score,
        score_psi,
        calibration_shift,
        stream_lag_messages,
        dead_letter_share,
        applications_per_day_vs_mean,
        feed_age_hours,
        disk_free_share,
    )
}
