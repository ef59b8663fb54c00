"""What an asset may ask for by name. Built once at the root, handed out as plain adapters.

Production, tests and the CLI go through the same seam: `build_resources(settings, **overrides)`. Values are adapter
objects, not config, so no credential can show up in a run's config or in the UI.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.kafka_connection import KafkaConnection
from credit_risk_platform.adapters.object_store import ObjectStore
from credit_risk_platform.adapters.policies import PolicyBook
from credit_risk_platform.adapters.registry import BEHAVIOURAL_MODEL, ModelRegistry
from credit_risk_platform.adapters.tokens import load_token_key
from credit_risk_platform.settings import Settings, StreamTransport, Target

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from dagster_aws.s3 import S3Resource
    from pydantic import SecretStr

    from credit_risk_platform.adapters.alerting.channels import Channel
    from credit_risk_platform.adapters.streaming.transport import Transport
    from credit_risk_platform.adapters.warehouse.base import Warehouse
    from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
    from credit_risk_platform.adapters.warehouse.snowflake import SnowflakeWarehouse
    from credit_risk_platform.adapters.warehouse.snowflake_session import Connect


def build_resources(settings: Settings, **overrides: Any) -> dict[str, Any]:
    """Resource key -> adapter. `overrides` replace single adapters in tests."""
    from credit_risk_platform.adapters.alerting.book import AlertBook  # the streaming location has no use for it

    mlflow_url = f"http://{settings.host}:{settings.mlflow_port}"
    tracking_url = mlflow_tracking_url(settings)
    resources: dict[str, Any] = {
        "settings": settings,
        "warehouse": open_warehouse(settings),
        "twin": _twin(settings),
        "bundles": BundleStore(settings.files("models")),
        "policies": PolicyBook(settings.policy_folder),
        "registry": ModelRegistry(settings.paths.mlflow, mlflow_url, tracking_url=tracking_url),
        "behaviour_bundles": BundleStore(settings.files("models"), role="behaviour"),
        "behaviour_registry": ModelRegistry(settings.paths.mlflow, mlflow_url, BEHAVIOURAL_MODEL, tracking_url),
        "alert_book": AlertBook(settings.paths.alerts),
        "alert_channels": alert_channels(settings),
    }
    if settings.object_store is not None and settings.object_store.scheme == "s3":
        resources["s3"] = s3_resource(settings.object_store)
    return {**resources, **overrides}


def s3_resource(store: ObjectStore) -> S3Resource:
    """Dagster's own client of the lake's store, for assets that bring their files themselves. Credentials: boto3's."""
    from dagster_aws.s3 import S3Resource

    return S3Resource(region_name=store.region, endpoint_url=store.endpoint_url)


def build_streaming_resources(settings: Settings, **overrides: Any) -> dict[str, Any]:
    """What a micro-batch needs, and no more. Nothing is opened before a batch asks for it."""
    from credit_risk_platform.adapters.streaming.streams import Streams

    # One thread unless told otherwise: on a few messages a second one costs more than it does.
    warehouse = overrides.get("warehouse") or open_warehouse(settings, threads=1)
    secret = settings.pii_token_key
    streams = overrides.get("streams") or Streams(
        stream_transport(settings, warehouse),
        settings.kafka_group,
        warehouse,
        BundleStore(settings.files("models")),
        BundleStore(settings.files("models"), role="behaviour"),
        PolicyBook(settings.policy_folder),
        lambda: load_token_key(settings.paths.secrets, secret.get_secret_value() if secret else None),
    )
    return {"settings": settings, "warehouse": warehouse, "streams": streams, **overrides}


def open_warehouse(settings: Settings, *, threads: int | None = None) -> DuckLakeWarehouse | SnowflakeWarehouse:
    """The warehouse of a deployment, of the engine that CRP_TARGET names: the one door to it.

    Nothing is read or signed in to before it is asked; whoever opens it closes it. `threads` is DuckDB's where
    CRP_DUCKDB_THREADS says nothing.
    """
    if settings.target is Target.SNOWFLAKE:
        return snowflake_warehouse(settings)
    return settings.lake(threads)


def _twin(settings: Settings) -> DuckLakeWarehouse | SnowflakeWarehouse | None:
    """The warehouse of the other engine, to compare with: `None` where there is none."""
    if settings.target is Target.LOCAL:
        return snowflake_warehouse(settings) if settings.snowflake_account else None
    if settings.twin_home is not None:
        settings = settings.model_copy(update={"home": settings.twin_home, "lake_url": None})
    there = (settings.paths.warehouse / "catalog.sqlite").exists()
    return settings.lake() if there else None


def snowflake_warehouse(settings: Settings) -> SnowflakeWarehouse:
    """Nothing is opened before it is asked. The streaming location and a local one never import Snowflake's client."""
    from credit_risk_platform.adapters.warehouse.snowflake import SnowflakeWarehouse

    # The copy of requests inside Snowflake's client, of versions beside it: no news to who asked for a table.
    warnings.filterwarnings("ignore", "urllib3 .* doesn't match a supported version")
    return SnowflakeWarehouse(snowflake_connect(settings), run_id=_running, equip=settings.files("lake").equip)


