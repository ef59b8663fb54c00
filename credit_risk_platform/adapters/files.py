"""Where files of the lake lie: a folder of this home, or an object store. The one seam that knows the difference.

A name is a path below the root with `/`, as object stores have them. Nothing here needs more of a store than put, get,
list and delete: there is no rename, so whoever writes several files puts last the one that names the others.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, TypeAlias

from credit_risk_platform.adapters.atomic_file import write_atomically

if TYPE_CHECKING:
    import duckdb


class ChangedMeanwhileError(RuntimeError):
    """Somebody else replaced the file since it was read; nothing was written."""


class FileStore(Protocol):
    """Files below a root. Whole files only: a reader sees the old content or the new one, never half of either."""

    @property
    def local(self) -> Path:
        """Folder of this home for locks and scratch of this root; the root itself where files lie in a folder."""
        ...

    @property
    def uri(self) -> str: ...

    def below(self, folder: str) -> FileStore:
        """The same store, one folder down."""
        ...

    def location(self, name: str) -> str:
        """What an engine reads the file by."""
        ...

    def equip(self, engine: duckdb.DuckDBPyConnection) -> None:
        """Let an engine of our own read the `location`s."""
        ...

    def put(self, file: Path, name: str) -> None:
        """Give a finished local file to the store, on disk before it is visible; the local one may be gone then."""
        ...

    def put_bytes(self, data: bytes, name: str) -> None:
        """Replace a small file at once."""
        ...

    def swap(self, data: bytes, name: str, tag: str | None) -> None:
        """`put_bytes` unless the file is another one than `tagged` saw; raises `ChangedMeanwhileError` then.

        Only as strong as the store: where that has no conditional put, the writer lock of the home is what protects.
        """
        ...

    def tagged(self, name: str) -> tuple[bytes, str] | None:
        """Content, and what tells this version of it from others."""
        ...

    def mark(self, name: str) -> str | None:
        """Tells one version of a file from another at a glance, without its content; `None` where there is none."""
        ...

    def read(self, name: str) -> bytes | None:
        """The content, or `None` where there is no such file."""
        ...

    def read_all(self, names: Iterable[str]) -> dict[str, bytes]:
        """Contents of small files by name, at once where the store can; those that are not there are left out."""
        ...

    def open(self, name: str) -> IO[bytes]:
        """To read bit by bit; raises `FileNotFoundError`."""
        ...

    def digest(self, name: str) -> tuple[int, str] | None:
        """Bytes and SHA-256 as they lie there now, or `None` where there is no such file."""
        ...

    def names(self, folder: str = "") -> list[str]:
        """Files below a folder, sorted."""
        ...

    def written(self, folder: str = "") -> dict[str, datetime]:
        """The same with when each was written (UTC)."""
        ...

    def remove(self, name: str) -> None: ...


Place: TypeAlias = "Path | FileStore"


def as_files(place: Place) -> FileStore:
    """A folder as the store it is."""
    return LocalFiles(place) if isinstance(place, Path) else place


class LocalFiles:
    """Files below a folder. Nothing is made before the first write."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def local(self) -> Path:
        return self.root

    @property
    def uri(self) -> str:
        return self.root.absolute().as_uri()

    def below(self, folder: str) -> LocalFiles:
        return LocalFiles(self.root / folder)

    def location(self, name: str) -> str:
        return str(self.root / name)

    def equip(self, engine: duckdb.DuckDBPyConnection) -> None:
        """Every engine reads local files."""

    def put(self, file: Path, name: str) -> None:
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        sync(file)
        file.replace(target)
        sync(target.parent)

    def put_bytes(self, data: bytes, name: str) -> None:
        write_atomically(self.root / name, data)

    def swap(self, data: bytes, name: str, tag: str | None) -> None:
        found = self.tagged(name)
        if (found[1] if found else None) != tag:
            raise ChangedMeanwhileError(f"{self.location(name)} was replaced meanwhile: read it and try again")
        self.put_bytes(data, name)

    def tagged(self, name: str) -> tuple[bytes, str] | None:
        data = self.read(name)
        return (data, hashlib.sha256(data).hexdigest()) if data is not None else None

    def mark(self, name: str) -> str | None:
        try:
            seen = (self.root / name).stat()
        except FileNotFoundError:
            return None
        return f"{seen.st_mtime_ns}-{seen.st_size}-{seen.st_ino}"

    def read(self, name: str) -> bytes | None:
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            return None

    def read_all(self, names: Iterable[str]) -> dict[str, bytes]:
        found = {name: self.read(name) for name in names}
        return {name: data for name, data in found.items() if data is not None}

    def open(self, name: str) -> IO[bytes]:
        return (self.root / name).open("rb")

    def digest(self, name: str) -> tuple[int, str] | None:
        file = self.root / name
        return digest(file) if file.is_file() else None

    def names(self, folder: str = "") -> list[str]:
        found = (file for file in (self.root / folder).rglob("*") if file.is_file())
        return sorted(file.relative_to(self.root).as_posix() for file in found)

    def written(self, folder: str = "") -> dict[str, datetime]:
        return {name: datetime.fromtimestamp((self.root / name).stat().st_mtime, UTC) for name in self.names(folder)}

    def remove(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)


def digest(file: Path) -> tuple[int, str]:
    """Bytes and SHA-256 of a local file."""
    with file.open("rb") as stream:
        return file.stat().st_size, hashlib.file_digest(stream, "sha256").hexdigest()


def sync(path: Path) -> None:
    """To the disk: a file's content, or a folder's entries."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def fetch(files: FileStore, name: str, target: Path) -> Path:
    """A local copy of a file of the store; raises `FileNotFoundError`."""
    with files.open(name) as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy, 1 << 22)
    return target
