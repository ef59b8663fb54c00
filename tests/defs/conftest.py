"""Fixtures of the training rooms, here and not imported by each module: an imported one is made again for each."""

from __future__ import annotations

from tests.credit_book import mlflow_template
from tests.training_room import room, small, trained

__all__ = ["mlflow_template", "room", "small", "trained"]
