"""fakesnow's HTTP server, and each thing that Snowflake does and fakesnow does not.

`python fakesnow_server.py PORT [FOLDER]`: databases are files of the folder, or in memory. It runs in a virtual
environment of its own (`.ci/fetch_fakesnow`); what is rewritten stands in `fakesnow_dialect.py`, values in
`fakesnow_values.py`. Every shim says what Snowflake does. In one thing the server is kinder: what a second session
makes on behalf of an open transaction is taken back with it. More stands in docs/snowflake.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import fakesnow.arrow
import fakesnow.converter
import fakesnow.macros
import fakesnow.rowtype
import fakesnow.server as server
import fakesnow.transforms
import uvicorn
from fakesnow.conn import FakeSnowflakeConnection
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.instance import FakeSnow
from fakesnow_dialect import as_snowflake_means, order_by_all
from fakesnow_values import FLATTEN, TYPES, binding, results, timestamps, with_values
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

LOCKED_TABLE = "WRITER_STATE"
SESSION_PARAMETERS = ("QUERY_TAG", "LOCK_TIMEOUT", "TIMEZONE", "STATEMENT_TIMEOUT_IN_SECONDS")
LOCK_SECONDS = 43_200.0  # Snowflake's own LOCK_TIMEOUT

# -------------------------------------------------------------------- transactions


class Session:
    """What the shims must know of one session beyond fakesnow's connection."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        self.parameters = {name.upper(): value for name, value in parameters.items()}
        self.in_transaction = False
        self.locks: list[threading.Lock] = []

    @property
    def transaction(self) -> str | None:
        """The transaction that the session's query tag names."""
        with contextlib.suppress(TypeError, ValueError, KeyError):
            return json.loads(self.parameters.get("QUERY_TAG") or "")["transaction"]
        return None

    @property
    def lock_seconds(self) -> float:
        return float(self.parameters.get("LOCK_TIMEOUT", LOCK_SECONDS))

    def end(self) -> None:
        self.in_transaction = False
        while self.locks:
            self.locks.pop().release()


_sessions: dict[int, tuple[FakeSnowflakeConnection, Session]] = {}
_row_locks: dict[str, threading.Lock] = {}
_guard = threading.Lock()


def session_of(connection: FakeSnowflakeConnection) -> Session:
    return _sessions.setdefault(id(connection), (connection, Session({})))[1]


def _remember_parameters(parameters: dict[str, Any], connection: FakeSnowflakeConnection) -> None:
    _sessions[id(connection)] = (connection, Session(parameters))


def _begun_elsewhere(connection: FakeSnowflakeConnection) -> FakeSnowflakeConnection | None:
    """The session in whose open transaction this one's statements must run, if any.

    Snowflake reads what is committed, statement by statement: tables that one session makes are seen at once by
    another one's open transaction. DuckDB reads a snapshot, so both run on one DuckDB connection here.
    """
    own = session_of(connection)
    if own.in_transaction or own.transaction is None:
        return None
    for other, session in list(_sessions.values()):
        if session.in_transaction and session.transaction == own.transaction and other is not connection:
            return other
    return None


_cursor = FakeSnowflakeConnection.cursor


def cursor(self: FakeSnowflakeConnection, *args: Any) -> FakeSnowflakeCursor:
    made = _cursor(self, *args)
    other = _begun_elsewhere(self)
    made.borrowed = other is not None
    made._duck_conn = (other or self)._duck_conn
    self.table_stages._duck_conn = made._duck_conn
    return made


