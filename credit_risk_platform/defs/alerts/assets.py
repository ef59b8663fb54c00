"""The book of alerts as a table: what is wrong now, and what was, for whoever asks in SQL."""

import datetime as dt

import dagster as dg

from credit_risk_platform.adapters import alert_table, markdown
from credit_risk_platform.adapters.alerting.book import AlertBook
from credit_risk_platform.adapters.table_version import table_version
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import Group, Monitoring, Owner


@dg.asset(
    key=Monitoring.ALERTS,
    group_name=Group.HEALTH,
    owners=[Owner.ANALYTICS],
    kinds={"sqlite", "duckdb"},
    code_version="1",
    description=(
        "Every alert the platform has raised: what was wrong, how bad, since when and until when, with the figures "
        "that were told. Rows without a clearing time are open now."
    ),
)
def alerts(
    warehouse: dg.ResourceParam[Warehouse], alert_book: dg.ResourceParam[AlertBook]
) -> dg.MaterializeResult[None]:
    rows = alert_table.rows_of(alert_book.history(dt.datetime.min.replace(tzinfo=dt.UTC)))
    written = warehouse.replace_table(alert_table.TABLE, rows)
    is_open = alert_table.open_now(warehouse)
    columns = [dg.TableColumn(name, kind) for name, kind in warehouse.columns(alert_table.TABLE).items()]
    return dg.MaterializeResult(
        data_version=dg.DataVersion(table_version(warehouse, alert_table.TABLE, alert_table.SCHEMA.names)),
        metadata={
            "dagster/row_count": written,
            "dagster/table_name": f"lake.{alert_table.TABLE}",
            "dagster/column_schema": dg.TableSchema(columns),
            "open": is_open.num_rows,
            "open_incidents": dg.MetadataValue.md(markdown.records(is_open)),
        },
    )
