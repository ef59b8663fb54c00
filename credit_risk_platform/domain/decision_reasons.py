"""The principal reasons of a decision, from the parts of the policy that made it.

Regulation B, comments 9(b)(2)-3 and -5: reasons must come from the component that the applicant failed, and an
automatic denial must name its own factor. So a rule that fired gives its reason only where it asked for the decision
that was taken, and the model gives its own only where the PD alone asked for it.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.policy import Decided, Policy
from credit_risk_platform.domain.reasons import principal_reasons

AT_MOST = 4
"""Principal reasons of a decision; inquiries may stand as a fifth (FCRA 615(h))."""


def reasons_of(bundle: ModelBundle, frame: FeatureTable, decided: Decided, policy: Policy) -> pa.Array:
    """LIST<VARCHAR> (n,) of reason codes: the rules' first, then the model's, none twice; null where approved."""
    by_rule, places = np.nonzero(decided.caused)
    codes = pa.array([rule.reason for rule in policy.rules], pa.string())
    scored = np.flatnonzero(decided.caused_by_score)
    told = _of_model(bundle, frame.take(scored), policy) if scored.size else _NONE
    rows = np.concatenate([by_rule, scored[pc.list_parent_indices(told).to_numpy()]])
    texts = pa.concat_arrays([codes.take(pa.array(places)), told.flatten()])
    refused = decided.caused_by_score | decided.caused.any(axis=1)
    return _listed(rows, texts, refused, policy.reason_codes.inquiries)


def _of_model(bundle: ModelBundle, frame: FeatureTable, policy: Policy) -> pa.Array:
    """LIST<VARCHAR> (m,): against those approved just below the cut-off, the lowest passing ones."""
    explainer = bundle.explainer_at(policy.approve_below)
    missing = np.column_stack([frame.missing(feature) for feature in explainer.features])
    return principal_reasons(explainer.contributions(frame), explainer.features, policy.reason_codes, AT_MOST, missing)


def _listed(rows: np.ndarray, texts: pa.Array, refused: np.ndarray, inquiries: str | None) -> pa.Array:
    """Gather (row, text) pairs, in their order within a row, into one list per refused row; null elsewhere."""
    encoded = texts.dictionary_encode()
    codes = encoded.indices.to_numpy().astype(np.int64)
    levels = encoded.dictionary.to_pylist()
    first = np.unique(rows * (len(levels) + 1) + codes, return_index=True)[1]
    order = np.sort(first)
    order = order[np.argsort(rows[order], kind="stable")]
    rows, codes = rows[order], codes[order]
    place = np.arange(rows.size) - np.searchsorted(rows, rows)
    kept = (place < AT_MOST) | (codes == (levels.index(inquiries) if inquiries in levels else -1))
    counts = np.bincount(rows[kept], minlength=refused.size)
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    values = encoded.dictionary.take(pa.array(codes[kept]))
    return pa.ListArray.from_arrays(offsets, values, mask=pa.array(~refused))


_NONE = pa.nulls(0, pa.list_(pa.string()))  # `pa.array` would import pandas
