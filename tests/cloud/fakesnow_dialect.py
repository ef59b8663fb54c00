"""Statements that mean one thing in Snowflake and another, or nothing, in fakesnow: each rewritten before it runs.

Runs in fakesnow's own environment. ARRAYs are JSON there.
"""

from __future__ import annotations

import re

import sqlglot
from sqlglot import exp


def as_snowflake_means(expression: exp.Expression) -> exp.Expression:
    """Snowflake's statement as fakesnow takes it."""
    expression = _permanent(expression)
    for shim in SHIMS:
        expression = expression.transform(shim)
    return expression


def _permanent(expression: exp.Expression) -> exp.Expression:
    """`create temporary table schema.name`: DuckDB's temporary tables have no schema of ours. dbt makes such ones."""
    if isinstance(expression, exp.Create) and expression.args.get("properties"):
        table = expression.this.find(exp.Table)
        if table is not None and (table.db or table.catalog):
            kept = [p for p in expression.args["properties"].expressions if not isinstance(p, exp.TemporaryProperty)]
            expression.set("properties", exp.Properties(expressions=kept) if kept else None)
    return expression


def order_by_all(expression: exp.Expression) -> exp.Expression:
    """ORDER BY ALL: a word, not a column."""
    for ordered in expression.find_all(exp.Ordered):
        if isinstance(ordered.this, exp.Column) and ordered.this.name == "ALL" and not ordered.this.table:
            ordered.this.replace(exp.Var(this="ALL"))
    return expression


def _asof(expression: exp.Expression) -> exp.Expression:
    """ASOF JOIN ... MATCH_CONDITION (...) ON ...: DuckDB has both conditions in one, and drops rows without a match."""
    match = expression.args.get("match_condition") if isinstance(expression, exp.Join) else None
    if match is not None:
        keys = expression.args.get("on")
        expression.set("on", exp.and_(keys, match) if keys is not None else match)
        expression.set("match_condition", None)
        expression.set("side", "LEFT")
    return expression


def _to_char(expression: exp.Expression) -> exp.Expression:
    """TO_CHAR of a time, or of a number in hexadecimal digits, with a format, which fakesnow drops."""
    if isinstance(expression, exp.ToChar) and isinstance(expression.args.get("format"), exp.Literal):
        if set(expression.args["format"].name) == {"X"}:
            return exp.Anonymous(this="format", expressions=[exp.Literal.string("{:X}"), expression.this])
        wanted = re.sub("|".join(FORMATS), lambda found: FORMATS[found[0]], expression.args["format"].name.lower())
        return exp.Anonymous(this="strftime", expressions=[expression.this, exp.Literal.string(wanted)])
    return expression


FORMATS = {"yyyy": "%Y", "hh24": "%H", "mm": "%m", "dd": "%d", "mi": "%M", "ss": "%S"}


def _slice(expression: exp.Expression) -> exp.Expression:
    """ARRAY_SLICE of an ARRAY, which is JSON here."""
    if isinstance(expression, exp.ArraySlice):
        listed = exp.Anonymous(this="from_json", expressions=[_json(expression.this), exp.Literal.string('["JSON"]')])
        start = exp.Add(this=expression.args["start"], expression=exp.Literal.number(1))
        cut = exp.Anonymous(this="list_slice", expressions=[listed, start, expression.args["end"]])
        return exp.Anonymous(this="to_json", expressions=[cut])
    return expression


def _contains(expression: exp.Expression) -> exp.Expression:
    """ARRAY_CONTAINS(value, list) where the list is JSON."""
    if isinstance(expression, exp.ArrayContains):
        listed = exp.Anonymous(
            this="from_json", expressions=[_json(expression.this), exp.Literal.string('["VARCHAR"]')]
        )
        value = expression.expression
        while isinstance(value, exp.Cast):
            value = value.this
        text = exp.Cast(this=value, to=exp.DataType.build("VARCHAR"))
        return exp.Anonymous(this="list_contains", expressions=[listed, text])
    return expression


def _distinct(expression: exp.Expression) -> exp.Expression:
    """ARRAY_DISTINCT(ARRAY_COMPACT(list)) of a list that is JSON."""
    if isinstance(expression, exp.ArrayDistinct) and isinstance(expression.this, exp.ArrayCompact):
        given = _json(expression.this.this)
        listed = exp.Anonymous(this="from_json", expressions=[given, exp.Literal.string('["VARCHAR"]')])
        distinct = exp.Anonymous(this="list_distinct", expressions=[listed])  # DuckDB's leaves nulls out
        return exp.Anonymous(this="to_json", expressions=[distinct])
    return expression


