"""Where the workers of one test session meet: what one of them makes there, the others need not make again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this session that every worker of it sees. What is made there is made behind a lock."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
