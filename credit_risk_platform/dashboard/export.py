"""CSV for spreadsheets: the rows behind a table, harmless to open, and a line in the log of who took what."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import streamlit as st

from credit_risk_platform.adapters import csv_exports
from credit_risk_platform.dashboard import lake
from credit_risk_platform.dashboard.filters import Filters
from credit_risk_platform.dashboard.sign_in import reader_name

LOG = "export_log.jsonl"


def download(label: str, sql: str, params: Sequence[Any], filters: Filters, name: str) -> None:
    """A button that hands over the rows of `sql` as `<name>.csv`. They are read, and logged, when it is pressed.

    Give the query an `order by`, so that equal data gives equal bytes.
    """
    who = reader_name()  # now: the file is made in a thread that knows no session

    def rows() -> bytes:
        return written(sql, params, filters, name, who, datetime.now(UTC))

    st.download_button(
        label, rows, f"{name}.csv", "text/csv", key=f"export-{name}", icon=":material/download:", on_click="ignore"
    )


def written(sql: str, params: Sequence[Any], filters: Filters, name: str, who: str, when: datetime) -> bytes:
    """The file's bytes, after the log has its line: what could not be logged is not handed over."""
    snapshot, folder = lake.snapshot(), lake.settings().paths.exports
    with tempfile.TemporaryDirectory() as scratch:
        made = csv_exports.export(lake.reader(), sql, Path(scratch) / f"{name}.csv", params)
        content = made.file.read_bytes()
    entry = {
        "when": when.isoformat(timespec="seconds"),
        "who": who,
        "export": name,
        "filter": filters.chosen(),
        "rows": made.rows,
        "sha256": made.sha256,
        "snapshot": snapshot,
    }
    log(folder / LOG, entry)
    return content


def log(file: Path, entry: dict[str, Any]) -> None:
    """One line of JSON, appended whole: lines of two processes do not mix."""
    file.parent.mkdir(parents=True, exist_ok=True)
    line = (json.dumps(entry) + "\n").encode()
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, line)
    finally:
        os.close(handle)
