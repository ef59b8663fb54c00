"""Which code is running: the git commit where there is one, and a hash of the source that decides a score."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
SCORING_CODE = (
    "domain/scoring.py", "domain/bands.py", "domain/points.py", "domain/policy.py", "domain/decision_reasons.py",
    "domain/reasons.py", "domain/explanation", "domain/bundle.py", "domain/calibration.py", "domain/models",
)  # fmt: skip


@cache
def code_hash(package: Path = PACKAGE) -> str:
    """SHA-256 over the source of `score()` and all it calls: given a bundle, a score changes only when this does."""
    places = [package / place for place in SCORING_CODE]
    files = sorted(file for place in places for file in ([place] if place.is_file() else place.rglob("*.py")))
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(package).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


@cache
def git_commit(root: Path = PACKAGE.parent) -> str | None:
    """Commit that is checked out at `root`, read from `.git`; `None` outside a clone or before a first commit."""
    folder = root / ".git"
    if folder.is_file():  # a worktree: the file names the real folder
        folder = (root / folder.read_text().removeprefix("gitdir:").strip()).resolve()
    if not (folder / "HEAD").is_file():
        return None
    head = (folder / "HEAD").read_text().strip()
    if not head.startswith("ref: "):
        return head
    return _resolve(folder, head.removeprefix("ref: "))


def _resolve(folder: Path, ref: str) -> str | None:
    common = folder / "commondir"
    shared = (folder / common.read_text().strip()).resolve() if common.is_file() else folder
    for home in (folder, shared):
        if (home / ref).is_file():
            return (home / ref).read_text().strip()
    packed = shared / "packed-refs"
    lines = packed.read_text().splitlines() if packed.is_file() else []
    return next((line.split(" ")[0] for line in lines if line.endswith(f" {ref}")), None)
