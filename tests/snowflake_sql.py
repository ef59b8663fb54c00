"""What Snowflake would not take, or would answer otherwise, in SQL that fakesnow runs without a word."""

from __future__ import annotations

import re

import sqlglot
from sqlglot import exp

NOT_SNOWFLAKE = (
    r"\bif\(", r"\bquantile_cont\(", r"\bstring_agg\(", r"\bgenerate_series\(", r"\bdistinct on\b", r"\bstarts_with\(",
    r"\bfilter \(where", r"\bsha256\(", r"\bregexp_matches\(", r"\bunnest\(", r"\btry_strptime\(", r"\bstrptime\(",
    r"\blist_\w+\(", r"\bstruct_pack\(", r"\bto_months\(", r"^\s*window\s+\w+ as \(", r"\basof left\b",
    r"\banti join\b", r"\bsemi join\b", r"\bexclude \(", r"::", r"\bread_\w+\(", r"\brange\(", r"\bby name\b",
    r"\blog\([^,()]*\)", r"//", r"->(?!>)", r"\blambda\b", r"\barg_m(?:in|ax)\(", r"\blen\(", r"\bstrftime\(",
    r"\bepoch_\w+\(", r"\bmake_date\(", r"\bstring_split\(", r"\bint(?:eger)?\[\]", r"\bhugeint\b", r"\binterval \d",
    r"\brows unbounded\b", r"\border by all\b", r"\bfrom \(?values [^(]", r"\{'", r"\bunion by\b", r"\bpositional\b",
    r"\bbool_(?:or|and)\(", r"\badd_months\(", r"\bhaving\b(?!\s+count\()",
)  # fmt: skip
"""Words and forms. `having` stands for one without `group by`, which only counts need here."""
DESCENDING = r"\bdesc\b(?!\s+nulls last)"
"""Snowflake puts nulls first in a descending order, DuckDB last."""

_WORDS = """
account all alter and any as between by case cast check column connect connection constraint create cross
current database delete distinct drop else exists false following for from full grant group gscluster having
ilike in increment inner insert intersect into is issue join lateral left like localtime localtimestamp minus
natural not null of on or order organization qualify regexp revoke right rlike row rows sample schema select set
some start table tablesample then to trigger true try_cast union unique update using values view when whenever
where with
"""
RESERVED = frozenset(_WORDS.split())
"""Snowflake's reserved words: no name of a column, table or CTE."""
KNOWN = frozenset({"ARRAY_SIZE", "ARRAY_GENERATE_RANGE", "REGEXP_INSTR", "COLUMN1", "DATEDIFF", "FLATTEN", "HASH"})
"""Functions of Snowflake that sqlglot has no class for."""
_INEXACT = (exp.Sqrt, exp.Exp, exp.Ln, exp.Pow)


def forms(sql: str) -> list[str]:
    """Denied forms in SQL without its comments, as patterns."""
    text = re.sub(r"/\*.*?\*/|--[^\n]*|'[^']*'", "''", sql, flags=re.DOTALL)
    return [word for word in (*NOT_SNOWFLAKE, DESCENDING) if re.search(word, text, re.IGNORECASE | re.MULTILINE)]


def faults(sql: str) -> list[str]:
    """What is wrong with compiled SQL; raises `ParseError` where it breaks Snowflake's grammar, as sqlglot has it."""
    tree = sqlglot.parse_one(sql, read="snowflake")
    return [*forms(sql), *_unknown(tree), *_reserved(tree), *_whole_divisions(tree)]


def _unknown(tree: exp.Expr) -> list[str]:
    commands = [f"not understood: {node.sql()[:80]}" for node in tree.find_all(exp.Command)]
    names = {node.name.upper() for node in tree.find_all(exp.Anonymous)}
    return commands + [f"unknown function {name}" for name in sorted(names - KNOWN)]


def _reserved(tree: exp.Expr) -> list[str]:
    names = {node.name.lower() for node in tree.find_all(exp.Identifier) if not node.args.get("quoted")}
    return [f"reserved word {name}" for name in sorted(names & RESERVED)]


def _whole_divisions(tree: exp.Expr) -> list[str]:
    """Quotients of NUMBERs keep a few decimals in Snowflake: one side must be a double, here or in its CTE."""
    doubles = {alias.alias for alias in tree.find_all(exp.Alias) if _is_double(alias.this)}
    return [
        f"quotient of whole numbers: {node.sql('snowflake')[:80]}"
        for node in tree.find_all(exp.Div)
        if not any(
            isinstance(part, _INEXACT) or _is_double(part) or (isinstance(part, exp.Column) and part.name in doubles)
            for part in node.walk()
        )
    ]


def _is_double(node: exp.Expr) -> bool:
    return isinstance(node, exp.Cast) and node.to.is_type("double", "float")
