"""The story is lived through once and read by several test modules."""

from __future__ import annotations

import pytest

from tests.dbt_story import Story, tell


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return tell(tmp_path_factory.mktemp("story"))
