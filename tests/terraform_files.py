"""deploy/terraform as a parser reads it: blocks by name, containers as AWS gets them."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from tests.deploy_files import DEPLOY, package

FOLDER = DEPLOY / "terraform"
KINDS = ("resource", "data", "variable", "output", "locals")
TASKS = ("dagster", "serving")
KEY = "${aws_kms_key.platform.arn}"


def read(text: str) -> dict[str, Any]:
    package("hcl2")
    hcl2 = importlib.import_module("hcl2")
    plain = hcl2.SerializationOptions(strip_string_quotes=True, explicit_blocks=False, with_comments=False)
    return dict(hcl2.loads(text, serialization_options=plain))


@cache
def config() -> dict[str, dict[Any, Any]]:
    """Kind -> name, or (type, name) of resources and data sources -> body; expressions are strings with `${...}`."""
    told: dict[str, dict[Any, Any]] = {kind: {} for kind in KINDS}
    for file in sorted(FOLDER.glob("*.tf")):
        for kind, blocks in read(file.read_text()).items():
            for name, body in (pair for block in blocks if kind in KINDS for pair in block.items()):
                typed = kind in ("resource", "data")
                told[kind] |= {(name, one): found for one, found in body.items()} if typed else {name: body}
    return told


def resource(kind: str, name: str) -> dict[str, Any]:
    return dict(config()["resource"][kind, name])


def of_type(*kinds: str) -> dict[str, dict[str, Any]]:
    return {f"{kind}.{name}": body for (kind, name), body in config()["resource"].items() if kind in kinds}


def within(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every scalar below a value, with the names that lead to it."""
    if isinstance(value, dict | list):
        for name, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from within(one, path if isinstance(value, list) else f"{path}.{name}")
    else:
        yield path, value


def local(name: str) -> Any:
    """A local value; one that is another's name is that one."""
    value = config()["locals"][name]
    seen = re.fullmatch(r"\$\{local\.(\w+)\}", value) if isinstance(value, str) else None
    return local(seen[1]) if seen else value


def containers(task: str) -> dict[str, dict[str, Any]]:
    """Each container as AWS gets it, but for what is known only there: references to lists are resolved or left out."""
    told = {}
    for name, own in local(f"{task}_containers").items():
        whole = {**local("container"), "name": name, **own}
        for field in ("environment", "secrets", "dependsOn"):
            seen = re.fullmatch(r"\$\{local\.(\w+)\}", str(whole.get(field)))
            if seen:
                whole[field] = local(seen[1])
            if isinstance(whole.get(field), str):
                del whole[field]
        told[name] = whole
    return told


def refused(names: Any) -> set[str]:
    """Of these settings, those that the variable `settings` would not take."""
    (rule,) = config()["variable"]["settings"]["validation"]
    (pattern,) = re.findall(r'regex\("([^"]+)"', rule["condition"])
    return {name for name in names if re.search(pattern, name)}
