"""The folder a sender drops loan files into: what waits there, and where a file goes once it was dealt with.

landing/*.csv[.gz]  ->  landing/archive/<batch>-<name>   or   landing/failed/<name> and <name>.error.txt
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

ARCHIVE, FAILED = "archive", "failed"
SUFFIXES = (".csv", ".csv.gz")


@dataclass(frozen=True)
class Waiting:
    """Files that lie there, as far as looking at the folder tells."""

    files: tuple[Path, ...]
    signature: str
    """Changes whenever a file comes, goes or is written to."""
    newest: float
    """When the last of them was written, in seconds since 1970; 0 when there is none."""


class DropFolder:
    """Names that begin with a full stop belong to the sender's own copying and are left alone."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def waiting(self) -> Waiting:
        """Oldest first, so that a later file restates an earlier one. Reads no file."""
        files = self.path.glob("*") if self.path.is_dir() else ()
        found = sorted((file.stat().st_mtime, file.stat().st_size, file) for file in files if _is_delivery(file))
        listed = "\n".join(f"{file.name} {size} {written!r}" for written, size, file in found)
        return Waiting(
            files=tuple(file for _, _, file in found),
            signature=hashlib.sha256(listed.encode()).hexdigest()[:16],
            newest=max((written for written, _, _ in found), default=0.0),
        )

    def archive(self, file: Path, batch: str) -> Path:
        """Put a landed file away; the name tells its batch, so a later file of the same name does not replace it."""
        return self._move(file, ARCHIVE, f"{batch}-{file.name}")

    def refuse(self, file: Path, why: str) -> Path:
        """Put a refused file aside, with the reason beside it."""
        moved = self._move(file, FAILED, file.name)
        moved.with_name(f"{moved.name}.error.txt").write_text(why + "\n")
        return moved

    def _move(self, file: Path, folder: str, name: str) -> Path:
        target = self.path / folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        return file.rename(target)


def _is_delivery(file: Path) -> bool:
    return file.name.lower().endswith(SUFFIXES) and not file.name.startswith(".") and file.is_file()
