"""Rules about aggregates and functions of single values."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from sqlglot import exp

from credit_risk_platform.adapters.warehouse.snowflake_tree import call, cast_to, not_null, parsed, refuse


def filtered(node: exp.Filter) -> exp.Expression | None:
    """`sum(x) filter (where c)`: only rows of `c` give the aggregate a value."""
    aggregate, test = node.this.copy(), node.expression.this
    if isinstance(aggregate, exp.Count) and isinstance(aggregate.this, exp.Star):
        return exp.CountIf(this=test.copy())
    holder: Any = aggregate
    if isinstance(holder, exp.WithinGroup):
        holder = holder.expression.expressions[0]
    while isinstance(holder.this, exp.Order | exp.Distinct | exp.Ordered):
        holder = holder.this
    operand = holder.expressions[0] if isinstance(holder, exp.Distinct) else holder.this
    operand.replace(exp.Case(ifs=[exp.If(this=test.copy(), true=operand.copy())]))
    return aggregate


def any_value(node: exp.AnyValue) -> exp.Expression:
    """DuckDB's is the first that is not null; Snowflake's may be null where others are not."""
    given = node.this.copy()
    new = exp.ArgMax(this=given, expression=exp.Case(ifs=[exp.If(this=not_null(given), true=exp.Literal.number(1))]))
    if isinstance(node.parent, exp.IgnoreNulls):
        node.parent.replace(new)
    return new


def best(node: exp.ArgMax | exp.ArgMin) -> exp.Expression | None:
    """DuckDB leaves rows out whose value is null; Snowflake only those whose measure is."""
    if node.args.get("count") is not None:
        raise refuse("arg_max() of several rows")
    guarded = exp.Case(ifs=[exp.If(this=not_null(node.this), true=node.expression.copy())])
    node.set("expression", guarded)
    return None


def as_double(argument: str) -> Callable[[Any], None]:
    """Snowflake computes with decimals of a few digits where DuckDB does with doubles."""

    def make(node: Any) -> None:
        given = node.args[argument]
        if isinstance(given, exp.Distinct):
            given = given.expressions[0]
        if not (isinstance(given, exp.Cast) and given.to.this == exp.DataType.Type.DOUBLE):
            given.replace(cast_to(given, "DOUBLE"))

    return make


def percentile(node: exp.WithinGroup) -> None:
    if isinstance(node.this, exp.PercentileCont):
        for ordered in node.expression.expressions:
            ordered.this.replace(cast_to(ordered.this, "DOUBLE"))


def quantile(node: exp.PercentileCont) -> exp.Expression | None:
    """`quantile_cont(x, q)`."""
    quantile = node.args.get("expression")
    if quantile is None:
        return None
    if not isinstance(quantile, exp.Literal | exp.Var):
        raise refuse("several quantiles at once")
    return parsed("PERCENTILE_CONT(__q__) WITHIN GROUP (ORDER BY __x__)", q=quantile, x=cast_to(node.this, "DOUBLE"))


# -------------------------------------------------------------------- single values


def concat_ws(node: exp.ConcatWs) -> exp.Expression:
    """What is null is left out, with its separator."""
    separator, *rest = node.expressions
    return _joined(rest, separator)


def concat(node: exp.Concat) -> exp.Expression:
    """DuckDB's leaves nulls out."""
    return _joined(node.expressions, exp.Literal.string(""))


def _joined(parts: Sequence[exp.Expression], separator: exp.Expression) -> exp.Expression:
    texts = [part.copy() if isinstance(part, exp.Literal) else cast_to(part, "VARCHAR") for part in parts]
    return call("ARRAY_TO_STRING", call("ARRAY_CONSTRUCT_COMPACT", *texts), separator.copy())


def log(node: exp.Log) -> exp.Expression | None:
    """DuckDB's is to the base of ten."""
    return None if node.expression else call("LOG", exp.Literal.number(10), node.this.copy())


def matches(node: exp.RegexpLike) -> exp.Expression:
    """DuckDB looks for the pattern anywhere, Snowflake's REGEXP_LIKE wants it to cover the text."""
    if node.args.get("flag") is not None:
        raise refuse("regexp_matches() with options")
    found = call("REGEXP_INSTR", node.this.copy(), node.expression.copy())
    return exp.GT(this=found, expression=exp.Literal.number(0))


def replaced(node: exp.RegexpReplace) -> exp.Expression:
    modifiers = node.args.get("modifiers")
    flag = modifiers.name if modifiers is not None else ""
    if flag not in ("", "g"):
        raise refuse(f"regexp_replace() with options {flag!r}")
    parts = [node.this.copy(), node.expression.copy(), node.args["replacement"].copy()]
    first_only = [] if flag == "g" else [exp.Literal.number(1), exp.Literal.number(1)]
    return call("REGEXP_REPLACE", *parts, *first_only)


