"""What a notebook gets from `score_new_loans`: the API's own answers, for a frame."""

from __future__ import annotations

from pathlib import Path

import httpx
import pandas as pd
import pytest

from credit_risk_platform.adapters.bundles import BundleNotFoundError
from credit_risk_platform.serving.notebook import RefusedLoansError, score_new_loans
from credit_risk_platform.serving.schemas import EXAMPLE, FULLER_EXAMPLE
from tests.api_book import PREDICT, api
from tests.stream_book import new_home

RATINGS = {"Very Low", "Low", "Medium", "High", "Very High"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(new_home(tmp_path_factory.mktemp("notebook") / "home"))


@pytest.fixture(autouse=True)
def _its_policies(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRP_POLICY_FOLDER", str(home / "policies"))


def test_a_frame_gets_the_answers_that_the_api_gives(home: Path) -> None:
    loans = pd.DataFrame([EXAMPLE, FULLER_EXAMPLE], index=["a", "b"])  # each lacks columns of the other: NaN
    scored = score_new_loans(loans, None, None, home=home)
    assert list(scored.index) == ["a", "b"]
    assert set(scored["risk_rating"]) <= RATINGS
    with api(home) as client:
        told = [_answer(client, loan) for loan in (EXAMPLE, FULLER_EXAMPLE)]
    assert scored["default_probability"].tolist() == [one["default_probability"] for one in told]
    assert scored["decision"].tolist() == [one["decision"] for one in told]
    assert [list(codes) if codes is not None else [] for codes in scored["reason_codes"]] == [
        [reason["code"] for reason in one["reason_codes"]] for one in told
    ]


def _answer(client: httpx.Client, loan: dict[str, object]) -> dict[str, object]:
    told = client.post(PREDICT, json=loan)
    assert told.status_code == 200
    answer: dict[str, object] = told.json()
    return answer


def test_the_prediction_is_one_from_the_cut_off_of_the_policy_on(home: Path) -> None:
    riskier = {**EXAMPLE, "annual_income": 9_000, "credit_utilization": 1.2, "payment_history_score": 510}
    scored = score_new_loans(pd.DataFrame([EXAMPLE, riskier]), home=home)
    assert scored["default_prediction"].isin([0, 1]).all()
    by_pd = scored.sort_values("default_probability")["default_prediction"].tolist()
    assert by_pd == sorted(by_pd)


def test_wrong_loans_are_named_with_row_field_and_fix(home: Path) -> None:
    wrong = pd.DataFrame([EXAMPLE, {**EXAMPLE, "annual_income": -5.0}], index=[10, 11])
    with pytest.raises(RefusedLoansError, match=r"row 11, annual_income: .*out of range.*above zero") as refused:
        score_new_loans(wrong, home=home)
    assert list(refused.value.faults) == [11]


def test_another_bundle_is_named_by_its_hash_or_refused(home: Path) -> None:
    with pytest.raises(BundleNotFoundError, match="no bundle"):
        score_new_loans(pd.DataFrame([EXAMPLE]), "0" * 64, home=home)


def test_no_loans_give_no_answers(home: Path) -> None:
    assert score_new_loans(pd.DataFrame(columns=list(EXAMPLE)), home=home).empty
