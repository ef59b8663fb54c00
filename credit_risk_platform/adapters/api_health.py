"""How the API did, hour by hour and endpoint by endpoint, from its audit log: every call counted, no sample.

The log of this machine's API is read; where several machines answer, each has its own, and Prometheus sees them all.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from credit_risk_platform.adapters.warehouse.base import Warehouse

API_HEALTH = "monitoring.api_health"
LOGS = "audit*.jsonl"
_HOUR = timedelta(hours=1)


def update(warehouse: Warehouse, folder: Path) -> int:
    """Bring the table up to the present; returns the rows written.

    The last hour that is known is counted again, since calls may have come after the last look. Older hours stay as
    they are, whatever becomes of the files.
    """
    since = _known_until(warehouse)
    rows = hours(_files(folder, since), since)
    first = rows["hour"][0].as_py() if rows.num_rows else None  # without calls nothing is replaced
    return warehouse.replace(API_HEALTH, rows, "hour >= ?", [first])


def recent(warehouse: Warehouse, now: datetime, within: timedelta = timedelta(days=1)) -> pa.Table:
    """Rows of `API_HEALTH` for the hours since `now` - `within`, latest first."""
    sql = f"select * from {API_HEALTH} where hour >= ? order by hour desc, requests desc, endpoint"
    return warehouse.query(sql, [now - within - _HOUR])


def readiness(url: str) -> tuple[bool, str]:
    """Whether the API at `url` can score, and in words what it says of itself. One that is away is no error."""
    import json
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=3):  # noqa: S310 - our own address, http
            return True, f"ready at {url}"
    except urllib.error.HTTPError as error:
        with error:
            told = error.read(2_000).decode(errors="replace")
        try:
            told = str(json.loads(told)["detail"])
        except (ValueError, KeyError, TypeError):
            told = f"HTTP {error.code}"
        return False, f"runs at {url} and cannot score: {told}"
    except OSError:
        return False, f"no API answers at {url}"


def hours(files: Iterable[Path], since: datetime) -> pa.Table:
    """Calls per hour (UTC) and endpoint: requests, errors on our side, refusals, scores, times in ms.

    An endpoint is a route's template, so that no path a stranger typed is kept.
    """
    import duckdb

    read = [str(file) for file in files]
    with duckdb.connect() as connection:
        if not read:
            return connection.execute(f"{_SQL.format(calls=_NO_CALLS)} limit 0", [since]).to_arrow_table()
        # A line that is just being written is no JSON yet: the next look reads it.
        calls = "read_json($files, format = 'newline_delimited', columns = $columns, ignore_errors = true)"
        text = calls.replace("$files", "?").replace("$columns", _COLUMNS)
        return connection.execute(_SQL.format(calls=text), [read, since]).to_arrow_table()


def _files(folder: Path, since: datetime) -> list[Path]:
    """Logs that were written to since then."""
    return [
        file
        for file in sorted(folder.glob(LOGS))
        if datetime.fromtimestamp(file.stat().st_mtime, UTC).replace(tzinfo=None) >= since
    ]


def _known_until(warehouse: Warehouse) -> datetime:
    """The last hour in the table."""
    if not warehouse.exists(API_HEALTH):
        return datetime(2000, 1, 1)  # noqa: DTZ001 - UTC without a zone, as the tables keep times
    found: datetime | None = warehouse.query(f"select max(hour) as hour from {API_HEALTH}")["hour"][0].as_py()
    return found or datetime(2000, 1, 1)  # noqa: DTZ001


_COLUMNS = "{time: 'TIMESTAMPTZ', route: 'VARCHAR', status: 'INTEGER', scores: 'BIGINT', ms: 'DOUBLE'}"
_NO_CALLS = (
    "(select null::timestamptz as time, null::varchar as route, null::integer as status, null::bigint as scores, "
    "null::double as ms where false)"
)
_SQL = """
    select
        date_trunc('hour', time at time zone 'UTC') as hour,
        coalesce(route, 'unknown path') as endpoint,
        count(*) as requests,
        count(*) filter (status is null or status >= 500) as errors,
        count(*) filter (status between 400 and 499) as refused,
        coalesce(sum(scores), 0)::bigint as scores,
        quantile_cont(ms, 0.5) as p50_ms,
        quantile_cont(ms, 0.95) as p95_ms,
        quantile_cont(ms, 0.99) as p99_ms
    from {calls}
    where time is not null and date_trunc('hour', time at time zone 'UTC') >= ?
    group by hour, endpoint
    order by hour, endpoint
"""
