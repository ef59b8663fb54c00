"""`crp me-link`: the link that shows a customer his own application. Whoever has it sees the page, until it ends."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from credit_risk_platform.cli.command import Home, command, console

if TYPE_CHECKING:
    from credit_risk_platform.settings import Settings


def me_link(
    score_id: Annotated[str, typer.Argument(help="Id of the application's score: the reference on its notice.")],
    home: Home = None,
) -> None:
    """Print a signed link to the customer's own page. It ends after CRP_CUSTOMER_LINK_DAYS (30)."""
    from credit_risk_platform.cli.home import open_home

    with command():
        settings = open_home(home)
        console.print(link_of(settings, score_id, datetime.now(UTC)), markup=False, soft_wrap=True)


def link_of(settings: Settings, score_id: str, now: datetime) -> str:
    """The link of an application that is on record; raises `CommandError` for any other id."""
    from credit_risk_platform.adapters.customer_links import CustomerLinks, link_secret
    from credit_risk_platform.adapters.customer_records import CustomerRecords
    from credit_risk_platform.adapters.tokens import TokenKeyError
    from credit_risk_platform.cli.home import CommandError
    from credit_risk_platform.cli.warehouse import opened

    with opened(settings, "application") as warehouse:
        if CustomerRecords(warehouse).find(score_id) is None:
            raise CommandError(f"no application has score {score_id!r}; take the score_id of gold.decisions in full")
    configured = settings.customer_link_key
    try:
        secret = link_secret(settings.paths.secrets, configured.get_secret_value() if configured else None)
    except TokenKeyError as error:
        raise CommandError(str(error)) from error
    return f"{settings.customer_page_url}/{CustomerLinks(secret, settings.customer_link_days).token(score_id, now)}"