def snowflake_connect(settings: Settings) -> Connect:
    """How to open a connection to the account that is set. The one place where key and password leave their wrapping.

    To open one raises `SnowflakeSettingsError` where a setting is missing or would send secrets in the clear.
    """

    def connect() -> AbstractContextManager[Any]:
        check_snowflake(settings)
        from dagster_snowflake import SnowflakeResource

        address: dict[str, Any] = {}
        if settings.snowflake_host:
            address = {"host": settings.snowflake_host, "port": settings.snowflake_port}
            address["protocol"] = settings.snowflake_protocol
        password, phrase = settings.snowflake_password, settings.snowflake_private_key_passphrase
        key = settings.snowflake_private_key_path
        resource = SnowflakeResource(
            account=settings.snowflake_account,
            user=settings.snowflake_user or "",
            password=password.get_secret_value() if password and not key else None,
            private_key_path=str(key) if key else None,
            private_key_password=phrase.get_secret_value() if phrase and key else None,
            role=settings.snowflake_role,
            warehouse=settings.snowflake_warehouse,
            database=settings.snowflake_database,
            schema="PUBLIC",
            autocommit=True,
            paramstyle="qmark",
            timezone="UTC",
            login_timeout=60,
            additional_snowflake_connection_args={**address, "arrow_number_to_decimal": True},
        )
        return resource.get_connection()

    return connect


class SnowflakeSettingsError(ValueError):
    """Snowflake cannot be reached with these settings; the message names the one to set."""


def check_snowflake(settings: Settings) -> None:
    """Raises `SnowflakeSettingsError` unless these settings can open a connection; nothing is opened."""
    from credit_risk_platform.adapters.kafka_ports import is_loopback

    for name in ("snowflake_account", "snowflake_user"):
        if not getattr(settings, name):
            raise SnowflakeSettingsError(f"set {name.upper()} (or CRP_{name.upper()}): the target is Snowflake")
    if not (settings.snowflake_password or settings.snowflake_private_key_path):
        raise SnowflakeSettingsError("set SNOWFLAKE_PRIVATE_KEY_PATH (better) or SNOWFLAKE_PASSWORD")
    if settings.snowflake_protocol == "http" and not is_loopback(settings.snowflake_host or ""):
        raise SnowflakeSettingsError("SNOWFLAKE_PROTOCOL=http is for a stand-in on this machine; use https")


def _running() -> str | None:
    """The Dagster run that this thread works for, if any: the tag under which Snowflake's bill shows it."""
    import dagster as dg

    try:
        return dg.OpExecutionContext.get().run_id
    except dg.DagsterInvariantViolationError:
        return None


def mlflow_tracking_url(settings: Settings) -> str | None:
    """Database of MLflow's record; None for SQLite below the home. Here alone its password leaves its wrapping."""
    secret = settings.mlflow_tracking_url
    return secret.get_secret_value() if secret else None


def stream_transport(settings: Settings, warehouse: Warehouse | None = None) -> Transport:
    """Who carries the stream, as CRP_STREAM_TRANSPORT says; nothing is opened.

    `warehouse` is where Kinesis's bookmarks lie: the deployment's own, opened when it is first asked, when not given.
    """
    if settings.stream_transport is StreamTransport.KINESIS:
        from credit_risk_platform.adapters.kinesis_connection import KinesisConnection
        from credit_risk_platform.adapters.streaming.kinesis_transport import KinesisTransport

        connection = KinesisConnection(settings.kinesis_region, settings.kinesis_endpoint_url)
        return KinesisTransport(connection, warehouse or open_warehouse(settings, threads=1), settings.kinesis_shards)
    from credit_risk_platform.adapters.streaming.kafka_transport import KafkaTransport

    return KafkaTransport(kafka_connection(settings), settings.kafka_partitions)


def kafka_connection(settings: Settings) -> KafkaConnection:
    """How to reach the cluster that is set. The one place where its password leaves its wrapping."""
    password = settings.kafka_sasl_password
    return KafkaConnection(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        security_protocol=settings.kafka_security_protocol.value,
        sasl_mechanism=settings.kafka_sasl_mechanism,
        sasl_username=settings.kafka_sasl_username,
        sasl_password=password.get_secret_value() if password else None,
        ssl_cafile=settings.kafka_ssl_cafile,
    )


def alert_channels(settings: Settings) -> tuple[Channel, ...]:
    """Where alerts go. The one place where addresses, keys and passwords of channels leave their wrapping."""
    from credit_risk_platform.adapters.alerting.channels import channels_from

    def plain(secret: SecretStr | None) -> str | None:
        return secret.get_secret_value() if secret else None

    return channels_from(
        settings.paths.alerts,
        slack_url=plain(settings.alert_slack_url),
        pagerduty_key=plain(settings.alert_pagerduty_key),
        pagerduty_url=settings.alert_pagerduty_url,
        webhook_url=plain(settings.alert_webhook_url),
        smtp_host=settings.alert_smtp_host,
        smtp_port=settings.alert_smtp_port,
        smtp_starttls=settings.alert_smtp_starttls,
        smtp_username=settings.alert_smtp_username,
        smtp_password=plain(settings.alert_smtp_password),
        email_from=settings.alert_email_from,
        email_to=settings.alert_email_to,
    )
