"""Pictures that open, stay small and repeat."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from credit_risk_platform.adapters import plots
from credit_risk_platform.domain.curves import calibration_curve, roc_curve

LARGEST_BYTES = 20_000


@pytest.fixture(scope="module")
def drawn() -> dict[str, str]:
    return draw()


def draw() -> dict[str, str]:
    rng = np.random.default_rng(1)
    y = rng.random(20_000) < 0.12
    pd = np.clip(0.01 + 0.25 * rng.beta(2, 8, y.size) + 0.06 * y * rng.random(y.size), 0, 0.8)
    splits = ("train", "validation", "out_of_time")
    values = {split: {"auc": 0.7, "ks": 0.3} for split in splits}
    blurred = {split: pd + k * 0.05 * rng.random(y.size) for k, split in enumerate(splits)}
    return {
        "roc": plots.roc({split: roc_curve(y, scores) for split, scores in blurred.items()}, values),
        "calibration": plots.calibration({split: calibration_curve(y, pd) for split in splits[1:]}),
        "importance": plots.importance({f"feature_{i}": 1 / (i + 2) for i in range(40)}, {"feature_0": 1}),
        "distribution": plots.score_distribution(pd, y),
        "scorecard": plots.scorecard_points(card()),
    }


def card() -> pa.Table:
    bins = [f"{edge} to < {edge + 10}" for edge in range(0, 60, 10)] + ["missing"]
    rows = [
        {"feature": f"feature_{k}", "bin": label, "loans": 0 if label == "missing" else 100, "points": 40.0 + k * place}
        for k in range(9)
        for place, label in enumerate(bins)
    ]
    return pa.Table.from_pylist(rows)


def image(markdown: str) -> tuple[Image.Image, int]:
    found = re.fullmatch(r"!\[[\w ]+\]\(data:image/png;base64,([A-Za-z0-9+/=]+)\)", markdown)
    assert found, markdown[:80]
    content = base64.b64decode(found.group(1))
    return Image.open(io.BytesIO(content)), len(content)


@pytest.mark.parametrize("name", ["roc", "calibration", "importance", "distribution", "scorecard"])
def test_a_picture_is_markdown_that_shows_a_small_png(drawn, name):
    picture, size = image(drawn[name])
    assert picture.format == "PNG"
    assert 400 <= picture.width <= 600
    assert size < LARGEST_BYTES


def test_the_same_numbers_give_the_same_bytes(drawn):
    assert draw() == drawn


def test_splits_are_told_apart_by_their_own_colours(drawn):
    colours = {colour for _, colour in image(drawn["roc"])[0].convert("RGB").getcolors(100_000)}
    for wanted in plots.COLOURS.values():
        rgb = np.array([int(wanted[k : k + 2], 16) for k in (1, 3, 5)])
        assert min(np.abs(np.array(colour) - rgb).max() for colour in colours) <= 12, wanted


def test_one_constant_score_still_draws():
    y = np.array([True, False] * 50)
    assert image(plots.score_distribution(np.full(100, 0.1), y))[1] > 0
    assert image(plots.calibration({"validation": calibration_curve(y, np.full(100, 0.5))}))[1] > 0
    assert image(plots.importance({"only": 0.0}, {}))[1] > 0
