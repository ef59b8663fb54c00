"""The one reader of the environment. Everything else is handed a `Settings`.

Belongs here: every knob with its default, unit and validation, and where files live.
Does not: credentials checks (they happen where the credential is used, so a fresh clone runs).
"""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from credit_risk_platform.adapters.files import FileStore
from credit_risk_platform.adapters.object_store import ObjectStore, open_files

if TYPE_CHECKING:
    from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse

Area: TypeAlias = Literal["lake", "archive", "reports", "models"]
"""`lake` holds bronze and quarantine."""
PROJECT_ROOT = Path(__file__).resolve().parents[1]


class Target(StrEnum):
    """Where the marts live."""

    LOCAL = "local"
    SNOWFLAKE = "snowflake"


class PortfolioSource(StrEnum):
    """Which landed source is *the* portfolio: two books are never mixed in one model."""

    SYNTHETIC = "synthetic"
    LENDING_CLUB = "lending_club"
    LANDING = "landing"


class SchedulePreset(StrEnum):
    """`daily`: S4's UTC crons. `lakehouse_4h`: bronze and silver every four hours, gold daily."""

    DAILY = "daily"
    LAKEHOUSE_4H = "lakehouse_4h"


class TrainingPreset(StrEnum):
    """When models are trained by schedule: Sundays at 01:00 UTC as in S4, or every day at that hour as in S3."""

    WEEKLY = "weekly"
    DAILY = "daily"


class LogFormat(StrEnum):
    """How processes log: for people, or as JSON lines that Cloud Logging and its like read."""

    TEXT = "text"
    JSON = "json"


class KafkaSecurity(StrEnum):
    """How clients speak to the cluster, in Kafka's own words."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"


def _also(name: str) -> AliasChoices:
    """`CRP_<NAME>` first, then `<NAME>`; in lower case it is the keyword, and the environment knows no case."""
    return AliasChoices(f"CRP_{name}", name.lower())


class StreamTransport(StrEnum):
    """Where events come from."""

    KAFKA = "kafka"
    KINESIS = "kinesis"


class Encryption(StrEnum):
    """Who encrypts objects at rest: the store with its own key, or with one of AWS's key management service."""

    AES256 = "AES256"
    KMS = "aws:kms"