def _lock(connection: FakeSnowflakeConnection, expression: exp.Expression) -> None:
    """An UPDATE of the writers' row waits for the transaction that holds it, and then sees what that one committed."""
    session = session_of(connection)
    row = expression.find(exp.Table) if isinstance(expression, exp.Update) else None
    if row is None or row.name.upper() != LOCKED_TABLE or session.locks:
        return
    with _guard:
        lock = _row_locks.setdefault(str(connection.database), threading.Lock())
    if not lock.acquire(timeout=session.lock_seconds):
        raise ProgrammingError(
            msg=f"Statement '{connection.database}' has locked table '{LOCKED_TABLE}' in transaction and this lock "
            "has not yet been released. Your statement was aborted because the number of waiters or LOCK_TIMEOUT",
            errno=625,
            sqlstate="57014",
        )
    session.locks.append(lock)
    if session.in_transaction:  # nothing was written in it yet: begin again, on the state that is there now
        connection._duck_conn.execute("rollback")
        connection._duck_conn.execute("begin")


def _commits_first(connection: FakeSnowflakeConnection, expression: exp.Expression) -> None:
    """A DDL statement commits the open transaction of its own session."""
    session = session_of(connection)
    if session.in_transaction and isinstance(expression, exp.Create | exp.Drop | exp.Alter | exp.TruncateTable):
        connection._duck_conn.execute("commit")
        session.end()


# -------------------------------------------------------------------- statements

_execute0 = FakeSnowflakeCursor._execute
_execute = FakeSnowflakeCursor.execute


def execute_transformed(self: FakeSnowflakeCursor, transformed: exp.Expression, params: Any = None) -> None:
    connection = self._conn
    session = session_of(connection)
    if isinstance(transformed, exp.Transaction) and session.in_transaction:
        return _execute0(self, exp.select(exp.Literal.string("already begun").as_("status")))
    transformed = results(self._duck_conn, order_by_all(transformed), params)
    if not self.borrowed:
        _commits_first(connection, transformed)
        _lock(connection, transformed)
    else:
        for kept_elsewhere in ("table_comment", "text_lengths"):  # in a second database, which DuckDB refuses here
            transformed.args.pop(kept_elsewhere, None)
    _execute0(self, transformed, params)
    if isinstance(transformed, exp.Transaction):
        session.in_transaction = True
    elif isinstance(transformed, exp.Commit | exp.Rollback) or not session.in_transaction:
        session.end()
    return None


_ALTER_SESSION = re.compile(r"alter session set (\w+) = (?:'(.*)'|(\S+))", re.IGNORECASE | re.DOTALL)


_ROLES = re.compile(r"\s*(grant|revoke|create role)\b", re.IGNORECASE)
"""fakesnow has no roles: whoever signs in may do everything."""


def execute(self: FakeSnowflakeCursor, command: str, *args: Any, **kwargs: Any) -> FakeSnowflakeCursor:
    altered = _ALTER_SESSION.fullmatch(command.strip())
    if altered and altered[1].upper() in SESSION_PARAMETERS:
        name, text, bare = altered.groups()
        session_of(self._conn).parameters[name.upper()] = bare if text is None else text.replace("''", "'")
        command = "select 'Statement executed successfully.' as status"
    if _ROLES.match(command):
        command = "select 'Statement executed successfully.' as status"
    if bound := kwargs.pop("binding_params", None):
        command = with_values(command, list(bound))
    try:
        return _execute(self, command, *args, **kwargs)
    except Exception as error:
        _survive(self)
        # dagster-snowflake and dbt look for Snowflake's wording of a missing object.
        message = getattr(error, "msg", None) or str(error)
        if "does not exist" in message and "not authorized" not in message:
            message = message.replace("does not exist", "does not exist or not authorized", 1)
        if isinstance(error, ProgrammingError):
            error.msg = message
            raise
        # Else a fault of HTTP status 500, which the connector tries again and again.
        raise ProgrammingError(msg=message, errno=100038, sqlstate="22018") from error


def _survive(cursor: FakeSnowflakeCursor) -> None:
    """A statement that fails aborts DuckDB's transaction, but not Snowflake's: it goes on without what it had done.

    What it had done cannot be kept here, so the next COMMIT must not pass for a success.
    """
    try:
        cursor._duck_conn.execute("select 1").fetchone()
    except duckdb.Error:
        with contextlib.suppress(duckdb.Error):
            cursor._duck_conn.execute("rollback")
        session_of(cursor._conn).end()


