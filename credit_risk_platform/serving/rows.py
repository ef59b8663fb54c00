"""Applications as the typed bronze rows that the stream's intake makes of messages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pyarrow as pa

from credit_risk_platform.domain.contracts.messages import APPLICATIONS
from credit_risk_platform.serving.schemas import Asked
from credit_risk_platform.serving.values import ARROW_TYPES

DECIDED_ON = "application_date"
_TYPES = {column.name: ARROW_TYPES[column.type] for column in APPLICATIONS.kept if column.name != "id"}
FULL_SCHEMA = pa.schema([("subject_token", pa.string()), ("loan_id", pa.string()), *_TYPES.items()])
"""Every column a row can have, in the intake's order."""


def bronze_rows(asked: Sequence[Asked], day: date) -> pa.Table:
    """One row per application, in order: the columns of `FULL_SCHEMA` that any of them has a value for.

    An application that gives no date is one of `day`.
    """
    said = {name for one in asked for name in one.row}
    columns = {
        "subject_token": pa.array([one.subject_token for one in asked], pa.string()),
        "loan_id": pa.array([one.loan_id for one in asked], pa.string()),
        DECIDED_ON: pa.array([one.row.get(DECIDED_ON, day) for one in asked], pa.date32()),
    }
    for name, kind in _TYPES.items():
        if name in said and name != DECIDED_ON:
            columns[name] = pa.array([one.row.get(name) for one in asked], kind)
    return pa.table(columns)
