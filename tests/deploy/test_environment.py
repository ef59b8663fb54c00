"""The example environments: each is a deployment that `Settings` accepts, without a secret and without a typo."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from credit_risk_platform.settings import PROJECT_ROOT, Encryption, KafkaSecurity, Settings, Target
from tests.deploy_files import DEPLOY, assignments, documents, named_in, secret_names, setting_names, unknown

EXAMPLES = sorted((DEPLOY / "env").glob("*.env.example"))


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(setting_names()) & set(os.environ):
        monkeypatch.delenv(name)


def loaded(name: str) -> Settings:
    return Settings(_env_file=DEPLOY / "env" / f"{name}.env.example")


def test_there_is_one_for_each_ground() -> None:
    assert [file.name.split(".")[0] for file in EXAMPLES] == ["cloud", "hybrid", "local"]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_settings_understand_every_line(file: Path) -> None:
    given = assignments(file)
    settings = Settings(_env_file=file)
    names = setting_names()
    assert unknown(list(given)) == []
    assert {names[name] for name in given} <= settings.model_fields_set
    assert sorted(named_in(file.read_text()) - names.keys()) == [], "a comment names what nothing reads"


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_no_secret_is_asked_for_in_a_file_of_settings(file: Path) -> None:
    assert sorted(assignments(file).keys() & secret_names()) == []


def test_the_local_one_needs_no_account() -> None:
    settings = loaded("local")
    assert settings.target is Target.LOCAL
    assert settings.lake_url is None
    assert settings.snowflake_account is None


def test_the_hybrid_one_keeps_files_and_events_in_the_house_and_marts_in_snowflake() -> None:
    settings = loaded("hybrid")
    assert settings.target is Target.SNOWFLAKE
    assert settings.lake_url is None
    assert settings.home == Path("/srv/credit-risk")
    assert settings.kafka_security_protocol is KafkaSecurity.SASL_SSL
    assert settings.snowflake_private_key_path is not None
    assert settings.environment()["CRP_TARGET"] == "snowflake"  # what dbt's profile chooses by


def test_the_cloud_one_encrypts_what_it_stores_with_its_own_key() -> None:
    settings = loaded("cloud")
    assert settings.target is Target.SNOWFLAKE
    assert str(settings.lake_url).startswith("s3://")
    assert settings.s3_encryption is Encryption.KMS
    assert settings.s3_kms_key_id
    assert settings.kafka_security_protocol is KafkaSecurity.SASL_SSL


def test_the_cluster_s_settings_load(monkeypatch: pytest.MonkeyPatch) -> None:
    (config,) = documents(DEPLOY / "kubernetes" / "config.yaml")
    assert unknown(list(config["data"])) == []
    assert config["data"].keys().isdisjoint(secret_names())
    for name, value in config["data"].items():
        monkeypatch.setenv(name, value)
    assert Settings(_env_file=None).automation_running


@pytest.mark.parametrize("name", ["deployment.md", "scaling.md"])
def test_the_guide_names_no_setting_that_is_not_there(name: str) -> None:
    names = named_in((PROJECT_ROOT / "docs" / name).read_text())
    assert unknown(sorted(names)) == []
