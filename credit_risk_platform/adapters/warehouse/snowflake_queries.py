"""Rules about the shape of a query: joins that Snowflake has not, names, whose tables they are."""

from __future__ import annotations

from sqlglot import exp

from credit_risk_platform.adapters.warehouse.snowflake_tree import STAGING, TRANSACTION, Given, each, put, refuse


def existing(statement: exp.Expression, given: Given) -> exp.Expression:  # noqa: ARG001
    """SEMI and ANTI joins, which Snowflake has not, as EXISTS."""
    for number, join in enumerate(each(statement, exp.Join)):
        if join.kind not in ("SEMI", "ANTI"):
            continue
        select = join.parent
        left, right = _named(select.args["from_"].this, f"_L{number}"), _named(join.this, f"_R{number}")
        same = [
            exp.EQ(this=exp.column(key.copy(), table=left), expression=exp.column(key.copy(), table=right))
            for key in join.args.get("using") or ()
        ]
        test = exp.and_(*same) if same else join.args["on"].copy()
        found: exp.Expression = exp.Exists(this=exp.select("1").from_(join.this.copy()).where(test))
        join.pop()
        select.where(found if join.kind == "SEMI" else exp.Not(this=found), copy=False)
    return statement


def _named(source: exp.Expression, alias: str) -> exp.Identifier:
    """What columns of `source` are qualified with; an unnamed subquery gets `alias`."""
    if not source.alias_or_name:
        source.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))
    return exp.to_identifier(source.alias_or_name)


def asof(join: exp.Join) -> exp.Expression | None:
    """The one inequality of an ASOF join stands in MATCH_CONDITION; rows without a match are always kept."""
    if join.args.get("method") != "ASOF" or join.args.get("match_condition"):
        return None
    if join.side != "LEFT":
        raise refuse("an ASOF join that drops rows without a match")
    parts = list(join.args["on"].flatten()) if isinstance(join.args["on"], exp.And) else [join.args["on"]]
    matched = [part for part in parts if isinstance(part, exp.GTE | exp.GT | exp.LTE | exp.LT)]
    rest = [part for part in parts if part not in matched]
    if len(matched) != 1:
        raise refuse("an ASOF join without exactly one inequality")
    join.set("match_condition", matched[0].copy())
    join.set("on", exp.and_(*rest) if rest else None)
    join.set("side", None)
    return None


def distinct_on(select: exp.Select) -> None:
    """The first row of each group, in the order of the statement."""
    distinct = select.args.get("distinct")
    if distinct is None or distinct.args.get("on") is None:
        return
    order = select.args.get("order")
    number = exp.Window(
        this=exp.RowNumber(),
        partition_by=[one.copy() for one in distinct.args["on"].expressions],
        order=order.copy() if order is not None else None,
    )
    if select.args.get("qualify") is not None or order is None:
        raise refuse("distinct on without an order, or with qualify")
    select.set("distinct", None)
    select.set("qualify", exp.Qualify(this=exp.EQ(this=number, expression=exp.Literal.number(1))))


def having(select: exp.Select) -> None:
    """HAVING tests what an alias stands for."""
    having = select.args.get("having")
    named = {one.alias: one.this for one in select.selects if isinstance(one, exp.Alias)}
    for column in list(having.find_all(exp.Column)) if having is not None else ():
        if not column.table and column.name in named:
            column.replace(named[column.name].copy())


def staged(statement: exp.Expression, given: Given) -> exp.Expression:
    """The caller's own tables lie in a schema of their own, under a name that no other caller uses."""
    for table in each(statement, exp.Table):
        name = f"{table.db}.{table.name}" if table.db else table.name
        if name.lower() in given.staged and not isinstance(table.this, exp.Func):
            own = own_name(name)
            new = exp.to_table(own, dialect="snowflake")
            new.set("alias", table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(table.name)))
            for joined in ("joins", "laterals", "when"):
                if table.args.get(joined):
                    new.set(joined, table.args[joined])
            statement = put(table, new, statement)
    return statement


def own_name(name: str) -> str:
    """Where a staged table lies, or what is to replace table `schema.name`."""
    return f"{STAGING}.{name.replace('.', '__')}{TRANSACTION}".upper()


def folded(statement: exp.Expression, given: Given) -> exp.Expression:  # noqa: ARG001
    """DuckDB knows no case in names, Snowflake folds those without quotes to upper case: so do we, with all."""
    for name in statement.find_all(exp.Identifier):
        name.set("this", name.this.upper())
        name.set("quoted", True)
    return statement