def describe_last(self: FakeSnowflakeCursor) -> list[Any]:
    """As fakesnow does it, without parsing its own SQL once more: half of a statement's time."""
    return self._duck_conn.execute(f"describe {self._last_sql}", self._last_params).fetchall()


_transform = FakeSnowflakeCursor._transform


def transform(self: FakeSnowflakeCursor, expression: exp.Expression, params: Any) -> exp.Expression:
    return _transform(self, as_snowflake_means(expression), params)


@contextlib.contextmanager
def shims() -> Iterator[None]:
    FakeSnowflakeConnection.cursor = cursor
    FakeSnowflakeCursor._execute = execute_transformed
    FakeSnowflakeCursor.execute = execute
    FakeSnowflakeCursor._transform = transform
    FakeSnowflakeCursor._describe_last_sql = describe_last
    server.from_binding = binding
    # SUM of decimals is a decimal; fakesnow adds doubles, lest somebody sums texts.
    fakesnow.transforms.numeric_agg_implicit_cast = lambda expression: expression
    fakesnow.arrow.timestamp_to_sf_struct = timestamps
    fakesnow.rowtype.duckdb_to_sf_type.update(TYPES)
    fakesnow.macros.FS_FLATTEN.template = FLATTEN
    yield


_login, _session = server.login_request, server.session


async def login(request: Any) -> Any:
    """Keeps the session's parameters, for the query tag and the lock's patience."""
    before = set(server.sessions)
    answer = await _login(request)
    body = await request.body()
    if request.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    for token in set(server.sessions) - before:
        _remember_parameters(json.loads(body)["data"]["SESSION_PARAMETERS"], server.sessions[token])
    return answer


async def session(request: Any) -> Any:
    """A session that is closed, and one whose client is gone, leaves its transaction undone."""
    connection = server.sessions.get(request.headers.get("Authorization", "")[17:-1])
    if connection is not None and request.query_params.get("delete"):
        if session_of(connection).in_transaction:
            connection._duck_conn.execute("rollback")
        session_of(connection).end()
        _sessions.pop(id(connection), None)
        _asked.pop(request.headers["Authorization"], None)
    return await _session(request)


_asked: dict[str, tuple[str, asyncio.Task[Any]]] = {}
"""Session -> the request it made last, and what answers it."""


async def query(request: Any) -> Any:
    """A request that comes once more is not run once more: it gets the answer that the first one waits for.

    The connector asks again after a minute of silence, which a slow machine or a writer's turn may last.
    """
    await request.body()  # as long as the client is there to send it
    name, session = request.query_params["requestId"], request.headers.get("Authorization", "")
    if session not in _asked or _asked[session][0] != name:
        _asked[session] = name, asyncio.create_task(_answer(request))
    return await asyncio.shield(_asked[session][1])


async def _answer(request: Any) -> Any:
    """A fault of the server is an answer too: the connector tries status 500 again and again, for minutes."""
    try:
        answer = await server.query_request(request)
        if answer.status_code != 500:
            return answer
        message = json.loads(answer.body)["message"]
    except Exception as error:  # noqa: BLE001  told to the client
        message = f"fault of the test server: {error!r}"
    told = {"data": {"errorCode": "100038", "sqlState": "22018"}, "code": "100038", "message": message}
    return JSONResponse({**told, "success": False})


def application() -> Any:
    own = {"/session/v1/login-request": login, "/session": session, "/queries/v1/query-request": query}
    routes = [
        Route(route.path, own.get(route.path, route.endpoint), methods=list(route.methods)) for route in server.routes
    ]
    return Starlette(routes=routes)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
        server.shared_fs = FakeSnow(db_path=sys.argv[2])
    # DuckDB 2.0.0: what several threads insert at once into a table that a transaction found empty, sessions that sign
    # in later do not see (more than 122,880 rows).
    server.shared_fs.duck_conn.execute("set global threads = 1")
    with shims():
        uvicorn.run(application(), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
