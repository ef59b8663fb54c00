"""What an asset may ask for by name. Built once at the root, handed out as plain adapters.

Production, tests and the CLI go through the same seam: `build_resources(settings, **overrides)`. Values are adapter
objects, not config, so no credential can show up in a run's config or in the UI.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.kafka_connection import KafkaConnection
from credit_risk_platform.adapters.policies import PolicyBook
from credit_risk_platform.adapters.registry import BEHAVIOURAL_MODEL, ModelRegistry
from credit_risk_platform.adapters.tokens import load_token_key
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.settings import Settings

if TYPE_CHECKING:
    from pydantic import SecretStr

    from credit_risk_platform.adapters.alerting.channels import Channel


def build_resources(settings: Settings, **overrides: Any) -> dict[str, Any]:
    """Resource key -> adapter. `overrides` replace single adapters in tests."""
    from credit_risk_platform.adapters.alerting.book import AlertBook  # the streaming location has no use for it

    mlflow_url = f"http://{settings.host}:{settings.mlflow_port}"
    resources: dict[str, Any] = {
        "settings": settings,
        "warehouse": _warehouse(settings, settings.duckdb_threads),
        "bundles": BundleStore(settings.paths.models),
        "policies": PolicyBook(settings.policy_folder),
        "registry": ModelRegistry(settings.paths.mlflow, mlflow_url),
        "behaviour_bundles": BundleStore(settings.paths.models, role="behaviour"),
        "behaviour_registry": ModelRegistry(settings.paths.mlflow, mlflow_url, BEHAVIOURAL_MODEL),
        "alert_book": AlertBook(settings.paths.alerts),
        "alert_channels": alert_channels(settings),
    }
    return {**resources, **overrides}


def build_streaming_resources(settings: Settings, **overrides: Any) -> dict[str, Any]:
    """What a micro-batch needs, and no more. Nothing is opened before a batch asks for it."""
    from credit_risk_platform.adapters.streaming.streams import Streams

    # One thread unless told otherwise: on a few messages a second one costs more than it does.
    warehouse = overrides.get("warehouse") or _warehouse(settings, settings.duckdb_threads or 1)
    secret = settings.pii_token_key
    streams = overrides.get("streams") or Streams(
        kafka_connection(settings),
        settings.kafka_group,
        warehouse,
        BundleStore(settings.paths.models),
        BundleStore(settings.paths.models, role="behaviour"),
        PolicyBook(settings.policy_folder),
        lambda: load_token_key(settings.paths.secrets, secret.get_secret_value() if secret else None),
    )
    return {"settings": settings, "warehouse": warehouse, "streams": streams, **overrides}


def _warehouse(settings: Settings, threads: int | None) -> DuckLakeWarehouse:
    return DuckLakeWarehouse(
        settings.paths.warehouse,
        memory_limit=settings.duckdb_memory_limit,
        threads=threads,
    )


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
