"""Writes what `domain/features.py` says about a column into the feature marts' yml: meaning, type, allowed range.

Run after changing the registry: `python dbt_project/write_feature_docs.py`. A test fails while they differ.
Only the lines between the markers are written; everything else in the yml is yours.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from credit_risk_platform.domain.features import MARTS, Feature, of_stages

MODELS = Path(__file__).resolve().parent / "models" / "marts"


def documented(text: str, features: tuple[Feature, ...]) -> str:
    """The yml with its `columns` and `ranges` blocks rewritten from the registry."""
    ranged = [feature for feature in features if feature.lower is not None or feature.upper is not None]
    text = _replace(text, "ranges", "".join(_range(feature) for feature in ranged))
    return _replace(text, "columns", "".join(_column(feature) for feature in features))


def _column(feature: Feature) -> str:
    data_type = "double" if feature.kind == "numeric" else "varchar"
    return (
        f"      - name: {feature.name}\n"
        f"        data_type: {data_type}\n"
        f"        description: {json.dumps(feature.documentation)}\n"
    )


def _range(feature: Feature) -> str:
    bounds = {"min": feature.lower, "max": feature.upper}
    known = "".join(f", {side}: {bound}" for side, bound in bounds.items() if bound is not None)
    return f"              - {{column: {feature.name}{known}}}\n"


def _replace(text: str, block: str, lines: str) -> str:
    pattern = rf"( *# >>> {block} from domain/features\.py\n).*?( *# <<< {block}\n)"
    return re.sub(pattern, lambda found: found[1] + lines + found[2], text, flags=re.DOTALL)


def marts() -> dict[Path, str]:
    """Each feature mart's yml file with the text it should have."""
    texts = {}
    for mart, stages in MARTS.items():
        path = next(MODELS.glob(f"*/{mart}.yml"))
        texts[path] = documented(path.read_text(), of_stages(*stages))
    return texts


if __name__ == "__main__":
    for path, text in marts().items():
        path.write_text(text)
