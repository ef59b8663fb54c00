"""`crp experiment`: try a challenger beside the champion."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from credit_risk_platform.cli.command import AsJson, Home, command, console, print_json
from credit_risk_platform.domain.experiments import Experiment, ExperimentError, Mode, StopRule

if TYPE_CHECKING:
    from pathlib import Path

    from credit_risk_platform.adapters.experiment_store import ExperimentStore

app = typer.Typer(
    help="Champion against challenger: in the shadow, or for a share of the applicants.", no_args_is_help=True
)
RULE = StopRule()


@app.command()
def start(
    name: Annotated[str, typer.Argument(help="Name of the experiment; it decides who is in which arm.")],
    challenger: Annotated[str, typer.Option(help="SHA-256 of the challenger's bundle (8 leading digits suffice).")],
    mode: Annotated[Mode, typer.Option(help="shadow scores beside the champion; split decides for its share.")] = (
        Mode.SHADOW
    ),
    share: Annotated[float, typer.Option(help="Share of the applicants that belong to the challenger.")] = 0.1,
    max_sample: Annotated[int, typer.Option(help="Applications at which the result is read.")] = RULE.max_sample,
    alpha: Annotated[float, typer.Option(help="Level of the test.")] = RULE.alpha,
    smallest_effect: Annotated[
        float, typer.Option(help="Difference of approval rates that would matter.")
    ] = RULE.smallest_effect,
    home: Home = None,
) -> None:
    """Start an experiment. A challenger in the shadow never decides anything."""
    from credit_risk_platform.cli.home import CommandError

    with command(), _mendable():
        store = _store(home)
        champion = store.bundles.pointer()
        if champion is None:
            raise CommandError("there is no champion to compare with: crp train")
        started = store.start(
            Experiment(
                id=name,
                challenger_sha=store.find(challenger),
                champion_sha=champion.sha,
                mode=mode,
                started=_now(),
                share=1.0 if mode is Mode.SHADOW else share,
                stop_rule=StopRule(max_sample, alpha, smallest_effect),
            )
        )
        console.print("\n".join(_lines(started)), markup=False, soft_wrap=True)


@app.command()
def stop(because: Annotated[str, typer.Option(help="Why; it is kept.")] = "stopped by hand", home: Home = None) -> None:
    """End the running experiment; from then on the champion decides on everyone."""
    with command(), _mendable():
        console.print("\n".join(_lines(_store(home).stop(_now(), because))), markup=False, soft_wrap=True)


@app.command()
def status(home: Home = None, as_json: AsJson = False) -> None:
    """Every experiment there is or was, the latest first; what they show stands in gold/experiment_readout."""
    with command(), _mendable():
        found = list(reversed(_store(home).all()))
        if as_json:
            print_json([asdict(experiment) for experiment in found])
            return
        lines = [line for experiment in found for line in _lines(experiment)]
        console.print("\n".join(lines) or "No experiment was started here.", markup=False, soft_wrap=True)


def _lines(experiment: Experiment) -> Iterator[str]:
    rule = experiment.stop_rule
    state = "runs" if experiment.running else f"ended {experiment.ended:%Y-%m-%d %H:%M} ({experiment.ended_because})"
    share = "" if experiment.mode is Mode.SHADOW else f" for {experiment.share:.0%} of the applicants"
    yield f"{experiment.id}: {experiment.mode}{share}, {state}"
    yield f"  challenger {experiment.challenger_sha[:12]} against {experiment.champion_sha[:12]}"
    yield (
        f"  since {experiment.started:%Y-%m-%d %H:%M} UTC; read at {rule.max_sample:,} applications, "
        f"level {rule.alpha:g}, smallest difference that matters {rule.smallest_effect:.1%}"
    )


def _store(home: Path | None) -> ExperimentStore:
    from credit_risk_platform.adapters.bundles import BundleStore
    from credit_risk_platform.adapters.experiment_store import ExperimentStore
    from credit_risk_platform.cli.home import open_home

    return ExperimentStore(BundleStore(open_home(home).files("models")))


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


@contextlib.contextmanager
def _mendable() -> Iterator[None]:
    """What the experiment refuses becomes the command's message."""
    from credit_risk_platform.cli.home import CommandError

    try:
        yield
    except ExperimentError as error:
        raise CommandError(str(error)) from error
