"""Macro series: a value may not be used before it was public, and a bad file says where it is bad."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from credit_risk_platform.adapters.sources.macro import PUBLICATION_RULES, SCHEMA, MacroFileError, load_macro


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder


def rows(table: pa.Table, *columns: str) -> list[tuple[object, ...]]:
    return list(zip(*(table[column].to_pylist() for column in columns), strict=True))


@pytest.mark.parametrize(
    ("series", "observation", "published"),
    [
        ("UNRATE", "2015-10-01", date(2016, 1, 8)),
        ("UNRATE", "2024-10-01", date(2025, 1, 10)),  # the first Friday was the 3rd: too early for the survey
        ("CPIAUCSL", "2020-01-01", date(2020, 4, 15)),
        ("GDPC1", "2020-01-01", date(2020, 4, 30)),
        ("FEDFUNDS", "2020-10-01", date(2021, 1, 1)),
        ("UMCSENT", "2020-01-01", date(2020, 3, 31)),
    ],
)
def test_a_quarter_is_not_known_before_its_publication_day(
    tmp_path: Path, series: str, observation: str, published: date
) -> None:
    table = load_macro(write(tmp_path, f"{series}_quarterly.csv", f"observation_date,{series}\n{observation},4.5\n"))
    assert rows(table, "series_id", "value", "publication_date", "vintage_date") == [
        (series, 4.5, published, published)
    ]
    assert table.schema.remove_metadata() == SCHEMA


def test_a_month_is_published_after_its_own_end(tmp_path: Path) -> None:
    table = load_macro(write(tmp_path, "UNRATE_monthly.csv", "observation_date,UNRATE\n2024-02-01,3.9\n"))
    assert rows(table, "publication_date") == [(date(2024, 3, 8),)]


def test_blank_values_are_dropped_and_counted(tmp_path: Path) -> None:
    text = "observation_date,UMCSENT\n1953-01-01,90.7\n1953-04-01,\n1953-07-01,.\n1953-10-01,80.1\n"
    table = load_macro(write(tmp_path, "UMCSENT_quarterly.csv", text))
    assert table["value"].to_pylist() == [90.7, 80.1]
    assert table.schema.metadata == {b"source": b"fred", b"blank_rows": b'{"UMCSENT": 2}'}


def test_a_revision_is_another_row_and_the_first_print_stays(tmp_path: Path) -> None:
    text = "observation_date,GDPC1,publication_date\n2019-10-01,101.5,2020-03-26\n2019-10-01,100.9,2020-01-30\n"
    table = load_macro(write(tmp_path, "GDPC1_quarterly.csv", text))
    assert rows(table, "value", "publication_date") == [(100.9, date(2020, 1, 30)), (101.5, date(2020, 3, 26))]


def test_a_series_without_a_rule_needs_its_own_publication_dates(tmp_path: Path) -> None:
    with pytest.raises(MacroFileError, match=r"HOUST_quarterly\.csv.*no publication rule"):
        load_macro(write(tmp_path, "HOUST_quarterly.csv", "observation_date,HOUST\n2020-01-01,1\n"))
    text = "observation_date,HOUST,publication_date\n2020-01-01,1,2020-04-16\n"
    assert load_macro(write(tmp_path, "HOUST_quarterly.csv", text)).num_rows == 1


def test_the_batch_changes_with_the_content_and_only_with_it(tmp_path: Path) -> None:
    first = load_macro(write(tmp_path, "UNRATE_quarterly.csv", "observation_date,UNRATE\n2020-01-01,3.5\n"))
    again = load_macro(tmp_path)
    other = load_macro(write(tmp_path, "UNRATE_quarterly.csv", "observation_date,UNRATE\n2020-01-01,3.6\n"))
    assert first.equals(again)
    assert first["_batch"][0].as_py() != other["_batch"][0].as_py()
    assert len(first["_batch"][0].as_py()) == 12


@pytest.mark.parametrize(
    ("name", "text", "column", "says"),
    [
        ("UNRATE_quarterly.csv", "DATE,UNRATE\n2020-01-01,3\n", "observation_date", "missing; the header holds DATE"),
        ("UNRATE_quarterly.csv", "observation_date,VALUE\n2020-01-01,3\n", "UNRATE", "missing"),
        ("UNRATE_quarterly.csv", "observation_date,UNRATE\n2020-01-01,3\n2020-04-01,n/k\n", "UNRATE", "line 3: 'n/k'"),
        ("UNRATE_quarterly.csv", "observation_date,UNRATE\n01/04/2020,3\n", "observation_date", "is no date"),
        ("UNRATE_quarterly.csv", "observation_date,UNRATE\n2020-02-30,3\n", "observation_date", "is no date"),
        ("UNRATE_quarterly.csv", "observation_date,UNRATE\n2020-02-01,3\n", "observation_date", "opens no period"),
        ("UNRATE_monthly.csv", "observation_date,UNRATE\n2020-02-11,3\n", "observation_date", "opens no period"),
        (
            "UNRATE_monthly.csv",
            "observation_date,UNRATE\n2020-02-01,3\n2020-02-01,4\n",
            "observation_date",
            "stands twice",
        ),
        (
            "UNRATE_monthly.csv",
            "observation_date,UNRATE,publication_date\n2020-02-01,3,2020-01-31\n",
            "publication_date",
            "line 2: '2020-01-31' lies before",
        ),
        ("UNRATE_quarterly.csv", "", "observation_date", "not a readable CSV"),
        (
            "UNRATE_quarterly.csv",
            "observation_date,UNRATE\n2020-01-01,3,9,9\n",
            "observation_date",
            "not a readable CSV",
        ),
    ],
)
def test_a_bad_file_is_refused_with_file_column_and_line(
    tmp_path: Path, name: str, text: str, column: str, says: str
) -> None:
    with pytest.raises(MacroFileError, match=says) as refusal:
        load_macro(write(tmp_path, name, text))
    assert (refusal.value.file, refusal.value.column) == (name, column)


def test_bytes_that_are_no_text_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "UNRATE_quarterly.csv").write_bytes(b"\x1f\x8b\xff\x00")
    with pytest.raises(MacroFileError, match=r"UNRATE_quarterly\.csv"):
        load_macro(tmp_path)


def test_a_folder_without_series_is_not_an_empty_economy(tmp_path: Path) -> None:
    with pytest.raises(MacroFileError, match="no <SERIES>_quarterly"):
        load_macro(tmp_path / "nowhere")


def test_one_series_in_two_frequencies_is_ambiguous(tmp_path: Path) -> None:
    for frequency in ("quarterly", "monthly"):
        write(tmp_path, f"UNRATE_{frequency}.csv", "observation_date,UNRATE\n2020-01-01,3\n")
    with pytest.raises(MacroFileError, match="keep one"):
        load_macro(tmp_path)


# ------------------------------------------------------------------------------------------ bundled and real data


def test_the_bundled_economy_says_that_it_is_synthetic_and_covers_every_vintage() -> None:
    table = load_macro(None)
    assert table.schema.metadata is not None
    assert table.schema.metadata[b"source"] == b"synthetic"
    assert table.equals(load_macro(None))
    spans = duckdb.from_arrow(table).query(
        "macro",
        """select series_id, min(observation_date), max(observation_date), count(distinct observation_date)
        from macro group by series_id order by series_id""",
    )
    quarters = (date(2005, 1, 1), date(2026, 4, 1), 86)
    assert spans.fetchall() == [(series, *quarters) for series in sorted(PUBLICATION_RULES)]


def test_the_bundled_economy_has_one_restated_value_to_test_point_in_time_joins_on() -> None:
    restated = duckdb.from_arrow(load_macro(None)).query(
        "macro",
        """select list(publication_date order by publication_date), count(distinct value)
        from macro group by series_id, observation_date having count(*) > 1""",
    )
    assert restated.fetchall() == [([date(2020, 1, 10), date(2021, 1, 8)], 2)]


@pytest.mark.parametrize("bundled", [True, False])
def test_no_value_is_public_before_its_period_is_over(datasets: Path, bundled: bool) -> None:
    table = load_macro(None if bundled else datasets / "macro")
    early = duckdb.from_arrow(table).query(
        "macro",
        """select * from macro where publication_date < observation_date + interval 3 month - interval 1 day
            or publication_date > observation_date + interval 5 month and vintage_date <> date '2021-01-08'
        """,
    )
    assert early.fetchall() == []


def test_freds_own_files_load_with_their_blanks_counted(datasets: Path) -> None:
    table = load_macro(datasets / "macro")
    counts = duckdb.from_arrow(table).query("macro", "select series_id, count(*) from macro group by series_id")
    assert dict(counts.fetchall()) == {"CPIAUCSL": 145, "FEDFUNDS": 285, "GDPC1": 317, "UMCSENT": 284, "UNRATE": 313}
    assert (
        table.schema.metadata[b"blank_rows"] == b'{"CPIAUCSL": 0, "FEDFUNDS": 0, "GDPC1": 0, "UMCSENT": 9, "UNRATE": 1}'
    )
