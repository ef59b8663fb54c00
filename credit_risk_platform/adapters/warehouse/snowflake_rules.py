"""Rules that turn a parsed DuckDB statement into one whose Snowflake text means the same: what they are, in order.

One function per construct, each with what differs, in the modules beside this one; here stands what no rule can mend.
The tests in tests/cloud/test_snowflake_sql.py run every one of them on both engines.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlglot import exp

from credit_risk_platform.adapters.warehouse import snowflake_functions as functions
from credit_risk_platform.adapters.warehouse import snowflake_lists as lists
from credit_risk_platform.adapters.warehouse import snowflake_queries as queries
from credit_risk_platform.adapters.warehouse.snowflake_tree import Given, Rule, refuse, replace_each

FILES = {"read_parquet", "read_csv", "read_csv_auto", "read_json", "read_json_auto", "parquet_scan", "glob"}
"""They read where this process runs."""
_SAID = {
    "hash", "radians", "sin", "cos", "asin", "acos", "regr_slope", "regr_intercept", "regr_r2", "covar_samp",
    "covar_pop", "cume_dist", "percent_rank", "dense_rank", "rank", "ntile",
}  # fmt: skip
"""Functions sqlglot has no class for, that Snowflake has under the same name and with the same meaning."""


def refuse_unknown(statement: exp.Expression, given: Given) -> exp.Expression:  # noqa: ARG001
    """Sqlglot hands on what it does not know: Snowflake would find out in production only."""
    for node in statement.find_all(exp.Anonymous):
        name = node.name.lower()
        if name in FILES:
            raise refuse(f"{name}(): the file lies where this process runs")
        said = name in _SAID | functions.OTHERWISE.keys() | functions.SPANS.keys()
        if not said and not (name == lists.MAP_VALUES and isinstance(node.parent, exp.Explode)):
            raise refuse(f"the function {name}()")
    for kind, construct in _NEVER.items():
        if statement.find(kind) is not None:
            raise refuse(construct)
    for kind, sayable, construct in _SELDOM:
        if not all(sayable(node) for node in statement.find_all(kind)):
            raise refuse(construct)
    return statement


_LAMBDA = "a lambda function other than the test for null"
_SELDOM: tuple[tuple[type[exp.Expression], Callable[[Any], bool], str], ...] = (
    (
        exp.HistoricalData,
        lambda node: node.args["kind"].upper() == "TIMESTAMP",
        "a state of the past by its number: ask the warehouse for it (`at`)",
    ),
    (exp.MapKeys, lambda node: isinstance(node.parent, exp.Explode), "map_keys() outside unnest()"),
    (exp.ArrayFilter, lambda node: lists.not_null_filter(node) is not None, _LAMBDA),
    (exp.Join, lambda node: "POSITIONAL" not in (node.args.get("method"), node.kind), "a positional join"),
)
"""What can be said in one form only: (construct, whether it has that form, what is refused)."""
_NEVER: dict[type[exp.Expression], str] = {
    exp.ReadParquet: "read_parquet(): the file lies where this process runs",
    exp.ReadCSV: "read_csv(): the file lies where this process runs",
    exp.Pivot: "pivot",
    exp.Columns: "columns(*)",
    exp.Transform: _LAMBDA,
    exp.Reduce: _LAMBDA,
    exp.Monthname: "monthname(): Snowflake's is cut to three letters",
    exp.Dayname: "dayname(): Snowflake's is cut to three letters",
    exp.Typeof: "typeof(): the engines name types otherwise",
    exp.TableSample: "a sample: the engines draw other rows",
    exp.Struct: "a struct",
    exp.First: "first()",
    exp.Last: "last()",
}


RULES: tuple[Rule, ...] = (
    refuse_unknown,
    replace_each(exp.ArrayFilter, lists.not_null_filter),
    replace_each(exp.Add, functions.interval),
    replace_each(exp.Sub, functions.interval),
    replace_each(exp.Anonymous, functions.said_otherwise),
    replace_each(exp.Anonymous, functions.without_sign),
    replace_each(exp.IsNan, functions.not_a_number),
    replace_each(exp.Format, functions.hexadecimal),
    lists.unnest_selected,
    replace_each(exp.Unnest, lists.unnest_from),
    replace_each(exp.Table, lists.series),
    lists.parameters,
    replace_each(exp.Array, lists.array),
    replace_each(exp.Bracket, lists.bracket),
    queries.existing,
    replace_each(exp.Join, queries.asof),
    replace_each(exp.Select, queries.distinct_on),
    replace_each(exp.Select, queries.having),
    replace_each(exp.PercentileCont, functions.quantile),
    replace_each(exp.Filter, functions.filtered),
    replace_each(exp.ArgMax, functions.best),
    replace_each(exp.ArgMin, functions.best),
    replace_each(exp.AnyValue, functions.any_value),
    replace_each(exp.Avg, functions.as_double("this")),
    replace_each(exp.Median, functions.as_double("this")),
    replace_each(exp.WithinGroup, functions.percentile),
    replace_each(exp.UnixToTime, functions.milliseconds),
    replace_each(exp.Extract, functions.epoch),
    replace_each(exp.TimeToUnix, lambda node: functions.seconds(node.this)),
    replace_each(exp.IntDiv, functions.whole_division),
    replace_each(exp.Div, functions.as_double("this")),
    replace_each(exp.ConcatWs, functions.concat_ws),
    replace_each(exp.Concat, functions.concat),
    replace_each(exp.Log, functions.log),
    replace_each(exp.RegexpLike, functions.matches),
    replace_each(exp.RegexpReplace, functions.replaced),
    replace_each(exp.TryCast, functions.try_cast),
    replace_each(exp.DataType, functions.data_type),
    queries.staged,
    queries.folded,
)