def _array_agg(expression: exp.Expression) -> exp.Expression:
    """ARRAY_AGG leaves nulls out, and is an empty ARRAY where nothing is left."""
    if _is_array_agg(expression) and not _is_array_agg(expression.parent):
        without = sqlglot.parse_one(
            "coalesce(to_json(list_filter(from_json(made, '[\"JSON\"]'), x -> x is not null)), cast('[]' as json))",
            read="duckdb",
        )
        next(without.find_all(exp.Column)).replace(expression.copy())
        return without
    return expression


def _is_array_agg(expression: exp.Expression | None) -> bool:
    return isinstance(expression, exp.ArrayAgg) or (
        isinstance(expression, exp.WithinGroup) and isinstance(expression.this, exp.ArrayAgg)
    )


def _size(expression: exp.Expression) -> exp.Expression:
    """ARRAY_SIZE is a number as others are; the length of a JSON list has no sign, and other functions refuse it."""
    if isinstance(expression, exp.ArraySize):
        return exp.Cast(this=expression.copy(), to=exp.DataType.build("BIGINT"))
    return expression


def _get(expression: exp.Expression) -> exp.Expression:
    """GET(list, place) as a text has no quotes; and a generated list is DuckDB's here, of which `->` finds nothing."""
    cast = isinstance(expression, exp.Cast) and isinstance(expression.this, exp.GetExtract)
    if cast and expression.to.this in exp.DataType.TEXT_TYPES:
        parts = [_json(expression.this.this), expression.this.expression]
        return exp.Anonymous(this="json_extract_string", expressions=parts)
    if isinstance(expression, exp.GetExtract) and isinstance(expression.this, exp.GenerateSeries):
        expression.set("this", exp.Anonymous(this="to_json", expressions=[expression.this]))
    return expression


def _at(expression: exp.Expression) -> exp.Expression:
    """Table AT (...): there is no Time Travel here. Only the present can be asked for."""
    if isinstance(expression, exp.Table) and expression.args.get("when") is not None:
        expression.set("when", None)
    return expression


def _empty_list(expression: exp.Expression) -> exp.Expression:
    """ARRAY_CONSTRUCT() is an ARRAY beside others."""
    if isinstance(expression, exp.Array) and not expression.expressions:
        return _json(exp.Literal.string("[]"))
    return expression


def _json(expression: exp.Expression) -> exp.Expression:
    return exp.Cast(this=expression, to=exp.DataType.build("JSON", dialect="duckdb"))


def _bytes(expression: exp.Expression) -> exp.Expression:
    """OCTET_LENGTH of a text."""
    if isinstance(expression, exp.ByteLength):
        return exp.Anonymous(this="strlen", expressions=[expression.this])
    return expression


def _first_match(expression: exp.Expression) -> exp.Expression:
    """REGEXP_REPLACE(text, pattern, new, 1, 1) replaces the first match only."""
    if isinstance(expression, exp.RegexpReplace) and expression.args.get("occurrence") == exp.Literal.number(1):
        parts = [expression.this, expression.expression, expression.args["replacement"]]
        return exp.Anonymous(this="regexp_replace", expressions=parts)
    return expression


def _hash(expression: exp.Expression) -> exp.Expression:
    """HASH is a signed number of 64 bits; DuckDB's has no sign."""
    if isinstance(expression, exp.Anonymous) and expression.name.upper() == "HASH":
        wide = exp.Cast(this=expression.copy(), to=exp.DataType.build("HUGEINT", dialect="duckdb"))
        middle = exp.Literal.number(2**63)
        return exp.Cast(this=exp.Paren(this=exp.Sub(this=wide, expression=middle)), to=exp.DataType.build("BIGINT"))
    return expression


def _array_to_string(expression: exp.Expression) -> exp.Expression:
    """Of an ARRAY column, which is JSON here, and DuckDB joins lists."""
    if isinstance(expression, exp.ArrayToString):
        listed = exp.Anonymous(
            this="from_json_strict", expressions=[expression.this, exp.Literal.string('["VARCHAR"]')]
        )
        parts = [listed, exp.Literal.string("string_agg"), expression.expression]
        joined = exp.Anonymous(this="list_aggregate", expressions=parts)
        text = exp.Coalesce(this=joined, expressions=[exp.Literal.string("")])  # of an empty list
        given = exp.Not(this=exp.Is(this=expression.this.copy(), expression=exp.Null()))
        return exp.Case(ifs=[exp.If(this=given, true=text)])
    return expression


SHIMS = (
    _asof, _array_to_string, _to_char, _slice, _contains, _distinct, _size, _array_agg, _get, _at, _empty_list,
    _first_match, _hash, _bytes,
)  # fmt: skip
