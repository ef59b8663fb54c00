"""DuckDB extensions without a network: the package index's wheels carry the signed files, we link them into place."""

from __future__ import annotations

import contextlib
import importlib.util
from pathlib import Path

import duckdb

EXTENSIONS = ("ducklake", "sqlite_scanner", "httpfs")


def extension_directory(root: Path) -> Path:
    """Link the installed extension wheels into DuckDB's own layout below `root`; returns the directory to set.

    After this, plain `ATTACH 'ducklake:...'` and `LOAD` work offline, in this process, in dbt and in the CLI.
    """
    connection = duckdb.connect()
    platform = connection.execute("pragma platform").fetchone()[0]  # type: ignore[index]
    connection.close()
    folder = root / f"v{duckdb.__version__}" / platform
    folder.mkdir(parents=True, exist_ok=True)
    for extension in EXTENSIONS:
        source = _wheel_file(extension)
        link = folder / source.name
        if link.is_symlink() and link.resolve() != source:
            link.unlink()  # the virtual environment moved
        with contextlib.suppress(FileExistsError):
            link.symlink_to(source)
    return root


def _wheel_file(extension: str) -> Path:
    spec = importlib.util.find_spec(f"duckdb_extension_{extension}")
    files = (
        list(Path(spec.origin).parent.glob(f"extensions/v{duckdb.__version__}/*.duckdb_extension"))
        if spec and spec.origin
        else []
    )
    if not files:
        package = f"duckdb-extension-{extension.replace('_', '-')}=={duckdb.__version__}"
        raise FileNotFoundError(f"DuckDB extension {extension} is not installed. Install it: pip install {package}")
    return files[0].resolve()
