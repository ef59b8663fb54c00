"""What a dbt process is told: enough to reach its warehouse, and no secret that it has no use for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import SecretStr

from credit_risk_platform.adapters.dbt_project import DbtWorkspace
from credit_risk_platform.settings import Settings, Target

SECRETS = [
    name
    for name, field in Settings.model_fields.items()
    if field.annotation is SecretStr or SecretStr in get_args(field.annotation)
]


def told(home: Path, **settings: Any) -> dict[str, str]:
    environment = Settings(home=home, **settings).environment()
    return DbtWorkspace(home / "dbt", home / "warehouse", environment).process_environment()


@pytest.mark.parametrize("name", SECRETS)
def test_no_secret_reaches_a_build_that_has_no_use_for_it(tmp_path: Path, name: str) -> None:
    assert "a-secret-of-ours" not in told(tmp_path, **{name: "a-secret-of-ours"}).values()


def test_on_snowflake_dbt_gets_password_and_passphrase_where_it_keeps_them_out_of_its_logs(tmp_path: Path) -> None:
    given = {"snowflake_password": "one", "snowflake_private_key_passphrase": "two", "pii_token_key": "three"}
    secret = {
        name: value
        for name, value in told(tmp_path, target=Target.SNOWFLAKE, **given).items()
        if value in given.values()
    }
    assert secret == {
        "DBT_ENV_SECRET_SNOWFLAKE_PASSWORD": "one",
        "DBT_ENV_SECRET_SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": "two",
    }


def test_the_names_of_snowflakes_own_tools_serve_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNOWFLAKE_PASSWORD", "one")
    environment = told(tmp_path, target=Target.SNOWFLAKE)
    assert environment["DBT_ENV_SECRET_SNOWFLAKE_PASSWORD"] == "one"
    assert "SNOWFLAKE_PASSWORD" not in environment
