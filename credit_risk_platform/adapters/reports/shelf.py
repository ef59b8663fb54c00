"""Where reports are kept: every version under the hash of its data, the present one as `index.html`.

A report made again from the same data is the same version. Where the data of that day have changed since, it is a new
version beside the old one, it says so, and the old one stays as it was. A section whose numbers came later completes
the report and restates nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

from credit_risk_platform.adapters.files import FileStore, Place, as_files
from credit_risk_platform.adapters.reports.section import Unit, canonical, fingerprint, sources

VERSIONS = "versions.json"
INDEX = "index.html"
SHOWN = 20
"""Differences that are listed; more are counted."""
PLACE = 140
"""Letters of a place that are shown."""
Evidence = dict[str, dict[str, Any] | None]
"""Source -> the event that made it: storage_id, run_id, data_version, at, url, run_url; None where there is none."""


@dataclass(frozen=True)
class Making:
    """Who made a report: the run, and when it began (ISO, UTC)."""

    run_id: str
    at: str


@dataclass(frozen=True)
class Version:
    """One version on the shelf. `differences`: what it says otherwise than the version of the same day before it."""

    sha256: str
    as_of: str
    first: Making
    last: Making
    evidence: Evidence
    restates: str | None = None
    differences: Sequence[str] = ()
    carried: Sequence[str] = ()

    @property
    def name(self) -> str:
        return self.sha256[:16]

    def as_dict(self) -> dict[str, Any]:
        return {
            "sha256": self.sha256,
            "as_of": self.as_of,
            "first": vars(self.first),
            "last": vars(self.last),
            "evidence": self.evidence,
            "restates": self.restates,
            "differences": list(self.differences),
            "carried": list(self.carried),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Version:
        rest = dict(stored)
        return cls(first=Making(**rest.pop("first")), last=Making(**rest.pop("last")), **rest)


@dataclass(frozen=True)
class Kept:
    """What was written now, the page where. `restated`: this making changed what an earlier one said of the day."""

    version: Version
    data: dict[str, Any]
    page: str
    restated: bool
    earlier: Sequence[Version]


Page = Callable[[dict[str, Any], Version, Sequence[Version]], bytes]
"""(data section, its version, the versions before it) -> HTML."""


def keep(
    folder: Place,
    data: dict[str, Any],
    look_up: Callable[[Sequence[str]], Evidence],
    making: Making,
    page: Page,
    *,
    restates: bool = True,
) -> Kept:
    """Write the data section, the page and the list of versions below `folder`, and say whether it was restated.

    A section whose source no longer holds the day is carried over from the version of that day, with the events it
    then named: what a table has forgotten is no restatement. Without `restates` a change is news, not a restatement:
    for a page that always shows the present.
    """
    files = as_files(folder)
    known = versions(files)
    alike = [one for one in known if one.as_of == data["as_of"]] if restates else known
    before = alike[-1] if alike else None
    data, carried = _carry_over(files, data, before) if restates else (data, [])
    evidence = look_up(_own(data, carried))
    if before is not None:
        evidence |= {source: before.evidence.get(source) for source in sources(data) if source not in evidence}
    sha, restated = fingerprint(data), False
    if before is not None and before.sha256 == sha:
        version = Version(
            sha, data["as_of"], before.first, making, evidence, before.restates, before.differences, carried
        )
        known = [one for one in known if one is not before]
    else:
        told = list(differences(_stored(files, before), data)) if before and restates else []
        listed = [*told[:SHOWN], *([f"and {len(told) - SHOWN} more"] if len(told) > SHOWN else [])]
        replaced = before.sha256 if before and told else None
        version = Version(sha, data["as_of"], making, making, evidence, replaced, listed, carried)
        restated = bool(told)
    html = page(data, version, known)
    files.put_bytes(canonical(data), f"{version.name}.json")
    files.put_bytes(html, f"{version.name}.html")
    files.put_bytes(canonical([one.as_dict() for one in (*known, version)]), VERSIONS)
    files.put_bytes(html, INDEX)
    return Kept(version, data, files.location(INDEX), restated, known)


def versions(folder: Place) -> list[Version]:
    """Every version on the shelf, the oldest first."""
    stored = as_files(folder).read(VERSIONS)
    return [Version.from_dict(one) for one in json.loads(stored)] if stored is not None else []


def differences(then: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """What the second data section says otherwise, one line each: place, then, now.

    A section that had no numbers then, or is new, was completed since and not restated.
    """
    told = {section["id"] for section in then["sections"] if not section["missing"]}
    before, after = (dict(_values(one for one in data["sections"] if one["id"] in told)) for data in (then, now))
    for place in dict.fromkeys([*before, *after]):
        if before.get(place) != after.get(place):
            yield f"{shorten(place, PLACE)}: {_told(before, place)} → {_told(after, place)}"


def _values(sections: Iterable[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    """(place, value) of all that a reader can see."""
    for section in sections:
        title = section["title"]
        if section["missing"]:
            yield title, section["missing"]
        yield from ((f"{title}, note {k}", note) for k, note in enumerate(section["notes"], 1))
        yield from ((f"{title}, {one['name']}", one["value"]) for one in section["figures"])
        for table in section["tables"]:
            for row in table["rows"]:
                cells = list(zip(table["columns"], row, strict=True))
                texts = [str(value) for column, value in cells if column["unit"] == Unit.TEXT and value is not None]
                place = ", ".join([title, table["name"], *texts])
                numbers = [(column["name"], value) for column, value in cells if column["unit"] != Unit.TEXT]
                yield from ((f"{place}, {name}", value) for name, value in numbers)
                if not numbers:
                    yield place, "there"


def _told(values: Mapping[str, Any], place: str) -> str:
    return str(values[place]) if place in values else "not there"


def _carry_over(files: FileStore, data: dict[str, Any], before: Version | None) -> tuple[dict[str, Any], list[str]]:
    """`data` with the sections it lacks from the version before, and their ids."""
    if before is None:
        return data, []
    kept = {section["id"]: section for section in _stored(files, before)["sections"] if not section["missing"]}
    carried = [one["id"] for one in data["sections"] if one["missing"] and one["id"] in kept]
    whole = [kept[one["id"]] if one["id"] in carried else one for one in data["sections"]]
    return {**data, "sections": whole}, carried


def _own(data: dict[str, Any], carried: Sequence[str]) -> list[str]:
    return sources({"sections": [one for one in data["sections"] if one["id"] not in carried]})


def _stored(files: FileStore, version: Version) -> dict[str, Any]:
    with files.open(f"{version.name}.json") as file:
        found: dict[str, Any] = json.load(file)
    return found