class Paths:
    """Every place a run writes to, all below one home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.raw = home / "raw"
        self.landing = home / "landing"
        self.lake = home / "lake"
        self.bronze = self.lake / "bronze"
        self.quarantine = self.lake / "quarantine"
        self.warehouse = home / "warehouse"
        self.published_marts = home / "marts.duckdb"
        self.models = home / "models"
        self.mlflow = home / "mlflow"
        self.dagster = home / "dagster"
        self.dbt = home / "dbt"
        self.dbt_manifest = self.dbt / "manifest.json"
        self.secrets = home / ".secrets"
        self.scratch = home / "tmp"
        self.kafka = home / "kafka"
        self.metrics = home / "metrics"
        self.api = home / "api"
        self.reports = self.lake / "reports"
        self.archive = self.lake / "archive"
        self.exports = home / "exports"
        self.alerts = home / "alerts"


class Settings(BaseSettings):
    """Validated once at start; `CRP_<NAME>` in the environment or in `.env` overrides a default."""

    model_config = SettingsConfigDict(env_prefix="CRP_", env_file=PROJECT_ROOT / ".env", frozen=True, extra="ignore")

    home: Path = PROJECT_ROOT / "data"
    target: Target = Target.LOCAL
    portfolio_source: PortfolioSource = PortfolioSource.SYNTHETIC
    lending_club_path: Path | None = None
    macro_path: Path | None = None
    policy_folder: Path = PROJECT_ROOT / "credit_risk_platform" / "policies"
    """One YAML per version of the decision policy."""

    synthetic_loans: int = Field(50_000, ge=100, le=50_000_000)
    seed: int = 7

    performance_window_months: int | None = Field(None, ge=1, le=480)
    """Months on book in which a default counts as bad; None judges each loan over its contractual term."""

    candidates: tuple[str, ...] = (
        "logistic_regression", "random_forest", "gradient_boosting", "xgboost", "lightgbm", "scorecard",
    )  # fmt: skip
    """Models of the zoo that compete for champion."""
    tuning_trials: int = Field(4, ge=0, le=200)
    bootstrap_samples: int = Field(200, ge=20)
    training_sample_rows: int = Field(500_000, ge=1_000)
    """Candidates that do not scale (random forest, tuning trials) see at most this many rows, seeded."""

    schedule_preset: SchedulePreset = SchedulePreset.DAILY
    training_preset: TrainingPreset = TrainingPreset.WEEKLY
    automation_running: bool = False
    """Ship schedules and sensors RUNNING (the demo and production) or STOPPED (a library default)."""

    duckdb_memory_limit: str | None = None
    duckdb_threads: int | None = None

    # The names Snowflake's own tools use, without our prefix, beside CRP_<NAME>.
    snowflake_account: str | None = Field(None, validation_alias=_also("SNOWFLAKE_ACCOUNT"))
    snowflake_user: str | None = Field(None, validation_alias=_also("SNOWFLAKE_USER"))
    snowflake_password: SecretStr | None = Field(None, validation_alias=_also("SNOWFLAKE_PASSWORD"))
    snowflake_private_key_path: Path | None = Field(None, validation_alias=_also("SNOWFLAKE_PRIVATE_KEY_PATH"))
    """PKCS#8 key of a service user: what Snowflake asks of programs, in place of a password."""
    snowflake_private_key_passphrase: SecretStr | None = Field(
        None, validation_alias=_also("SNOWFLAKE_PRIVATE_KEY_PASSPHRASE")
    )
    snowflake_role: str | None = Field(None, validation_alias=_also("SNOWFLAKE_ROLE"))
    snowflake_warehouse: str = Field("COMPUTE_WH", validation_alias=_also("SNOWFLAKE_WAREHOUSE"))
    snowflake_database: str = Field("CREDIT_RISK_DB", validation_alias=_also("SNOWFLAKE_DATABASE"))
    snowflake_host: str | None = Field(None, validation_alias=_also("SNOWFLAKE_HOST"))
    """Only where it is not `<account>.snowflakecomputing.com`: a private link, or a stand-in on loopback."""
    snowflake_port: int = Field(443, ge=1, le=65_535, validation_alias=_also("SNOWFLAKE_PORT"))
    snowflake_protocol: str = Field("https", pattern="^https?$", validation_alias=_also("SNOWFLAKE_PROTOCOL"))
    """`http` is refused for every host but loopback."""

    twin_home: Path | None = None
    """For a target of Snowflake: a home of CRP_TARGET=local with the same sources and CRP_PII_TOKEN_KEY, its lake in
    its own folders. `monitoring/warehouse_parity` compares Snowflake with it; the lake of this home when unset."""

    lake_url: str | None = None
    """Where bronze, quarantine, archive, reports, model bundles and the DuckLake's data lie, as s3://bucket/prefix or
    gs://bucket/prefix; below the home when unset. Credentials: as boto3 finds them."""
    s3_endpoint_url: str | None = None
    """Of an S3-compatible store; AWS itself when unset."""
    s3_region: str | None = None
    s3_encryption: Encryption | None = None
    s3_kms_key_id: str | None = None

    plaid_client_id: SecretStr | None = None
    plaid_secret: SecretStr | None = None
    plaid_access_tokens: SecretStr | None = None
    """JSON: item -> access token."""
    plaid_url: str = "https://production.plaid.com"
    razorpayx_key_id: SecretStr | None = None
    razorpayx_key_secret: SecretStr | None = None
    razorpayx_account_number: SecretStr | None = None
    razorpayx_url: str = "https://api.razorpay.com"

    crm_database_url: SecretStr | None = None
    """SQLAlchemy URL of the customer system, as postgresql+psycopg://user:password@host/database."""
    core_banking_database_url: SecretStr | None = None
    bureau_database_url: SecretStr | None = None

    serving_database_url: SecretStr | None = None
    """PostgreSQL that gets copies of scores and decisions, written as those above; none when unset."""

    alternative_data: bool = False
    """Let models learn from cash-flow features of bank transactions."""

    stream_transport: StreamTransport = StreamTransport.KAFKA
    kinesis_endpoint_url: str | None = None
    """Of a stand-in; AWS itself when unset."""
    kinesis_region: str | None = None
    """As boto3 finds it when unset."""
    kinesis_shards: int = Field(1, ge=1, le=1_000)
    """Shards of a stream that we create: each takes a thousand messages or 1 MB a second, and costs by the hour."""

    pii_token_key: SecretStr | None = None
    """Key of the HMAC that turns a customer id into `subject_token`; made and kept in `.secrets` when unset."""

    customer_link_key: SecretStr | None = None
    """Signs links to a customer's own page; made and kept in `.secrets` when unset. A new key ends every link."""
    customer_link_days: int = Field(30, ge=1, le=365)
    customer_url: str | None = None
    """Where customers reach `/me/...`, as https://credit.example; the API's own address when unset."""
    customer_contact: str = "Answer the letter or message that brought you here; the lender's address stands in it."
    """How a customer questions a decision: shown on the page."""

    log_format: LogFormat = LogFormat.TEXT

    host: str = "127.0.0.1"
    dagster_port: int = 3000
    dagster_config: Path = PROJECT_ROOT / "dagster.yaml"
    """How Dagster keeps its books: copied to <home>/dagster. `deploy/dagster.yaml` keeps them in PostgreSQL."""
    mlflow_port: int = 5000
    mlflow_tracking_url: SecretStr | None = None
    """Database of MLflow's runs and versions, as postgresql+psycopg://user:password@host/mlflow; SQLite below the home
    when unset. Artefacts stay below the home."""

    api_port: int = Field(8000, ge=1, le=65_535)
    api_rate_limit: str = "1000/second"
    """Requests per client and API process, as the `limits` library reads it; a batch is one request."""

    # The names Kafka's own tools use, without our prefix, beside CRP_<NAME>.
    kafka_bootstrap_servers: str = Field("127.0.0.1:9092", validation_alias=_also("KAFKA_BOOTSTRAP_SERVERS"))
    kafka_security_protocol: KafkaSecurity = Field(
        KafkaSecurity.PLAINTEXT, validation_alias=_also("KAFKA_SECURITY_PROTOCOL")
    )
    kafka_sasl_mechanism: str | None = Field(None, validation_alias=_also("KAFKA_SASL_MECHANISM"))
    kafka_sasl_username: str | None = Field(None, validation_alias=_also("KAFKA_SASL_USERNAME"))
    kafka_sasl_password: SecretStr | None = Field(None, validation_alias=_also("KAFKA_SASL_PASSWORD"))
    kafka_ssl_cafile: Path | None = Field(None, validation_alias=_also("KAFKA_SSL_CAFILE"))
    kafka_group: str = "credit-risk-platform"
    kafka_partitions: int = Field(3, ge=1, le=1_000)
    """Partitions of a topic that we create; adding more to a topic that is there is the operator's call."""

    stream_batch_messages: int = Field(5_000, ge=1, le=100_000)
    """Messages of one micro-batch at most, over all partitions of its topic."""
    stream_attempts: int = Field(3, ge=1, le=20)
    """Runs of one range before its messages are tried one by one and what fails becomes a dead letter."""
    stream_lease_seconds: int = Field(300, ge=10)
    """A run that has not ended by then is taken for dead, and its range is asked for again."""

    reports_port: int = Field(8010, ge=1, le=65_535)
    """Where `crp demo` serves the folder of drift reports, which their assets link to."""

    dashboard_port: int = Field(8501, ge=1, le=65_535)
    dashboard_refresh_seconds: int = Field(60, ge=0)
    """How often an open page looks for newer data: 0 (off), 10, 30, 60 or 300; readers may choose another."""
    dashboard_sign_in: bool = False
    """Ask for an API key also where the dashboard is bound to loopback: behind a proxy that others reach."""
    default_rate_target: float = Field(0.08, gt=0, lt=1)
    """The line in the default-rate charts: the default rate that the lender is willing to bear."""

    scenario_file: Path = PROJECT_ROOT / "credit_risk_platform" / "scenarios.csv"
    """Macroeconomic scenarios in the form of the Federal Reserve's supervisory tables."""

    alerts_file: Path = PROJECT_ROOT / "credit_risk_platform" / "alerts.yaml"
    """The alert rules, in the form S4 published."""
    alert_slack_url: SecretStr | None = None
    """Incoming webhook of a channel."""
    alert_pagerduty_key: SecretStr | None = None
    """Integration key of a service (Events API v2)."""
    alert_pagerduty_url: str = "https://events.pagerduty.com/v2/enqueue"
    alert_webhook_url: SecretStr | None = None
    """Any receiver of JSON: an SMS gateway, an incident tool."""
    alert_smtp_host: str | None = None
    alert_smtp_port: int = Field(587, ge=1, le=65_535)
    alert_smtp_starttls: bool = True
    alert_smtp_username: str | None = None
    alert_smtp_password: SecretStr | None = None
    alert_email_from: str | None = None
    alert_email_to: tuple[str, ...] = ()

    retrain_cooldown_days: int = Field(7, ge=0, le=365)
    """No second triggered training within so many days of the last one, whatever its trigger was."""
    retrain_new_labels: int = Field(5_000, ge=100)
    """Loans of vintages that matured since the champion was trained: so many are worth a training run."""

    @field_validator(
        "home", "lending_club_path", "macro_path", "policy_folder", "alerts_file", "scenario_file",
        "snowflake_private_key_path", "dagster_config", "twin_home", mode="after",
    )  # fmt: skip
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        # dagster-dbt leaves the process in the dbt folder, so a relative path would move under us.
        return value.expanduser().absolute() if value is not None else None

    @property
    def paths(self) -> Paths:
        return Paths(self.home)

    @property
    def object_store(self) -> ObjectStore | None:
        """Where the lake lies unless below the home. Raises `ObjectStoreError` for an address that is none."""
        if self.lake_url is None:
            return None
        encryption = self.s3_encryption.value if self.s3_encryption else None
        return ObjectStore(self.lake_url, self.s3_endpoint_url, self.s3_region, encryption, self.s3_kms_key_id)

    def files(self, area: Area) -> FileStore:
        """Files of one area of the lake, wherever that lies."""
        folders = {
            "lake": self.paths.lake,
            "archive": self.paths.archive,
            "reports": self.paths.reports,
            "models": self.paths.models,
        }
        return open_files(self.object_store, folders[area], "" if area == "lake" else area)

    def lake(self, threads: int | None = None) -> DuckLakeWarehouse:
        """The embedded warehouse of this home, whatever the target: ask `resources.open_warehouse` for *the* warehouse.

        Nothing is opened before it is asked. `threads` holds where CRP_DUCKDB_THREADS says nothing.
        """
        from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse

        return DuckLakeWarehouse(
            self.paths.warehouse,
            memory_limit=self.duckdb_memory_limit,
            threads=self.duckdb_threads or threads,
            store=self.object_store,
        )

    @property
    def dagster_url(self) -> str:
        """Where links in alerts and reports lead to."""
        return f"http://{self.host}:{self.dagster_port}"

    @property
    def dashboard_url(self) -> str:
        return f"http://{self.host}:{self.dashboard_port}"

    @property
    def reports_url(self) -> str:
        return f"http://{self.host}:{self.reports_port}"

    @property
    def customer_page_url(self) -> str:
        """What a customer's link begins with."""
        return f"{(self.customer_url or f'http://{self.host}:{self.api_port}').rstrip('/')}/me"

    def environment(self) -> dict[str, str]:
        """This process's environment plus these settings, for the processes we start."""
        exported: dict[str, Any] = self.model_dump(exclude_none=True)
        own = {f"CRP_{name.upper()}": _plain(value) for name, value in exported.items()}
        venv_bin = str(Path(sys.executable).parent)
        return {
            **os.environ,
            **own,
            "PATH": f"{venv_bin}{os.pathsep}{os.environ.get('PATH', '')}",
            "DAGSTER_HOME": str(self.paths.dagster),
            "DO_NOT_TRACK": "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "OMP_WAIT_POLICY": "passive",  # threads that spin made XGBoost 13 times slower on shared cores
        }


def current() -> Settings:
    """Settings of the environment as it stands, for a server that asks at every turn: reading them takes 15 ms."""
    return _read(frozenset(os.environ.items()))


@lru_cache(maxsize=4)
def _read(environment: frozenset[tuple[str, str]]) -> Settings:  # noqa: ARG001  the key: another one is read anew
    return Settings()


def _plain(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return json.dumps(value)  # the form pydantic-settings reads lists in
    return str(value.value) if isinstance(value, StrEnum) else str(value)
