"""The scorecard competes like any other model, and its page shows the card."""

from __future__ import annotations

from credit_risk_platform.catalog import Gold, Models
from tests.credit_book import build_book
from tests.training_room import data_version, metadata

NAME = "scorecard"


def test_the_scorecard_is_trained_ranked_and_shown_as_a_card(small, capfd):
    build_book(small.warehouse, 2400)
    small.settings = small.settings.model_copy(update={"candidates": (NAME,)})
    result = small.run(Gold.TRAINING_SET, Models.candidate(NAME), Models.LEADERBOARD)
    assert result.success
    assert "HIGHS" not in "".join(capfd.readouterr())

    shown = metadata(result, Models.candidate(NAME))
    bundle = small.bundles.load(data_version(result, Models.candidate(NAME)))
    for line in bundle.model.table.characteristics:
        assert f"| {line.feature} |" in shown["scorecard_points"]
        assert f"| {line.feature} |" in shown["scorecard_features"]
    assert shown["scorecard_picture"].startswith("![Points per bin](data:image/png;base64,")

    (row,) = small.warehouse.query("select model, out_of_time_auc from models.leaderboard").to_pylist()
    assert row["model"] == NAME
    assert 0.5 < row["out_of_time_auc"] < 1