def try_cast(node: exp.TryCast) -> exp.Expression | None:
    """Snowflake's takes text only."""
    if isinstance(node.this, exp.Cast) and node.this.to.this == exp.DataType.Type.VARCHAR:
        return None
    node.this.replace(cast_to(node.this, "VARCHAR"))
    return None


def milliseconds(node: exp.UnixToTime) -> exp.Expression:
    """`epoch_ms(t)`: of a time, as the platform uses it."""
    return call("DATE_PART", exp.Var(this="EPOCH_MILLISECOND"), node.this.copy())


def hexadecimal(node: exp.Format) -> exp.Expression:
    """`format('{:08x}', n)`, of a number that is not negative."""
    wanted = _HEXADECIMAL.fullmatch(node.this.name)
    if wanted is None or len(node.expressions) != 1:
        raise refuse("format(), but for the hexadecimal digits of one number")
    digits = int(wanted[1])
    return parsed(f"LOWER(LPAD(TRIM(TO_CHAR(__n__, '{'X' * digits}')), {digits}, '0'))", n=node.expressions[0])


_HEXADECIMAL = re.compile(r"\{:0(\d+)x\}")


def not_a_number(node: exp.IsNan) -> exp.Expression:
    """In Snowflake, as in DuckDB, what is not a number equals itself."""
    return parsed(f"__x__ = {_NAN}", x=node.this)


def said_otherwise(node: exp.Anonymous) -> exp.Expression | None:
    """Functions of one argument that have another name."""
    text = OTHERWISE.get(node.name.lower())
    return parsed(text, x=node.expressions[0]) if text and len(node.expressions) == 1 else None


def without_sign(node: exp.Anonymous) -> exp.Expression | None:
    """Half of Snowflake's hashes are negative, and a negative number's remainder is: DuckDB's are never."""
    if node.name.lower() != "hash" or isinstance(node.parent, exp.BitwiseAnd):
        return None
    return exp.Paren(this=exp.BitwiseAnd(this=node.copy(), expression=exp.Literal.number(2**63 - 1)))


_NAN, _INFINITE = "CAST('NaN' AS DOUBLE)", "CAST('inf' AS DOUBLE), CAST('-inf' AS DOUBLE)"
OTHERWISE = {
    "epoch_us": "DATE_PART(EPOCH_MICROSECOND, __x__)",
    "strlen": "OCTET_LENGTH(__x__)",
    "isfinite": f"NOT __x__ IN ({_NAN}, {_INFINITE})",
    "isinf": f"__x__ IN ({_INFINITE})",
}


def epoch(node: exp.Extract) -> exp.Expression | None:
    """With the fraction of the second."""
    if node.name.lower() != "epoch":
        return None
    return seconds(node.expression)


def seconds(time: exp.Expression) -> exp.Expression:
    micros = call("DATE_PART", exp.Var(this="EPOCH_MICROSECOND"), time.copy())
    return exp.Div(this=micros, expression=exp.Literal.number(1_000_000))


def interval(node: exp.Add | exp.Sub) -> exp.Expression | None:
    """`d + interval (n) day`, `d + to_months(n)`: a computed number of them."""
    span = node.expression
    if isinstance(span, exp.Interval) and not isinstance(span.this, exp.Literal):
        count, unit = span.this, span.args["unit"].name.upper()
    elif isinstance(span, exp.Anonymous) and span.name.lower() in SPANS:
        count, unit = span.expressions[0], SPANS[span.name.lower()]
    else:
        return None
    count = exp.Neg(this=exp.Paren(this=count.copy())) if isinstance(node, exp.Sub) else count.copy()
    return call("DATEADD", exp.Var(this=unit), count, node.this.copy())


SPANS = {f"to_{unit}s": unit.upper() for unit in ("year", "month", "week", "day", "hour", "minute", "second")}


def whole_division(node: exp.IntDiv) -> exp.Expression:
    """Of doubles, for Snowflake's quotient of whole numbers is rounded to six digits before it is cut."""
    return parsed("CAST(TRUNC(CAST(__a__ AS DOUBLE) / __b__) AS BIGINT)", a=node.this, b=node.expression)


_TYPES = {
    exp.DataType.Type.INT128: "NUMBER(38, 0)", exp.DataType.Type.UINT128: "NUMBER(38, 0)",
    exp.DataType.Type.UBIGINT: "NUMBER(38, 0)", exp.DataType.Type.UINT: "NUMBER(38, 0)",
    exp.DataType.Type.JSON: "VARIANT",
}  # fmt: skip


def data_type(node: exp.DataType) -> exp.Expression | None:
    if node.this == exp.DataType.Type.ARRAY:
        return exp.DataType(this=exp.DataType.Type.ARRAY)
    if node.this == exp.DataType.Type.LIST:
        return exp.DataType(this=exp.DataType.Type.ARRAY)
    if node.this == exp.DataType.Type.FLOAT:
        raise refuse("FLOAT of 32 bits; use double")
    name = _TYPES.get(node.this)
    return exp.DataType.build(name, dialect="snowflake") if name else None
