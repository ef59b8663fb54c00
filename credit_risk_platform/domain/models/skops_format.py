"""scikit-learn models as skops archives with deterministic bytes: no pickle, no memory addresses, no dates.

skops names arrays after their memory address and dates the zip, so two equal models differ in every byte. Here the
ids are renumbered in the order the schema mentions them, padding bytes of record arrays are zeroed, dates are fixed.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from credit_risk_platform.domain.models.archive import archive
from credit_risk_platform.domain.models.base import ModelError, to_json

SCHEMA = "schema.json"


def dump(estimator: Any) -> bytes:
    """A skops archive of a fitted estimator; equal estimators give equal bytes."""
    import skops.io

    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(estimator))) as source:
        members = {name: source.read(name) for name in source.namelist()}
    schema, names = _renumber(json.loads(members.pop(SCHEMA)))
    renamed = {names[name]: _without_padding(body) for name, body in members.items()}
    return archive({**renamed, SCHEMA: to_json(schema)})


def load(data: bytes, trusted: Sequence[str]) -> Any:
    """The estimator back. Types beyond skops' own safe list and `trusted` are refused with a `ModelError`."""
    import skops.io

    unknown = sorted(set(skops.io.get_untrusted_types(data=data)) - set(trusted))
    if unknown:
        raise ModelError(f"the archive asks for types no model of ours holds: {', '.join(unknown)}")
    return skops.io.loads(data, trusted=list(trusted))


def _renumber(schema: Any) -> tuple[Any, dict[str, str]]:
    """The schema with ids 1, 2, ... in reading order, and old file name -> new file name."""
    ids: dict[int, int] = {}
    names: dict[str, str] = {}

    def walk(node: Any) -> Any:
        if isinstance(node, list):
            return [walk(item) for item in node]
        if not isinstance(node, dict):
            return node
        renewed = dict(node)
        if "__id__" in node:
            renewed["__id__"] = ids.setdefault(node["__id__"], len(ids) + 1)
        if isinstance(node.get("file"), str):
            suffix = node["file"].rpartition(".")[2]
            renewed["file"] = names.setdefault(node["file"], f"{len(names) + 1:06d}.{suffix}")
        return {key: value if key in ("__id__", "file") else walk(value) for key, value in renewed.items()}

    return walk(schema), names


def _without_padding(body: bytes) -> bytes:
    """Record arrays carry unused bytes between fields, filled with whatever memory held."""
    array = np.load(io.BytesIO(body), allow_pickle=False)
    if array.dtype.names is None:
        return body
    clean = np.zeros(array.shape, array.dtype)
    for name in array.dtype.names:
        clean[name] = array[name]
    target = io.BytesIO()
    np.save(target, clean, allow_pickle=False)
    return target.getvalue()
