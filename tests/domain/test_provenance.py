"""Provenance: the same score has the same id everywhere, and no change to a row goes unseen."""

from __future__ import annotations

import hashlib
import math
import struct
from datetime import UTC, date, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_risk_platform.domain import provenance as p
from credit_risk_platform.domain.provenance import Kind, Part

KEY = {
    "loan_id": "L-1",
    "as_of": date(2026, 6, 30),
    "bundle_sha": "ab" * 32,
    "inputs_hash": "cd" * 32,
    "policy_version": "v1",
}
ROW = {
    **KEY,
    "score_id": "0" * 32,
    "subject_token": "tok",
    "known_at": datetime(2026, 7, 1, 5, 0, 0, 123456),
    "pd": 0.02,
    "points": 599.4170733620747,
    "band": "Low",
    "decision": None,
    "reasons": None,
    "model_name": "xgboost",
    "feature_sql_hash": "ef" * 32,
    "upstream": "[]",
    "kafka_topic": None,
    "kafka_partition": None,
    "kafka_offset": None,
    "run_id": "run-1",
    "git_commit": None,
    "code_hash": "12" * 32,
}
TEXTS = st.none() | st.text(max_size=5)
NUMBERS = st.none() | st.floats()


def test_the_canonical_text_is_what_the_documentation_says() -> None:
    assert p.as_text(1.5, Kind.NUMBER) == "3FF8000000000000"
    assert p.as_text(-0.0, Kind.NUMBER) == "8000000000000000"
    assert p.as_text("[]", Kind.LONG_TEXT) == hashlib.sha256(b"[]").hexdigest()
    assert p.as_text(["a", None, "é"], Kind.TEXTS) == "1:a,-,2:é"
    assert p.as_text(date(2026, 6, 30), Kind.DAY) == "2026-06-30"
    assert p.as_text(datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC), Kind.TIME) == "1000005"
    assert p.framed("a:b") == "3:a:b"
    assert p.framed(None) == "-"


def test_a_score_id_can_be_computed_with_nothing_but_a_sha256() -> None:
    text = f"3:L-1{'10:2026-06-30'}{'64:' + 'ab' * 32}{'64:' + 'cd' * 32}{'2:v1'}"
    assert p.score_id(KEY) == hashlib.sha256(text.encode()).hexdigest()[:32]


@pytest.mark.parametrize("name", p.SCORE_KEY)
def test_a_score_of_anything_else_has_another_id(name: str) -> None:
    other = date(2026, 7, 1) if name == "as_of" else f"{KEY[name]}x"
    assert p.score_id({**KEY, name: other}) != p.score_id(KEY)


@pytest.mark.parametrize("name", p.CONTENT)
def test_no_column_of_a_ledger_row_can_change_unseen(name: str) -> None:
    changed = {
        Kind.TEXT: "changed", Kind.LONG_TEXT: "[1]", Kind.INTEGER: 77, Kind.DAY: date(2020, 1, 1),
        Kind.TIME: datetime(2020, 1, 1), Kind.NUMBER: 0.5, Kind.TEXTS: ["changed"],
    }[p.CONTENT[name]]  # fmt: skip
    assert p.content_hash({**ROW, name: changed}) != p.content_hash(ROW)


def test_one_unit_in_the_last_place_of_a_pd_changes_the_hash() -> None:
    assert p.content_hash({**ROW, "pd": math.nextafter(0.02, 1)}) != p.content_hash(ROW)


@given(st.lists(TEXTS, max_size=4), st.lists(TEXTS, max_size=4))
def test_two_lists_of_categories_share_a_text_only_when_they_are_equal(left: list, right: list) -> None:
    assert (p.as_text(left, Kind.TEXTS) == p.as_text(right, Kind.TEXTS)) == (left == right)


@settings(deadline=None)
@given(st.lists(NUMBERS, max_size=4), st.lists(NUMBERS, max_size=4))
def test_two_lists_of_numbers_share_a_hash_only_when_every_bit_is_equal(left: list, right: list) -> None:
    def bits(values: list) -> list:
        return [None if v is None or math.isnan(v) else struct.pack(">d", v) for v in values]

    assert (p.inputs_hash(left, []) == p.inputs_hash(right, [])) == (bits(left) == bits(right))


