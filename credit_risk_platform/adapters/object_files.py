"""`FileStore` on S3 and its like (s3fs) and on Google Cloud Storage (gcsfs, the extra `gcs`).

Large files go up in parts, what the store turns away for a moment is tried again with growing pauses, and each upload
names the encryption that is set. Keys are never listed from memory: another process may have written meanwhile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from credit_risk_platform.adapters.files import ChangedMeanwhileError
from credit_risk_platform.adapters.object_store import ObjectStore, ObjectStoreError, explained

if TYPE_CHECKING:
    import duckdb

PART_BYTES = 8 << 20
"""A file of two parts or more is uploaded in parts."""
ATTEMPTS = 6
_READ_AHEAD = 4 << 20
_NO_CONDITIONS = frozenset({"NotImplemented", "501"})
_LOST = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})


class ObjectFiles:
    """Files below `<store>/<area>`. `local` is a folder of this home for locks and scratch."""

    def __init__(self, store: ObjectStore, area: str, local: Path) -> None:
        self.store, self.area, self._local = store, area.strip("/"), local
        self._root = "/".join(part for part in (store.bucket, store.prefix, self.area) if part)

    @property
    def local(self) -> Path:
        return self._local

    @property
    def uri(self) -> str:
        return f"{self.store.scheme}://{self._root}"

    def below(self, folder: str) -> ObjectFiles:
        return ObjectFiles(self.store, f"{self.area}/{folder}", self._local / folder)

    def location(self, name: str) -> str:
        return f"{self.uri}/{name}"

    def equip(self, engine: duckdb.DuckDBPyConnection) -> None:
        from credit_risk_platform.adapters.warehouse.lake_secret import LakeSecret

        LakeSecret(self.store).equip(engine, self._local / ".ext")

    # ---------------------------------------------------------------- writing

    def put(self, file: Path, name: str) -> None:
        with explained(f"{self.location(name)} cannot be written"):
            self._fs.put_file(str(file), self._key(name), chunksize=PART_BYTES, **self.store.upload_options)

    def put_bytes(self, data: bytes, name: str) -> None:
        with explained(f"{self.location(name)} cannot be written"):
            self._fs.pipe_file(self._key(name), data, **self.store.upload_options)

    def swap(self, data: bytes, name: str, tag: str | None) -> None:
        if self.store.scheme != "s3":
            return self.put_bytes(data, name)
        only = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": f'"{tag}"'}
        try:
            self._fs.pipe_file(self._key(name), data, **self.store.upload_options, **only)
        except Exception as error:
            code = _aws_code(error)
            if code in _LOST:
                raise ChangedMeanwhileError(f"{self.location(name)} was replaced meanwhile: try again") from None
            if code in _NO_CONDITIONS:
                return self.put_bytes(data, name)
            with explained(f"{self.location(name)} cannot be written"):
                raise

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError), explained(f"{self.location(name)} cannot be removed"):
            self._fs.rm_file(self._key(name))

    # ---------------------------------------------------------------- reading

    def tagged(self, name: str) -> tuple[bytes, str] | None:
        # The mark first: if the content is newer than it, a swap is refused and nothing is lost.
        tag = self.mark(name)
        data = self.read(name) if tag is not None else None
        return (data, tag) if tag is not None and data is not None else None

    def mark(self, name: str) -> str | None:
        with explained(f"{self.location(name)} cannot be read"):
            try:
                info = self._fs.info(self._key(name))
            except FileNotFoundError:
                return None
        return str(info.get("ETag") or info.get("etag") or info.get("generation")).strip('"')

    def read(self, name: str) -> bytes | None:
        with explained(f"{self.location(name)} cannot be read"):
            try:
                return cast(bytes, self._fs.cat_file(self._key(name), **self._at_once))
            except FileNotFoundError as error:
                if _aws_code(error) == "NoSuchBucket":
                    raise
                return None

    def read_all(self, names: Iterable[str]) -> dict[str, bytes]:
        keys = {self._key(name): name for name in names}
        if not keys:
            return {}
        found = self._fs.cat(list(keys), on_error="return", **self._at_once)
        contents = {}
        for key, data in found.items():
            if isinstance(data, bytes):
                contents[keys[key]] = data
            elif not isinstance(data, FileNotFoundError):
                with explained(f"{self.store.scheme}://{key} cannot be read"):
                    raise data
        return contents

    def open(self, name: str) -> IO[bytes]:
        with explained(f"{self.location(name)} cannot be read"):
            return cast(IO[bytes], self._fs.open(self._key(name), "rb", block_size=_READ_AHEAD))

    def digest(self, name: str) -> tuple[int, str] | None:
        try:
            with self.open(name) as file, explained(f"{self.location(name)} cannot be read"):
                sha = hashlib.sha256()
                while chunk := file.read(_READ_AHEAD):
                    sha.update(chunk)
                return file.tell(), sha.hexdigest()
        except FileNotFoundError:
            return None

    def names(self, folder: str = "") -> list[str]:
        return sorted(self.written(folder))

    def written(self, folder: str = "") -> dict[str, datetime]:
        start = self._key(folder) if folder not in ("", ".") else self._root
        with explained(f"{self.store.scheme}://{start}/ cannot be listed"):
            try:
                found = self._fs.find(f"{start}/", detail=True)
            except FileNotFoundError as error:
                if _aws_code(error) == "NoSuchBucket":
                    raise
                return {}
        cut = len(self._root) + 1
        return {key[cut:]: _moment(info) for key, info in sorted(found.items()) if not key.endswith("/")}

    # ---------------------------------------------------------------- inside

    def _key(self, name: str) -> str:
        return f"{self._root}/{name}"

    @property
    def _at_once(self) -> dict[str, int]:
        """A small file with one request: by itself s3fs asks for its size first."""
        return {"max_concurrency": 1} if self.store.scheme == "s3" else {}

    @property
    def _fs(self) -> Any:
        return filesystem(self.store)


@lru_cache(maxsize=4)
def filesystem(store: ObjectStore) -> Any:
    """One client per process and store: what it knows of the store's sessions is used again."""
    if store.scheme == "s3":
        import s3fs

        # Botocore's older rules of retrying are the ones that count 429 among what passes.
        # Some stores answer a range with the checksum of the whole: content is told by the SHA-256 in our names.
        config = {
            "retries": {"mode": "legacy", "max_attempts": ATTEMPTS - 1},
            "response_checksum_validation": "when_required",
        }
        client = {"region_name": store.region} if store.region else {}
        options = {"endpoint_url": store.endpoint_url, "client_kwargs": client, "config_kwargs": config}
        return s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True, **options)
    try:
        import gcsfs
    except ImportError:
        raise ObjectStoreError(f"{store.url}: install the extra, pip install 'credit-risk-platform[gcs]'") from None
    return gcsfs.GCSFileSystem(use_listings_cache=False, skip_instance_cache=True, endpoint_url=store.endpoint_url)


def _aws_code(error: BaseException) -> str | None:
    response = getattr(error.__cause__ or error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else None


def _moment(info: dict[str, Any]) -> datetime:
    found = info.get("LastModified") or info.get("updated") or info.get("mtime")
    if isinstance(found, str):
        found = datetime.fromisoformat(found)
    return found.astimezone(UTC) if isinstance(found, datetime) else datetime.now(UTC)
