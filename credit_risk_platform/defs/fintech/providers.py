"""Who is polled: Plaid, RazorpayX and what installed packages add. Here alone their keys leave the settings."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

import dagster as dg

from credit_risk_platform.adapters.fintech.source import ENTRY_POINTS, FintechSource, NotConfiguredError
from credit_risk_platform.catalog import Bronze
from credit_risk_platform.settings import Settings


@dataclass(frozen=True)
class Provider:
    """A source before anybody asks it: nothing is opened, and of a plug-in nothing is imported, until a run does."""

    name: str
    key: dg.AssetKey
    description: str
    needs: tuple[str, ...]
    """Fields of the settings without which it cannot be read."""
    make: Callable[[Settings], FintechSource]

    def missing(self, settings: Settings) -> tuple[str, ...]:
        """Names of environment variables that are not set."""
        return tuple(f"CRP_{name.upper()}" for name in self.needs if getattr(settings, name) is None)

    def open(self, settings: Settings) -> FintechSource:
        """Raises `NotConfiguredError`, which names what to set."""
        if missing := self.missing(settings):
            raise NotConfiguredError(
                f"{self.name} is not set up: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set. "
                "Next step: set them in the environment or in .env; docs/payment-providers.md says where to get them."
            )
        return self.make(settings)


def providers() -> tuple[Provider, ...]:
    """Ours first, then installed plug-ins. Raises `ValueError` for a plug-in whose name cannot be an asset's."""
    added = sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name)
    return (PLAID, RAZORPAYX, *(_plugged_in(point) for point in added))


def _plaid(settings: Settings) -> FintechSource:
    from credit_risk_platform.adapters.sources.plaid import PlaidClient, PlaidSource

    assert settings.plaid_client_id
    assert settings.plaid_secret
    assert settings.plaid_access_tokens
    tokens = _tokens(settings.plaid_access_tokens.get_secret_value())
    client = PlaidClient(
        settings.plaid_client_id.get_secret_value(),
        settings.plaid_secret.get_secret_value(),
        url=settings.plaid_url,
        tokens=tuple(tokens.values()),
    )
    return PlaidSource(client, tokens)


def _tokens(text: str) -> Mapping[str, str]:
    """Customer id -> access token. The text itself is a secret, and so is what a parser would say of it."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if isinstance(found, dict) and found and all(isinstance(token, str) and token for token in found.values()):
        return found
    raise NotConfiguredError(
        "CRP_PLAID_ACCESS_TOKENS is no JSON object of customer ids and access tokens. "
        'Next step: write it as {"CUST_1": "access-production-...", "CUST_1#second bank": "..."}.'
    )


def _razorpayx(settings: Settings) -> FintechSource:
    from credit_risk_platform.adapters.sources.razorpayx import RazorpayXClient, RazorpayXSource

    assert settings.razorpayx_key_id
    assert settings.razorpayx_key_secret
    assert settings.razorpayx_account_number
    account = settings.razorpayx_account_number.get_secret_value()
    client = RazorpayXClient(
        settings.razorpayx_key_id.get_secret_value(),
        settings.razorpayx_key_secret.get_secret_value(),
        account,
        url=settings.razorpayx_url,
    )
    return RazorpayXSource(client, account)


PLAID = Provider(
    "plaid",
    Bronze.RAW_PLAID_TRANSACTIONS,
    "Bank transactions of customers who linked their accounts through Plaid, one partition per day of booking. "
    "Customer, account, owner and counterparty are tokens before anything is written. Polled every six hours from "
    "where the last poll ended; a backfill fetches its days anew and replaces them.",
    ("plaid_client_id", "plaid_secret", "plaid_access_tokens"),
    _plaid,
)
RAZORPAYX = Provider(
    "razorpayx",
    Bronze.RAW_RAZORPAYX_TRANSACTIONS,
    "What moved on the RazorpayX account, in rupees, one partition per day of booking (UTC). Accounts, payers and "
    "contacts are tokens before anything is written. Polled every six hours; a backfill replaces its days.",
    ("razorpayx_key_id", "razorpayx_key_secret", "razorpayx_account_number"),
    _razorpayx,
)


def _plugged_in(point: EntryPoint) -> Provider:
    taken = {PLAID.name, RAZORPAYX.name}
    package = f"{point.dist.name} {point.dist.version}" if point.dist else "an installed package"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", point.name) or point.name in taken:
        raise ValueError(
            f"{package} adds a fintech source named {point.name!r}: a name is lower case letters, digits and "
            f"underscores, and none of {', '.join(sorted(taken))}. Next step: rename the entry point, or uninstall it."
        )
    return Provider(
        point.name,
        dg.AssetKey(["bronze", f"raw_{point.name}_transactions"]),
        f"Bank transactions from {point.name}, a source that {package} adds, judged, tokenised and written as those of "
        "Plaid are, one partition per day of booking.",
        (),
        lambda _: point.load()(),
    )
