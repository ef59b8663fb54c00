"""Fixtures of the training rooms, here and not imported by each module: an imported one is made again for each."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import wraps

import pytest

from credit_risk_platform.adapters import plots
from tests.credit_book import mlflow_template
from tests.training_room import room, small, trained

__all__ = ["mlflow_template", "room", "small", "trained"]

DRAWN: dict[bytes, str] = {}


@pytest.fixture(autouse=True)
def _draw_each_picture_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same numbers give the same bytes (test_plots.py), and the same few models are weighed again and again."""
    for name in ("roc", "calibration", "importance", "score_distribution", "scorecard_points"):
        monkeypatch.setattr(plots, name, _drawn_once(getattr(plots, name)))


def _drawn_once(draw: Callable[..., str]) -> Callable[..., str]:
    @wraps(draw)
    def drawn(*numbers: object) -> str:
        key = pickle.dumps((draw.__name__, numbers))
        if key not in DRAWN:
            DRAWN[key] = draw(*numbers)
        return DRAWN[key]

    return drawn
