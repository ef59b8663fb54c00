"""A table on an asset page must stay a table, whatever stands in its cells."""

from __future__ import annotations

import pyarrow as pa

from credit_risk_platform.adapters import markdown


def test_what_is_missing_is_a_dash_and_a_figure_has_its_digits():
    shown = markdown.table(["metric", "value"], [["auc", 0.81234567], ["lift", None], ["loans", 12]])
    assert shown.splitlines() == [
        "| metric | value |", "| --- | --- |", "| auc | 0.8123 |", "| lift | - |", "| loans | 12 |",
    ]  # fmt: skip


def test_a_pipe_or_a_line_break_in_a_value_does_not_tear_the_table():
    shown = markdown.records([{"reason": "a|b\nc", "rows": 1.5}])
    assert shown.splitlines()[2:] == ["| a\\|b c | 1.5 |"]


def test_an_empty_table_still_names_its_columns_and_no_columns_say_so():
    assert markdown.records(pa.table({"loan_id": pa.array([], pa.string())})).splitlines()[0] == "| loan_id |"
    assert markdown.records([]) == "No rows."
