"""The canonical text and the hashes of `domain/provenance.py`, said in DuckDB SQL over whole batches.

Only expressions and queries live here. Snowflake's dialect (`sha2`) will be a second file beside this one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from credit_risk_platform.domain.provenance import CONTENT, CONTEXT, OWN, SCORE_ID_LENGTH, SCORE_KEY, SEAL, Kind

PACKED = "packed_inputs"
"""Column that carries `packed(numeric_inputs)` to the engine; never stored."""

_FRAMED_ITEM = "coalesce(strlen(x)::varchar || ':' || x, '-')"

_TEXT: dict[Kind, str] = {
    Kind.TEXT: "{0}",
    Kind.LONG_TEXT: "sha256({0})",
    Kind.NUMBER: "hex({0}::double::bit::blob)",
    Kind.TEXTS: f"array_to_string(list_transform({{0}}, lambda x: {_FRAMED_ITEM}), ',')",
    Kind.INTEGER: "{0}::bigint::varchar",
    Kind.DAY: "strftime({0}::date, '%Y-%m-%d')",
    Kind.TIME: "epoch_us({0}::timestamp)::varchar",
}


def framed(column: str, kind: Kind) -> str:
    """`<bytes>:<text>` of a column, `-` for null, as arguments of `concat` (which skips nulls)."""
    text = _TEXT[kind].format(column)
    return f"coalesce(strlen({text})::varchar || ':', '-'), {text}"


def _texts(columns: Mapping[str, Kind]) -> str:
    # One `concat` over all parts: a chain of `||` copies the growing text at every step, three times slower.
    return ", ".join(framed(name, kind) for name, kind in columns.items())


INPUTS_HASH = (
    f"sha256(encode(octet_length({PACKED})::varchar || ':') || {PACKED} "
    f"|| encode(concat({framed('categorical_inputs', Kind.TEXTS)})))"
)
SCORE_ID = f"left(sha256(concat({_texts({name: CONTENT[name] for name in SCORE_KEY})})), {SCORE_ID_LENGTH})"
CONTEXT_HASH = f"sha256(concat({_texts(CONTEXT)}))"
CONTENT_HASH = f"sha256(concat({_texts(OWN)}, context_hash))"
SEAL_HASH = f"sha256(concat({_texts(SEAL)}))"


def with_context_hash(rows: str, contexts: str, shared: Iterable[str] = CONTEXT) -> str:
    """Query for `rows` with `context_hash`, computed once for each of the few `contexts` (rows of `CONTEXT`).

    `shared` are the columns both have: a score does not carry the stamp of its run yet, a ledger row does.
    """
    same = " and ".join(f"given.{name} is not distinct from context.{name}" for name in shared)
    hashed = f"select *, {CONTEXT_HASH} as context_hash from ({contexts})"
    return f"select given.*, context_hash from ({rows}) as given join ({hashed}) as context on {same}"


def digest(rows: str, value: str, digits: int) -> str:
    """Query for one digest over `rows`: hash of the buckets' hashes, each over `value` in the order of the score ids.

    Buckets (leading `digits` of the id) bound the text that is put together at once, whatever the row count.
    """
    return f"""
        select sha256(coalesce(string_agg(bucket_hash, '' order by bucket), '')) as digest
        from (
            select left(score_id, {digits}) as bucket, sha256(string_agg({value}, '' order by score_id)) as bucket_hash
            from {rows}
            group by all
        )
    """
