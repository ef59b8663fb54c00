"""DuckDB's key to the object store that holds the lake: made from boto3's credentials, renewed before they expire.

A secret of DuckDB lives in the memory of its process, bound to the lake's address and hidden from `duckdb_secrets()`.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import duckdb

from credit_risk_platform.adapters.object_store import KMS, NEXT_STEPS, ObjectStore, ObjectStoreError
from credit_risk_platform.adapters.warehouse.extensions import extension_directory

NAME = "crp_lake"
_TYPES = {"s3": "s3", "gs": "gcs"}
LOOK_AGAIN_SECONDS = 60.0
"""Roles hand out credentials for an hour at the least, and botocore renews them a quarter of an hour early."""
HTTP_RETRIES = 6


class _Keys(NamedTuple):
    key_id: str
    secret: str
    token: str | None


class LakeSecret:
    """Keeps one engine able to read and write below `store.url`. Threads may share it."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self._looking = threading.Lock()
        self._source: Any = None
        self._region: str | None = None
        self._given: _Keys | None = None
        self._looked = float("-inf")

    def equip(self, engine: duckdb.DuckDBPyConnection, extensions: Path) -> None:
        """Load what speaks to the store into an engine of our own, and hand it the credentials."""
        folder = str(extension_directory(extensions)).replace("'", "''")
        engine.execute(f"set extension_directory = '{folder}'")
        self.open(engine)

    def open(self, engine: duckdb.DuckDBPyConnection) -> None:
        """The same where the extensions' folder is set."""
        engine.execute("load httpfs")
        engine.execute(f"set http_retries = {HTTP_RETRIES}")
        self._given, self._looked = None, float("-inf")
        self.renew(engine)

    def renew(self, engine: duckdb.DuckDBPyConnection) -> None:
        """Hand over the credentials of now if they are others than before. Cheap: asks botocore once a minute."""
        if time.monotonic() - self._looked < LOOK_AGAIN_SECONDS:
            return
        with self._looking:
            keys = self._keys()
            if keys != self._given:
                self._hand_over(engine, keys)
                self._given = keys
            self._looked = time.monotonic()

    def _keys(self) -> _Keys:
        """Raises `ObjectStoreError` where boto3 finds none."""
        from botocore.exceptions import BotoCoreError
        from botocore.session import get_session

        try:
            if self._source is None:
                session = get_session()
                self._source, self._region = session.get_credentials(), session.get_config_variable("region")
            found = self._source.get_frozen_credentials() if self._source else None
        except BotoCoreError as error:
            why = type(error).__name__
            raise ObjectStoreError(f"{self.store.url}: no credentials ({why}). {NEXT_STEPS['NoCredentials']}") from None
        if found is None:
            raise ObjectStoreError(f"{self.store.url}: no credentials. {NEXT_STEPS['NoCredentials']}")
        return _Keys(found.access_key, found.secret_key, found.token)

    def _hand_over(self, engine: duckdb.DuckDBPyConnection, keys: _Keys) -> None:
        given = {"key_id": keys.key_id, "secret": keys.secret, **_options(self.store, self._region)}
        if keys.token:
            given["session_token"] = keys.token
        options = ", ".join(f"{name} ${name}" for name in given)
        try:
            engine.execute(f"create or replace secret {NAME} (type {_TYPES[self.store.scheme]}, {options})", given)
        except duckdb.Error as error:
            why = type(error).__name__
            raise ObjectStoreError(f"{self.store.url}: DuckDB refuses the credentials ({why})") from None


def secret_sql(store: ObjectStore) -> str:
    """What an analyst runs before `attach_sql`, with credentials of their own."""
    own = {"KEY_ID": "<your key>", "SECRET": "<your secret>"}
    given = {**own, **{name.upper(): value for name, value in _options(store, None).items() if name != "kms_key_id"}}
    options = ", ".join(f"{name} {value!r}" for name, value in given.items())
    return f"CREATE SECRET {NAME} (TYPE {_TYPES[store.scheme]}, {options});\n"


def _options(store: ObjectStore, region: str | None) -> dict[str, Any]:
    # With the slash, or it would open the neighbour whose name begins alike.
    options: dict[str, Any] = {"scope": f"{store.url}/"}
    if store.endpoint_url:
        parts = urlsplit(store.endpoint_url)
        address = f"{parts.netloc}{parts.path.rstrip('/')}"
        options |= {"endpoint": address, "use_ssl": parts.scheme == "https", "url_style": "path"}
    if found := store.region or region:
        options["region"] = found
    if store.encryption == KMS:
        options["kms_key_id"] = store.kms_key_id
    return options
