"""Whatever a file looks like, no row is lost, none is made up, and each reject points at the right line."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_risk_platform.adapters.landing.stage import Resources, scratch_connection, stage_loans
from credit_risk_platform.domain.contracts.errors import LandingError
from tests.loan_files import COLUMNS, KEY, TODAY, line

WRONG_VALUES = st.sampled_from(
    [
        ("dti", "-5"), ("dti", "abc"), ("term", ""), ("issue_d", "Dec-2031"), ("issue_d", "2011-02-30"),
        ("open_acc", "2.5"), ("loan_amnt", "nan"), ("annual_inc", "1e30"), ("earliest_cr_line", "Jan-2012"),
        ("revol_util", "100001%"), ("issue_d", "infinity"), ("earliest_cr_line", "Epoch"),
    ]
)  # fmt: skip
NOTICE = "Loans that do not meet the credit policy"
BROKEN = st.sampled_from(["junk", "a,b,c", NOTICE, line(1) + ",x,y", "   ", "é" * 30])


@st.composite
def files(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """Lines of a file and, per line, what must become of it: an id that lands, 'reject' or 'blank'."""
    lines, fates = [], []
    for number in range(draw(st.integers(1, 25))):
        match draw(st.sampled_from(["good", "good", "good", "quoted", "wrong", "broken", "blank", "again"])):
            case "wrong":
                column, value = draw(WRONG_VALUES)
                lines.append(line(number, **{column: value}))
                fates.append("reject")
            case "broken":
                lines.append(draw(BROKEN))
                fates.append("reject")
            case "blank":
                lines.append("")
                fates.append("blank")
            case "again" if any(fate.startswith("L") for fate in fates):
                lines.append(line(int(next(fate for fate in fates if fate.startswith("L"))[1:])))
                fates.append("reject")
            case "quoted":
                lines.append(line(number, purpose='"a, ""b""\nc"'))
                fates.append(f"L{number}")
            case _:
                lines.append(line(number))
                fates.append(f"L{number}")
    return lines, fates


@settings(max_examples=60, deadline=None)
@given(drawn=files(), ends=st.sampled_from(["\n", "\r\n"]), last=st.booleans())
def test_rows_in_are_rows_landed_plus_rows_rejected_and_every_number_is_right(
    drawn: tuple[list[str], list[str]], ends: str, last: bool
) -> None:
    lines, fates = drawn
    expected = {row: fate for row, fate in enumerate(fates, 2) if fate != "blank"}
    landing = {row: fate for row, fate in expected.items() if fate != "reject"}
    with TemporaryDirectory() as folder, scratch_connection(Path(folder), Resources(threads=2)) as connection:
        file = Path(folder) / "f.csv"
        body = "\n".join([",".join(COLUMNS), *lines]) + ("\n" if last else "")
        file.write_bytes(body.replace("\n", ends).encode())
        if not landing:
            with pytest.raises(LandingError):
                stage_loans(connection, file, Path(folder), today=TODAY, key=KEY)
            return
        staged = stage_loans(connection, file, Path(folder), today=TODAY, key=KEY)
        rows = connection.execute("select _row, loan_id from numbered where problems = ''").fetchall()
        assert dict(rows) == landing
        assert {reject["row"] for reject in staged.rejects().to_pylist()} == set(expected) - set(landing)
        assert staged.counts.rows_in == staged.counts.rows_landed + staged.counts.rows_rejected == len(expected)
        assert all(reject["next_step"] for reject in staged.rejects().to_pylist())
