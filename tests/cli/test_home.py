"""Which book a command works on, and what it says when it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from credit_risk_platform.cli.demo import demo_settings
from credit_risk_platform.cli.home import CommandError, open_home, prepare_home, remember
from credit_risk_platform.settings import PROJECT_ROOT, PortfolioSource


def test_a_home_remembers_which_book_it_was_made_from(tmp_path: Path) -> None:
    book = tmp_path / "loans with a space.csv.gz"
    book.touch()
    made = demo_settings(tmp_path / "home", PortfolioSource.LENDING_CLUB, book, None, serve=False)
    prepare_home(made)
    remember(made)
    reopened = open_home(tmp_path / "home")
    assert reopened.portfolio_source is PortfolioSource.LENDING_CLUB
    assert reopened.lending_club_path == book


def test_a_home_keeps_dagster_s_books_where_it_is_told(tmp_path: Path) -> None:
    """In containers: `crp` commands write to the PostgreSQL that the web server reads."""
    chosen = PROJECT_ROOT / "deploy" / "dagster.yaml"
    prepare_home(open_home(tmp_path, dagster_config=chosen))
    assert (tmp_path / "dagster" / "dagster.yaml").read_bytes() == chosen.read_bytes()


def test_the_environment_wins_over_what_a_home_remembers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = demo_settings(tmp_path, None, None, 3_000, serve=False)
    prepare_home(made)
    remember(made)
    monkeypatch.setenv("CRP_SYNTHETIC_LOANS", "4000")
    assert open_home(tmp_path).synthetic_loans == 4_000


def test_a_demo_does_not_silently_repeat_the_last_demo_s_book(tmp_path: Path) -> None:
    first = demo_settings(tmp_path, None, None, 3_000, serve=False)
    prepare_home(first)
    remember(first)
    assert demo_settings(tmp_path, None, None, None, serve=False).synthetic_loans != 3_000


def test_every_setting_survives_the_way_into_a_child_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run, the servers and dbt get their settings by environment."""
    parent = open_home(tmp_path, candidates=("xgboost", "logistic_regression"), pii_token_key="hush", seed=11)
    for name, value in parent.environment().items():
        if name.startswith("CRP_"):
            monkeypatch.setenv(name, value)
    assert open_home() == parent


def test_a_wrong_setting_is_named_with_the_value_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRP_SYNTHETIC_LOANS", "many")
    with pytest.raises(CommandError, match=r"synthetic_loans.*'many'"):
        open_home()


@pytest.mark.parametrize(
    ("source", "path", "message"),
    [
        (PortfolioSource.LENDING_CLUB, None, "needs its file"),
        (PortfolioSource.LENDING_CLUB, Path("no/such/file.csv"), "is not a file"),
        (None, Path(__file__), "synthetic book has no file"),
    ],
)
def test_a_demo_without_its_data_does_not_start(
    tmp_path: Path, source: PortfolioSource | None, path: Path | None, message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        demo_settings(tmp_path, source, path, None, serve=False)


def test_a_home_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match="cannot be written"):
        prepare_home(open_home(tmp_path / "file" / "home"))
