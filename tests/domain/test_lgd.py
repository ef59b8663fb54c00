"""Loss given default: discounted, after costs, of closed workouts only, and never surer than the workouts allow."""

import numpy as np
import pytest

from credit_risk_platform.domain.provisioning import lgd_fit
from credit_risk_platform.domain.provisioning.lgd import LgdLoans, LgdModel
from credit_risk_platform.domain.provisioning.lgd_fit import Workouts, shrunk


def workouts(recovered: np.ndarray, cured: np.ndarray | None = None, **changed: np.ndarray) -> Workouts:
    """10,000 owed at 12 % each, so 10,300 at default."""
    n = len(recovered)
    return Workouts(
        loans=LgdLoans(np.full(n, 36), changed.get("purpose", np.full(n, "car"))),
        principal=np.full(n, 10_000.0),
        recovered=np.asarray(recovered, float),
        annual_rate=np.full(n, 0.12),
        cured=np.zeros(n, bool) if cured is None else cured,
        unemployment=changed.get("unemployment", np.full(n, np.nan)),
    )


def test_a_realised_loss_is_discounted_and_bears_its_costs() -> None:
    """2,000 back, less 14 %, a year late at 12 %: 1,535.71 of 10,300. Free and at once: LGD 0.80583."""
    assert workouts(np.array([2_000])).realised()[0] == pytest.approx(1 - 2_000 * 0.86 / 1.12 / 10_300)
    assert workouts(np.array([2_000])).realised()[0] == pytest.approx(0.85090, abs=5e-6)


def test_nothing_back_loses_all_a_cure_loses_nothing_and_a_windfall_is_no_gain() -> None:
    found = workouts(np.array([0, 0, 50_000]), np.array([False, True, False])).realised()
    assert found.tolist() == [1.0, 0.0, 0.0]


def test_a_group_of_two_is_hardly_believed_and_a_large_one_is() -> None:
    rng = np.random.default_rng(2)
    values = np.concatenate([rng.normal(0.9, 0.1, 400), rng.normal(0.6, 0.1, 400), [0.1, 0.2]])
    large, other, tiny = shrunk(values, np.repeat([0, 1, 2], [400, 400, 2]), 3)
    assert large == pytest.approx(0.9, abs=0.02)
    assert other == pytest.approx(0.6, abs=0.02)
    assert 0.15 < tiny < values.mean()


def test_groups_that_differ_by_chance_get_the_mean() -> None:
    values = np.tile([0.5, 1.0], 50)
    assert shrunk(values, np.repeat([0, 1], 50), 2).tolist() == [0.75, 0.75]


def test_too_few_workouts_give_the_assumed_lgd_and_say_so() -> None:
    model = lgd_fit.fit(workouts(np.zeros(29)))
    assert model.lgd(LgdLoans(np.array([36]), np.array(["car"])))[0] == 0.65
    assert str(model.notes["basis"]).startswith("assumed: 29 closed workouts")
    assert lgd_fit.fit(workouts(np.zeros(30))).notes["basis"] == "estimated"


def test_a_downturn_is_added_only_where_losses_clearly_rose_with_unemployment() -> None:
    rng = np.random.default_rng(5)
    unemployment = rng.uniform(4, 10, 400)
    back = 10_300 * 1.12 / 0.86 * np.clip(0.6 - 0.03 * (unemployment - 4) + rng.normal(0, 0.02, 400), 0, 1)
    model = lgd_fit.fit(workouts(back, unemployment=unemployment))
    assert model.per_point == pytest.approx(0.03, abs=0.002)
    loans = LgdLoans(np.array([36]), np.array(["car"]))
    calm, harsh = (model.lgd(loans, rate)[0] for rate in (4.0, model.reference_unemployment + 2))
    assert calm == pytest.approx(model.lgd(loans)[0])
    assert harsh - calm == pytest.approx(0.06, abs=0.004)
    assert lgd_fit.fit(workouts(back[::-1].copy(), unemployment=np.sort(unemployment))).per_point >= 0
    assert lgd_fit.fit(workouts(back)).per_point == 0


def test_a_loan_long_in_default_has_less_to_come() -> None:
    """LGD 0.8: a year into the two of a workout half of the 0.2 is still to come, 0.9; at its end all is lost."""
    model, loans = LgdModel(0.8, {}), LgdLoans(np.full(4, 36), np.full(4, "car"))
    assert model.in_default(loans, np.array([0, 12, 24, 40])) == pytest.approx([0.8, 0.9, 1.0, 1.0])


def test_the_lgd_of_a_loan_is_its_groups_and_stays_in_range() -> None:
    model = LgdModel(0.8, {"36|car": 1.1, "60|car": 0.4}, per_point=0.1, reference_unemployment=5.0)
    loans = LgdLoans(np.array([36, 60, 60]), np.array(["car", "car", "boat"]))
    assert model.lgd(loans).tolist() == [1.1, 0.4, 0.8]
    path = model.path(loans, np.array([4.0, 6.0, 12.0]))
    assert path.shape == (3, 3)
    assert path[0] == pytest.approx([1.1, 1.2, 1.2])
    assert path[1] == pytest.approx([0.4, 0.5, 1.1])


def test_a_stored_model_is_the_same_model() -> None:
    model = LgdModel(0.8, {"36|car": 0.7}, 0.01, 5.0, {"basis": "estimated"})
    assert LgdModel.from_dict(model.to_dict()) == model
    assert LgdModel.from_dict(model.to_dict()).sha256 == model.sha256