def test_the_inputs_hash_can_be_computed_with_nothing_but_a_sha256() -> None:
    nan = bytes.fromhex("7ff8000000000000")
    expected = hashlib.sha256(b"16:" + struct.pack(">d", 0.1) + nan + b"5:1:a,-").hexdigest()
    assert p.inputs_hash([0.1, None], ["a", None]) == expected


@settings(deadline=None)
@given(st.lists(st.none() | st.lists(NUMBERS, max_size=3), max_size=5))
def test_packing_many_rows_equals_packing_each_alone(rows: list) -> None:
    kind = pa.list_(pa.float64())
    alone = [p.packed(pa.array([row], kind))[0].as_py() for row in rows]
    assert p.packed(pa.array(rows, kind)).to_pylist() == alone
    assert p.packed(pa.chunked_array([pa.array(rows[:2], kind), pa.array(rows[2:], kind)])).to_pylist() == alone


def test_a_moment_has_one_text_whatever_zone_it_is_written_in() -> None:
    utc = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
    assert p.as_text(utc, Kind.TIME) == p.as_text(utc.astimezone(timezone(timedelta(hours=5))), Kind.TIME)


@given(st.dictionaries(st.text("0123456789abcdef", min_size=4, max_size=4), st.text("abc", min_size=1), max_size=30))
def test_the_digest_of_a_batch_does_not_depend_on_the_order_it_was_written_in(rows: dict[str, str]) -> None:
    assert p.batch_digest(dict(reversed(rows.items()))) == p.batch_digest(rows)


@given(st.integers(0, 39), st.sampled_from(["alter", "delete"]))
def test_the_digest_of_a_batch_sees_each_altered_and_each_deleted_row(position: int, how: str) -> None:
    rows = {f"{k:04x}": f"hash-{k}" for k in range(40)}
    changed = dict(rows)
    key = f"{position:04x}"
    if how == "alter":
        changed[key] = "other"
    else:
        del changed[key]
    assert p.batch_digest(changed) != p.batch_digest(rows)


def test_buckets_stay_small_while_batches_grow() -> None:
    assert [p.bucket_digits(n) for n in (0, 1, 4096, 4097, 65_536, 65_537, 10_000_000)] == [0, 0, 0, 1, 1, 2, 2]


def test_a_seal_covers_each_of_its_fields() -> None:
    seal = p.Seal(1, 10, "d" * 64, p.GENESIS, "run", datetime(2026, 7, 1))
    others = [
        p.Seal(2, 10, "d" * 64, p.GENESIS, "run", datetime(2026, 7, 1)),
        p.Seal(1, 11, "d" * 64, p.GENESIS, "run", datetime(2026, 7, 1)),
        p.Seal(1, 10, "e" * 64, p.GENESIS, "run", datetime(2026, 7, 1)),
        p.Seal(1, 10, "d" * 64, "1" * 64, "run", datetime(2026, 7, 1)),
        p.Seal(1, 10, "d" * 64, p.GENESIS, "ran", datetime(2026, 7, 1)),
        p.Seal(1, 10, "d" * 64, p.GENESIS, "run", datetime(2026, 7, 1, 0, 0, 0, 1)),
    ]
    assert len({seal.seal_hash, *(other.seal_hash for other in others)}) == 7


def test_differing_inputs_names_the_feature_and_both_values() -> None:
    names = ["dti", "income", "purpose", "utilisation", "grade"]
    found = p.differing_inputs(names, [0.3, None, "car", 0.0, None], [0.3, float("nan"), "house", -0.0, "A"])
    assert [(d.feature, d.then, d.now) for d in found] == [
        ("purpose", "car", "house"),
        ("utilisation", 0.0, -0.0),
        ("grade", None, "A"),
    ]


def test_parts_read_as_words_in_a_report() -> None:
    assert [str(part) for part in Part] == ["feature data", "feature SQL", "model bundle", "policy", "code"]
