"""What a user reads while a run goes on and, above all, when it stops."""

from collections.abc import Iterator

import dagster as dg
import pytest
from rich.console import Console

from credit_risk_platform.cli.progress import ProgressLines

LOANS = dg.AssetKey(["bronze", "loans"])
SCORES = dg.AssetKey(["gold", "scores"])


class Misbehave(dg.Config):
    check_passes: bool = True
    severity: str = "ERROR"
    raises: bool = False
    refuses: bool = False


@dg.asset(key=LOANS, check_specs=[dg.AssetCheckSpec("rows_add_up", asset=LOANS, blocking=True)])
def loans(config: Misbehave) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    if config.raises:
        try:
            {}["issue_d"]
        except KeyError as error:
            raise ValueError("loans.csv row 7, column issue_d: no such month; correct the file") from error
    check = dg.AssetCheckResult(
        passed=config.check_passes,
        severity=dg.AssetCheckSeverity(config.severity),
        metadata={"rows_in": 10, "next_step": "open the quarantine", "preview": "x" * 1000},
    )
    if config.refuses:
        yield check
        raise dg.Failure("Promotion refused: no candidate is eligible.", allow_retries=False)
    yield dg.MaterializeResult(metadata={"dagster/row_count": 50_000, "rows_rejected": 3}, check_results=[check])


@dg.asset(key=SCORES, deps=[LOANS])
def scores() -> dg.MaterializeResult:
    return dg.MaterializeResult()


def follow(**misbehave: object) -> tuple[ProgressLines, str]:
    """The lines of one run of the two assets."""
    console = Console(record=True, width=60, force_terminal=False)
    lines = ProgressLines(console)
    with dg.DagsterInstance.ephemeral() as instance:
        job = dg.Definitions(assets=[loans, scores]).resolve_implicit_global_asset_job_def()
        config = dg.RunConfig(ops={"bronze__loans": Misbehave(**misbehave)})  # type: ignore[arg-type]
        result = job.execute_in_process(instance=instance, run_config=config, raise_on_error=False)
        for entry in instance.all_logs(result.run_id):
            lines(entry)
    return lines, console.export_text()


def test_a_good_run_shows_rows_and_rejects_of_each_asset_and_no_failure() -> None:
    lines, text = follow()
    assert "made  bronze/loans  50,000 rows, 3 rejected" in text
    assert "done  bronze/loans" in text
    assert "1 check passed" in text
    assert lines.failures == []
    assert lines.step_seconds.keys() == {"bronze/loans", "gold/scores"}


def test_a_red_check_is_named_with_its_next_step_once() -> None:
    lines, text = follow(check_passes=False)
    assert lines.failures == ["bronze/loans rows_add_up: rows_in: 10; next_step: open the quarantine"]
    assert "STOP  bronze/loans: nothing below a red check is built" in text
    assert "gold/scores" not in text.replace("skip  gold/scores", "")


def test_a_warning_is_shown_but_fails_nothing() -> None:
    lines, text = follow(check_passes=False, severity="WARN")
    assert "warn  bronze/loans rows_add_up" in text
    assert lines.failures == []


def test_a_refusal_that_a_red_check_has_explained_is_not_told_twice() -> None:
    lines, text = follow(check_passes=False, refuses=True)
    assert lines.failures == ["bronze/loans rows_add_up: rows_in: 10; next_step: open the quarantine"]
    assert "STOP  bronze/loans" in text


def test_a_failure_is_told_without_the_name_of_its_class() -> None:
    lines, _ = follow(refuses=True)
    assert lines.failures == ["bronze/loans: Promotion refused: no candidate is eligible."]


def test_an_error_speaks_in_our_words_not_in_those_of_what_caused_it() -> None:
    lines, _ = follow(raises=True)
    assert lines.failures == [
        "bronze/loans: ValueError: loans.csv row 7, column issue_d: no such month; correct the file"
    ]


@pytest.mark.parametrize("path", ["[bold]x[/]", "[/nonsense]"])
def test_text_from_data_never_becomes_markup(path: str) -> None:
    console = Console(record=True, width=200)
    lines = ProgressLines(console)

    @dg.asset(key=LOANS)
    def failing() -> None:
        raise ValueError(path)

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([failing], instance=instance, raise_on_error=False)
        for entry in instance.all_logs(result.run_id):
            lines(entry)
    assert path in console.export_text()
