"""When evidence starts a training, when it is told to wait, and that it never starts two."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credit_risk_platform.domain.retraining import Basis, Evidence, Limits, Trigger, Triggered, decide

NOW = datetime(2026, 7, 20, 5, 0, tzinfo=UTC)
DAY = date(2026, 7, 19)
CHAMPION, OTHER = "a" * 64, "b" * 64
LIMITS = Limits(max_shift=0.2, max_z=3.0, new_labels=5_000, cooldown=timedelta(days=7))
CALM = Evidence(CHAMPION, DAY, psi=0.04, shift=0.05, z=1.2, new_labels=1_200)


def calm(**changes: object) -> Evidence:
    return Evidence(**{**vars(CALM), **changes})  # type: ignore[arg-type]


def started(days_ago: float, basis: Basis, trigger: str = "score_psi") -> Triggered:
    return Triggered(NOW - timedelta(days=days_ago), "run", trigger, "0.3000", basis)


MISCALIBRATED = {"shift": 0.31, "z": 6.1, "calibration_off": True}


@pytest.mark.parametrize(
    ("evidence", "called"),
    [
        (CALM, ()),
        (calm(psi=0.25), ()),
        (calm(psi=0.2501), (Trigger.SCORE_PSI,)),
        (calm(psi=None), ()),
        (calm(shift=0.31, z=2.9), ()),
        (calm(**MISCALIBRATED), (Trigger.CALIBRATION,)),
        (calm(new_labels=4_999), ()),
        (calm(new_labels=5_000), (Trigger.NEW_LABELS,)),
        (calm(psi=0.4, new_labels=9_000, **MISCALIBRATED), tuple(Trigger)),
        (Evidence(CHAMPION), ()),
        (Evidence(CHAMPION, new_labels=6_000), (Trigger.NEW_LABELS,)),
    ],
    ids=["calm", "psi at the limit", "psi above", "too few applications", "shift by chance", "miscalibrated",
         "one label short", "labels enough", "all three", "never monitored", "labels alone, not monitored"],
)  # fmt: skip
def test_each_trigger_calls_above_its_limit_and_only_there(evidence: Evidence, called: tuple[Trigger, ...]) -> None:
    assert decide(evidence, LIMITS, None, None, NOW).triggers == called


def test_the_answer_shows_every_trigger_against_its_limit() -> None:
    assert decide(CALM, LIMITS, None, None, NOW).sentence == (
        "Nothing calls for a training: score PSI 0.040 as of 2026-07-19 (limit 0.25); calibration off by +0.050 "
        "log-odds at +1.2 standard errors (limits 0.2 and 3); 1,200 loans of matured vintages unknown to the "
        "champion (limit 5,000)."
    )
    unknown = decide(Evidence(CHAMPION, DAY), LIMITS, None, None, NOW).sentence
    assert (
        "score PSI: not enough data; calibration: not enough data; loans unknown to the champion: not counted"
        in unknown
    )


def test_a_training_in_progress_is_waited_for_and_named() -> None:
    decision = decide(calm(psi=0.4), LIMITS, None, "run 1a2b of model_training, queued", NOW)
    assert not decision.train
    assert decision.sentence.startswith("A training is in progress (run 1a2b of model_training, queued). score PSI 0.4")


@pytest.mark.parametrize("champion", [CHAMPION, OTHER], ids=["refused", "a new champion since"])
def test_the_cool_down_holds_to_the_minute_whatever_the_trigger_and_the_outcome(champion: str) -> None:
    """Started by labels, now drift calls; promoted or refused: seven days."""
    last = started(6.999, Basis(date(2026, 7, 1), champion[:12], 5_000), "new_labels")
    held = decide(calm(psi=0.4, new_labels=6_000), LIMITS, last, None, NOW)
    assert not held.train
    assert held.sentence.startswith("Cool-down until 2026-07-20 05:01 UTC, after the training that new_labels started")
    assert decide(calm(psi=0.4, new_labels=6_000), LIMITS, last, None, NOW + timedelta(minutes=2)).train


@pytest.mark.parametrize(
    ("evidence", "called"),
    [
        (calm(psi=0.4), ()),
        (calm(psi=0.4, as_of=date(2026, 7, 20)), ()),
        (calm(psi=0.4, new_labels=1_201), ()),
        (calm(psi=0.4, as_of=date(2026, 7, 20), new_labels=1_201), (Trigger.SCORE_PSI,)),
        (calm(as_of=date(2026, 7, 20), new_labels=1_201, **MISCALIBRATED), (Trigger.CALIBRATION,)),
        (calm(psi=0.4, bundle_sha=OTHER), (Trigger.SCORE_PSI,)),
        (calm(new_labels=6_199), ()),
        (calm(new_labels=6_200), (Trigger.NEW_LABELS,)),
    ],
    ids=["the same row", "a later day, nothing new to learn from", "the same day, new labels", "a later day and labels",
         "calibration too", "another champion", "4,999 labels since", "5,000 labels since"],
)  # fmt: skip
def test_evidence_that_led_to_no_champion_does_not_start_the_same_training_again(
    evidence: Evidence, called: tuple[Trigger, ...]
) -> None:
    """Long after the cool-down: what must be new for another training of the same champion."""
    decision = decide(evidence, LIMITS, started(40, CALM.basis), None, NOW)
    assert decision.triggers == called
    assert called or "has used this evidence" in decision.sentence


EVIDENCE = st.builds(
    Evidence,
    st.sampled_from([CHAMPION, OTHER]),
    st.none() | st.dates(date(2026, 1, 1), date(2026, 12, 31)),
    psi=st.none() | st.floats(0, 2),
    shift=st.none() | st.floats(-2, 2),
    z=st.none() | st.floats(-9, 9),
    calibration_off=st.booleans(),
    new_labels=st.none() | st.integers(0, 20_000),
)


@given(
    looks=st.lists(st.tuples(EVIDENCE, st.integers(0, 10 * 24), st.sampled_from([None, "run x"])), max_size=30),
    cooldown=st.integers(0, 20),
)
def test_however_evidence_moves_no_two_start_within_the_cool_down_or_on_the_same_basis_and_each_names_its_trigger(
    looks: list[tuple[Evidence, int, str | None]], cooldown: int
) -> None:
    limits = Limits(0.2, 3.0, 5_000, timedelta(days=cooldown))
    now, last = NOW, None
    for evidence, hours, running in looks:
        now += timedelta(hours=hours)
        decision = decide(evidence, limits, last, running, now)
        assert decision.sentence
        assert len(decision.values) == len(decision.triggers)
        if not decision.train:
            continue
        assert all(decision.values)
        assert running is None
        assert last is None or (now - last.at >= limits.cooldown and evidence.basis != last.basis)
        last = Triggered(now, "run", decision.triggers[0], decision.values[0], evidence.basis)


@given(EVIDENCE)
def test_a_run_s_tag_gives_back_what_it_was_started_on(evidence: Evidence) -> None:
    assert Basis.parse(str(evidence.basis)) == evidence.basis
