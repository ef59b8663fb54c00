"""The adverse-action notice: what a declined applicant is told, from a versioned template and approved texts only.

Regulation B 12 CFR 1002.9: the action, the principal reasons in specific words, within 30 days. FCRA 615(a) and
609(f): the score that was used, its range, its date and the key factors. Same rows, same template, same bytes. What
the sender adds (name and address of the lender, of the credit bureau and of the agency) is not known to the platform.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from credit_risk_platform.domain.calibration import CLIP
from credit_risk_platform.domain.points import points
from credit_risk_platform.domain.reasons import VAGUE

CLOCK = timedelta(days=30)
"""Regulation B 1002.9(a)(1): notice within 30 days. Counted from the decision."""
MOST_REASONS = 5
"""Four principal reasons, and inquiries as a fifth where they are a key factor (FCRA 609(f)(9))."""

NOTICE_SCHEMA = pa.schema(
    [
        ("score_id", pa.string()),
        ("subject_token", pa.string()),
        ("decided_on", pa.date32()),
        ("due_by", pa.date32()),
        ("policy_version", pa.string()),
        ("template_version", pa.string()),
        ("score_points", pa.int64()),
        ("score_low", pa.int64()),
        ("score_high", pa.int64()),
        ("reasons", pa.list_(pa.string())),
        ("reason_texts", pa.list_(pa.string())),
        ("text", pa.string()),
    ]
)
DECLINED_SCHEMA = pa.schema(
    [
        ("score_id", pa.string()),
        ("subject_token", pa.string()),
        ("decided_at", pa.timestamp("us")),
        ("policy_version", pa.string()),
        ("points", pa.float64()),
        ("by_score", pa.bool_()),
        ("reasons", pa.list_(pa.string())),
        ("reason_texts", pa.list_(pa.string())),
    ]
)
"""What a notice is made of. `by_score`: the PD alone would have declined; else a hard rule did. `reason_texts` stand in
the order of `reasons`, null where a code has no approved text."""


class NoticeError(ValueError):
    """A notice that must not go out. The message names the decision, the code and what to do."""


@dataclass(frozen=True)
class Template:
    """Text with `{field}` where a column of the notice goes."""

    version: str
    text: str

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """Literal text and field names in turn: literal, field, literal, ..., literal."""
        return tuple(re.split(r"\{(\w+)\}", self.text))


TEMPLATE = Template(
    "2026.1",
    """\
NOTICE OF ACTION TAKEN

Reference: {score_id}
Applicant: {subject_token}
Date of the decision: {decided_on}
This notice must reach you by: {due_by}

We have considered your application for credit and cannot approve it.

Principal reasons for our decision:
{reason_lines}

Your credit score
We used a credit score in this decision. A credit score is a number that reflects the information in your application
and in your credit record. It can change when that information changes.
Your credit score: {score_points}
Date of the score: {decided_on}
Scores range from {score_low}, the highest risk, to {score_high}, the lowest.
{factor_lines}

You may ask us within 60 days for a person to look at this decision, and for a free copy of the information that it
rests on. If that information is wrong, tell us and we will decide anew.

The federal Equal Credit Opportunity Act prohibits creditors from discriminating against credit applicants on the basis
of race, color, religion, national origin, sex, marital status, age (provided the applicant has the capacity to enter
into a binding contract); because all or part of the applicant's income derives from any public assistance program; or
because the applicant has in good faith exercised any right under the Consumer Credit Protection Act.
""",
)
"""The template in force. A changed word is a new version; earlier ones stay in `TEMPLATES`, so old notices rebuild."""
TEMPLATES = {template.version: template for template in (TEMPLATE,)}
KEY_FACTORS = "Key factors that adversely affected your credit score, the strongest first:\n"
NO_FACTORS = "This decision does not rest on the score: the reasons above led to it whatever the score was."


def score_range() -> tuple[int, int]:
    """Lowest and highest points any PD of a calibrated model gives: PDs are clipped to [1e-6, 1 - 1e-6]."""
    lowest, highest = points(np.array([1 - CLIP, CLIP]))
    return round(float(lowest)), round(float(highest))


def notices(declined: pa.Table, template: Template = TEMPLATE) -> pa.Table:
    """One notice (`NOTICE_SCHEMA`) per row of `declined` (`DECLINED_SCHEMA`), in the same order.

    Raises `NoticeError` for a decision without a reason, with more than five, or with a code that has no approved text.
    """
    _refuse_vague(declined)
    decided_on = declined["decided_at"].cast(pa.date32())
    low, high = score_range()
    columns = {
        **{name: declined[name] for name in ("score_id", "subject_token", "policy_version", "reasons", "reason_texts")},
        "decided_on": decided_on,
        "due_by": pc.add(decided_on.cast(pa.timestamp("s")), pa.scalar(CLOCK, pa.duration("s"))).cast(pa.date32()),
        "template_version": pa.repeat(template.version, declined.num_rows),
        "score_points": pc.round(declined["points"]).cast(pa.int64()),
        "score_low": pa.repeat(low, declined.num_rows),
        "score_high": pa.repeat(high, declined.num_rows),
    }
    text = _text(columns, declined["by_score"], template)
    return pa.table([*_in_order(columns), text], schema=NOTICE_SCHEMA)


def _in_order(columns: dict[str, pa.ChunkedArray]) -> list[pa.ChunkedArray]:
    return [columns[field.name] for field in NOTICE_SCHEMA if field.name != "text"]


def _text(columns: dict[str, pa.ChunkedArray], by_score: pa.ChunkedArray, template: Template) -> pa.ChunkedArray:
    lines = pc.binary_join_element_wise("- ", pc.binary_join(columns["reason_texts"], "\n- "), "")
    fields = {name: column.cast(pa.string()) for name, column in columns.items() if not name.startswith("reason")}
    fields["reason_lines"] = lines
    fields["factor_lines"] = pc.if_else(by_score, pc.binary_join_element_wise(KEY_FACTORS, lines, ""), NO_FACTORS)
    pieces = [pa.scalar(part) if place % 2 == 0 else fields[part] for place, part in enumerate(template.parts)]
    return pc.binary_join_element_wise(*pieces, "")


def _refuse_vague(declined: pa.Table) -> None:
    """An unapproved code has no text: nothing that is not in the reviewed list can reach an applicant."""
    _refuse_wrong_number(declined)
    texts = declined["reason_texts"].combine_chunks()
    spoken = texts.flatten()
    vague = [text for text in pc.unique(spoken).to_pylist() if not (text or "").strip() or VAGUE.search(text)]
    for place in np.flatnonzero(pc.is_in(spoken, pa.array(vague, pa.string())).to_numpy(zero_copy_only=False))[:1]:
        row = int(pc.list_parent_indices(texts)[int(place)].as_py())
        raise NoticeError(
            f"decision {declined['score_id'][row]} of policy {declined['policy_version'][row]} gives reason "
            f"{declined['reasons'].combine_chunks().flatten()[int(place)]} with text {spoken[int(place)].as_py()!r}, "
            "which tells an applicant nothing: publish a version of the reason codes with an approved text, and a "
            "policy that names that version"
        )


def _refuse_wrong_number(declined: pa.Table) -> None:
    counts = pc.fill_null(pc.list_value_length(declined["reasons"]), 0).to_numpy()
    for row in np.flatnonzero((counts < 1) | (counts > MOST_REASONS))[:1].tolist():
        raise NoticeError(
            f"decision {declined['score_id'][row]} has {counts[row]} reasons, a notice needs 1 to {MOST_REASONS}: "
            "score the application again with the present policy"
        )
