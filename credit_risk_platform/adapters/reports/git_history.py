"""Who changed a file, line by line, as git knows it. Where there is no git or no clone, that is said."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_FIELD, _ENTRY = "\x1f", "\x1e"
_FORMAT = f"--format=%H{_FIELD}%at{_FIELD}%an{_FIELD}%s{_FIELD}%(trailers:separator=%x3B ){_ENTRY}"
SECONDS = 30


class NoHistoryError(LookupError):
    """There is no history to read: no git, no clone, or a file it does not know. The message says which."""


@dataclass(frozen=True)
class Change:
    """One commit: its day (UTC), who wrote it, what it says, and trailers such as `Reviewed-by`."""

    commit: str
    day: str
    author: str
    subject: str
    trailers: str = ""


def changes(root: Path, file: Path) -> list[Change]:
    """Commits that changed `file`, the newest first. Raises `NoHistoryError`."""
    told = _git(root, "log", "--follow", _FORMAT, "--", str(file.relative_to(root)))
    found = [entry.strip("\n").split(_FIELD) for entry in told.split(_ENTRY) if entry.strip()]
    if not found:
        raise NoHistoryError(f"{file.relative_to(root)} is not in git yet: commit it")
    return [Change(commit, _day(at), author, subject, trailers) for commit, at, author, subject, trailers in found]


def last_change_of_lines(root: Path, file: Path) -> list[Change]:
    """For each line of `file`, the commit that it comes from; commit is zeros where it is not committed yet."""
    told = _git(root, "blame", "--line-porcelain", "--", str(file.relative_to(root)))
    lines, now = [], dict[str, str]()
    for line in told.splitlines():
        if line.startswith("\t"):
            lines.append(_change(now))
            now = {}
            continue
        key, _, value = line.partition(" ")
        now.setdefault("commit" if "commit" not in now else key, key if "commit" not in now else value)
    return lines


def _change(told: Mapping[str, str]) -> Change:
    if set(told["commit"]) == {"0"}:
        return Change(told["commit"], "", "not committed yet", "")
    return Change(told["commit"], _day(told["author-time"]), told["author"], told.get("summary", ""))


def _day(seconds: str) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).date().isoformat()


def _git(root: Path, *command: str) -> str:
    if not (root / ".git").exists():
        raise NoHistoryError(f"{root} is no git clone: who changed a rule is known in the repository it was built from")
    told: Sequence[str] = ("git", "-C", str(root), *command)
    try:
        done = subprocess.run(told, capture_output=True, text=True, timeout=SECONDS, check=False)
    except FileNotFoundError:
        raise NoHistoryError("git is not installed here: install it, or read the history in the repository") from None
    if done.returncode:
        raise NoHistoryError(f"git has no history of it: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout
