"""A report as one HTML file: no script, no style and no font from anywhere else; each number is a link to its event."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from credit_risk_platform.adapters.reports.charts import HEIGHT, WIDTH, chart_of
from credit_risk_platform.adapters.reports.section import Unit, canonical
from credit_risk_platform.adapters.reports.shelf import Version

if TYPE_CHECKING:
    from jinja2 import Template

NOTHING = "\N{EN DASH}"
NUMBERS = frozenset(str(unit) for unit in Unit if unit is not Unit.TEXT)


def render(data: dict[str, Any], version: Version, earlier: Sequence[Version]) -> bytes:
    """The page of one version, with the data section embedded byte by byte."""
    page = _template().render(
        data=data,
        version=version,
        earlier=list(reversed(earlier)),
        evidence=version.evidence,
        numbers=NUMBERS,
        shown=shown,
        short=short,
        chart_of=chart_of,
        size=(WIDTH, HEIGHT),
        embedded=canonical(data).decode(),
    )
    return page.encode()


def shown(value: Any, unit: str) -> str:
    """A value as people read it: thousands apart, shares in per cent, what is missing as a dash and never as zero."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "; ".join(str(one) for one in value) or NOTHING
    if isinstance(value, str):
        return value
    formats = {Unit.COUNT: ",.0f", Unit.MONEY: ",.2f", Unit.SHARE: ".2%", Unit.NUMBER: ",.4f", Unit.POINTS: ",.1f"}
    return format(value, formats[Unit(unit)]) if unit in formats else str(value)


def short(value: float) -> str:
    """A value as it stands on a column: a share in per cent, money in thousands or millions."""
    if abs(value) < 1:
        return format(value, ".2%") if value else "0"
    for size, letter in ((1e9, "bn"), (1e6, "m"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:,.2f} {letter}"
    return format(value, ",.0f")


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("credit_risk_platform.adapters.reports")
    # Everything is escaped, the file's ending or not: a reason, a rule or a commit message is somebody's text.
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html.j2")
