"""What the dashboard's script sets for its whole process is put back: other tests share this one."""

from __future__ import annotations

from collections.abc import Iterator

import plotly.io as pio
import pytest

from credit_risk_platform.dashboard.pages import portfolio

BEFORE = pio.templates.default  # here: a module's own fixture may have run the script already


@pytest.fixture(autouse=True)
def _figures_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(portfolio, "FIRST_PAINT_SECONDS", 0.0)  # no browser paints here
    yield
    pio.templates.default = BEFORE
