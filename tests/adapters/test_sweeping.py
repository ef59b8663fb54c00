"""A process that judges messages for weeks needs no more memory than one that judged a few."""

from __future__ import annotations

import duckdb
import pytest

from credit_risk_platform.adapters import sweeping
from credit_risk_platform.adapters.sweeping import Sweeper


def _kept(connection: duckdb.DuckDBPyConnection) -> int:
    """Rows in the place of the table, deleted ones included."""
    sql = "select coalesce(sum(count), 0) from pragma_storage_info('given') where segment_type = 'BIGINT'"
    return int(connection.execute(sql).fetchall()[0][0])


@pytest.mark.parametrize(("rows", "fillings"), [(1, 4 * sweeping.TIMES), (sweeping.ROWS // 2, 9)])
def test_the_place_of_deleted_rows_is_given_back_and_a_prepared_statement_goes_on(rows: int, fillings: int) -> None:
    connection = duckdb.connect()
    connection.execute("create table given (amount bigint); prepare total as select sum(amount)::bigint from given")
    sweeper, most = Sweeper(connection), 0
    for _ in range(fillings):
        connection.execute(f"delete from given; insert into given select 2 from range({rows})")
        assert connection.execute("execute total").fetchall() == [(2 * rows,)]
        sweeper.filled(rows)
        most = max(most, _kept(connection))
    assert most <= max(rows * 4, sweeping.TIMES * 2) < rows * fillings
