"""What every alert sensor does with what it found: into the book, out to the channels, and a sentence for its tick.

The book keeps what could not be sent; so a channel that is away fails no tick, and the next tick of any of the sensors
tries it again.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import dagster as dg

from credit_risk_platform.adapters.alerting.book import AlertBook
from credit_risk_platform.adapters.alerting.channels import Channel
from credit_risk_platform.domain.alerts import Finding
from credit_risk_platform.settings import Settings

LOOK_EVERY_SECONDS = 30


def status(settings: Settings) -> dg.DefaultSensorStatus:
    return dg.DefaultSensorStatus.RUNNING if settings.automation_running else dg.DefaultSensorStatus.STOPPED


@dataclass(frozen=True)
class Desk:
    """Where a tick reports to."""

    book: AlertBook
    channels: Sequence[Channel]
    now: datetime

    def report(self, firing: Sequence[Finding] = (), healthy: Collection[str] = ()) -> None:
        self.book.report(firing, healthy, self.now)

    def send(self, looked_at: str) -> dg.SkipReason:
        """Send what waits; returns the tick's answer: what was looked at, and what was sent or could not be."""
        delivery = self.book.deliver(self.channels, self.now)
        said = [looked_at]
        if delivery.sent:
            said.append(f"{delivery.sent} message(s) sent.")
        for channel, error in delivery.errors.items():
            said.append(f"Channel {channel} took nothing, the next tick tries again: {error}")
        return dg.SkipReason(" ".join(said))


def run_page(dagster_url: str, run_id: str) -> str:
    return f"{dagster_url}/runs/{run_id}"


def asset_page(dagster_url: str, asset: str, view: str = "overview") -> str:
    """`asset` as the address book shows it: `monitoring/feature_drift`."""
    return f"{dagster_url}/assets/{asset}?view={view}"
