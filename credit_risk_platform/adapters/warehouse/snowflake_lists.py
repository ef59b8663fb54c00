"""Rules about lists, and about functions that make tables: unnest, range.

A list is an ARRAY in Snowflake, whose elements are VARIANTs: they are text to us unless the list is cast.
"""

from __future__ import annotations

import re

from sqlglot import exp

from credit_risk_platform.adapters.warehouse.snowflake_tree import Given, call, cast_to, each, parsed, put, refuse


def parameters(statement: exp.Expression, given: Given) -> exp.Expression:
    """A list is bound as JSON text."""
    for node in each(statement, exp.Column):
        found = _PARAMETER.fullmatch(node.name)
        if found is not None:
            mark: exp.Expression = exp.Var(this=node.name)
            new = call("PARSE_JSON", mark) if int(found[1]) in given.lists else mark
            statement = put(node, new, statement)
    return statement


_PARAMETER = re.compile(r"__p(\d+)__")


def _element(node: exp.Expression) -> tuple[exp.Expression, str]:
    """(a list, the type of its elements): text, unless it is cast or a range."""
    if isinstance(node, exp.GenerateSeries):
        return node, "BIGINT"
    if isinstance(node, exp.Cast) and node.to.this == exp.DataType.Type.ARRAY:
        inner = node.to.expressions
        return node, inner[0].sql(dialect="snowflake") if inner else "VARCHAR"
    return node, "VARCHAR"


MAP_VALUES = "map_values"


def _of_map(node: exp.Expression) -> tuple[exp.Expression, str] | None:
    """(the map, what FLATTEN calls it) of `map_keys(m)` and `map_values(m)`; texts both."""
    if isinstance(node, exp.MapKeys):
        return node.this, "KEY"
    if isinstance(node, exp.Anonymous) and node.name.lower() == MAP_VALUES:
        return node.expressions[0], "VALUE::VARCHAR"
    return None


def unnest_selected(statement: exp.Expression, given: Given) -> exp.Expression:  # noqa: ARG001
    """`select unnest(l), unnest(m)`: one row per element, the lists side by side; or keys and values of one map."""
    for number, select in enumerate(each(statement, exp.Select)):
        lists_of_it = [
            node for one in select.selects for node in one.find_all(exp.Explode) if node.parent_select is select
        ]
        if not lists_of_it:
            continue
        alias = f"_U{number}"
        flat = f'TABLE(FLATTEN(INPUT => __list__)) AS "{alias}"'
        maps = [_of_map(node.this) for node in lists_of_it]
        if any(one is None or maps[0] is None or one[0] != maps[0][0] for one in maps) and any(maps):
            raise refuse("unnest() of a map beside anything else")
        first = maps[0][0] if maps[0] else _element(lists_of_it[0].this)[0]
        if select.args.get("from_") is None:
            made = parsed(f"select 1 from {flat}", list=first)
            select.set("from_", made.args["from_"])
        else:
            made = parsed(f'select 1 from t, LATERAL FLATTEN(INPUT => __list__) AS "{alias}"', list=first)
            select.append("joins", made.args["joins"][0])
        for place, (node, keyed) in enumerate(zip(lists_of_it, maps, strict=True)):
            if keyed is not None:
                node.replace(parsed(f'"{alias}".{keyed[1]}'))
                continue
            source, kind = _element(node.this)
            value = f'"{alias}".VALUE' if place == 0 else f'GET(__list__, "{alias}".INDEX)'
            node.replace(parsed(f"{value}::{kind}", list=source))
    return statement


def unnest_from(node: exp.Unnest) -> exp.Expression | None:
    """`from unnest(l) as t(x)`."""
    if len(node.expressions) != 1 or not isinstance(node.parent, exp.From | exp.Join):
        raise refuse("unnest() of several lists in FROM")
    given, kind = _element(node.expressions[0])
    alias = node.args.get("alias")
    named = alias.columns[0].name if alias is not None and alias.columns else "unnest"
    made = parsed(f"select VALUE::{kind} as {named} from TABLE(FLATTEN(INPUT => __list__))", list=given)
    return exp.Subquery(
        this=made, alias=exp.TableAlias(this=alias.this.copy()) if alias is not None and alias.this else None
    )


def series(node: exp.Table) -> exp.Expression | None:
    """`from range(n)`, `from generate_series(a, b)`: whole numbers."""
    call = node.this
    if not isinstance(call, exp.GenerateSeries | exp.ExplodingGenerateSeries):
        return None
    inclusive = not call.args.get("is_end_exclusive")
    start, end, step = call.args.get("start"), call.args.get("end"), call.args.get("step")
    if step is not None or start is None or end is None:
        raise refuse("range() with a step")
    stop = exp.Add(this=exp.Paren(this=end.copy()), expression=exp.Literal.number(1)) if inclusive else end
    alias = node.args.get("alias")
    named = (
        alias.columns[0].name if alias is not None and alias.columns else "generate_series" if inclusive else "range"
    )
    made = parsed(
        f"select VALUE::bigint as {named} from TABLE(FLATTEN(INPUT => ARRAY_GENERATE_RANGE(__a__, __b__)))",
        a=start,
        b=stop,
    )
    return exp.Subquery(
        this=made, alias=exp.TableAlias(this=alias.this.copy()) if alias is not None and alias.this else None
    )


def array(node: exp.Array) -> exp.Expression:
    return call("ARRAY_CONSTRUCT", *[one.copy() for one in node.expressions])


def bracket(node: exp.Bracket) -> exp.Expression:
    """`l[1]` and `l[:3]` of a list; elements are text."""
    [index] = node.expressions
    if isinstance(index, exp.Slice):
        end = index.expression
        if index.this is not None or end is None:
            raise refuse("a slice other than [:n]")
        return call("ARRAY_SLICE", node.this.copy(), exp.Literal.number(0), end.copy())
    if not isinstance(index, exp.Literal):
        raise refuse("an element at a computed place")
    return cast_to(exp.Bracket(this=node.this.copy(), expressions=[index.copy()]), "VARCHAR")


def not_null_filter(node: exp.Filter | exp.ArrayFilter) -> exp.Expression | None:
    """`list_filter(l, lambda x: x is not null)`."""
    test = node.args.get("expression")
    body = test.this if isinstance(test, exp.Lambda) else None
    if isinstance(body, exp.Not) and isinstance(body.this, exp.Is) and isinstance(body.this.expression, exp.Null):
        return call("ARRAY_COMPACT", node.this.copy())
    return None
