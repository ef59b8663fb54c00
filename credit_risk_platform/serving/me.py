"""The customer's own page: `GET /me/<token>`. A signed link is all it takes, and it shows one application.

Neither PD nor points, model, rule or fraud signal stands on it. A link that has ended, was forged or leads nowhere gets
the same plain page, which tells nothing of what there is.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from credit_risk_platform.adapters.customer_links import CustomerLinks
from credit_risk_platform.adapters.customer_records import CustomerRecord, CustomerRecords
from credit_risk_platform.domain.advice import advice
from credit_risk_platform.serving.champion import now

if TYPE_CHECKING:
    from jinja2 import Environment

    from credit_risk_platform.serving.app import Parts

router = APIRouter()
LONGEST_TOKEN = 400
TEMPLATES = Path(__file__).parent / "templates"
STATUS: Mapping[str | None, tuple[str, str]] = {
    "approve": ("Approved", "Your application meets our conditions. You will hear from us about the next steps."),
    "refer": ("Being looked at", "A person is looking at your application. No decision has been made yet."),
    "decline": ("Not approved", "We have considered your application and cannot approve it as it was made."),
    None: ("Received", "Your application is with us. Nothing has been decided yet."),
}
"""Outcome -> what the applicant reads."""


@dataclass(frozen=True)
class CustomerPage:
    """Links in, pages out. Reads the lake, so it is asked off the event loop."""

    links: CustomerLinks
    records: CustomerRecords
    contact: str

    def page(self, token: str) -> tuple[int, str]:
        """(status, HTML) of a link."""
        score_id = self.links.score_id(token, now()) if len(token) <= LONGEST_TOKEN else None
        record = self.records.find(score_id) if score_id else None
        if record is None:
            return 404, _render("not_found.html.j2")
        return 200, _render("me.html.j2", **self._told(record))

    def _told(self, record: CustomerRecord) -> dict[str, Any]:
        status, words = STATUS[record.outcome]
        found = advice(record.codes)
        shown = record.bands if record.band in record.bands else ()
        return {
            "status": status,
            "outcome": record.outcome or "open",
            "words": words,
            "record": record,
            "place": list(shown).index(record.band) if shown and record.band else None,
            "advice": found,
            "contact": self.contact,
        }


@router.get("/me/{token}", include_in_schema=False)
async def me(request: Request, token: str) -> HTMLResponse:
    """What a customer may know of his own application."""
    parts = cast("Parts", request.app.state.parts)
    status, page = await asyncio.get_running_loop().run_in_executor(None, parts.customers.page, token)
    return HTMLResponse(page, status, headers={"Content-Security-Policy": _policy()})


def _render(name: str, **told: Any) -> str:
    return _environment().get_template(name).render(style=_style(), **told)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip


@cache
def _style() -> str:
    return (TEMPLATES / "me.css").read_text(encoding="utf-8")


@cache
def _policy() -> str:
    """Nothing may be loaded, run, framed or sent; the one style is named by its hash."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
