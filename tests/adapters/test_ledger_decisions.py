"""Decisions in the ledger: what was told to an applicant cannot be told differently under the same versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
import pytest

from credit_risk_platform.adapters import portfolio_figures
from credit_risk_platform.adapters.ledger import LEDGER, SCORES, SEALS, ScoreConflictError, content_version
from credit_risk_platform.adapters.ledger_audit import verify
from credit_risk_platform.adapters.ledger_writer import Written, write_scores
from credit_risk_platform.domain.scoring import score
from tests.scoring_book import DAY, Book, batches, make_book, stamp

LOANS = 300


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    book = make_book(tmp_path_factory.mktemp("book"), LOANS)
    yield book
    book.close()


@pytest.fixture
def book(pristine: Book) -> Book:
    for table in (SCORES, LEDGER, SEALS):
        execute(pristine, f"drop table if exists {table}")
    return pristine


def execute(book: Book, sql: str) -> None:
    with book.warehouse.transaction() as transaction:
        transaction._cursor.execute(sql)


def write(book: Book, scores: pa.Table, run_id: str = "run-1") -> Written:
    return write_scores(book.warehouse, batches(scores), DAY, stamp(run_id))


def test_decision_and_reasons_are_in_the_ledger_and_in_its_hashes(book: Book) -> None:
    scores = book.scores()
    write(book, scores)
    kept = book.warehouse.query(f"select decision, reasons from {LEDGER} order by loan_id")
    assert kept["decision"].to_pylist() == scores["decision"].to_pylist()
    assert kept["reasons"].to_pylist() == scores["reasons"].to_pylist()
    assert "rules" not in book.warehouse.columns(LEDGER)
    assert book.warehouse.query(f"select rules from {SCORES} order by loan_id")["rules"].to_pylist() == (
        scores["rules"].to_pylist()
    )
    assert verify(book.warehouse).intact
    execute(book, f"update {LEDGER} set decision = 'approve' where loan_id = 'L000007'")
    assert "a value in it was changed" in verify(book.warehouse).breaks[0].what


@pytest.mark.parametrize(("column", "other"), [("decision", "approve"), ("reasons", ["AA04"])])
def test_another_decision_or_other_reasons_under_the_same_versions_are_refused(
    book: Book, column: str, other: object
) -> None:
    """An edited cut-off under an old version name: two applicants who are alike must not be told two things."""
    scores = book.scores()
    write(book, scores)
    values = scores[column].to_pylist()
    first = next(row for row, value in enumerate(values) if value not in (None, other))
    values[first] = other
    place, kind = scores.column_names.index(column), scores.schema.field(column).type
    rewritten = scores.set_column(place, column, pa.array(values, kind))
    with pytest.raises(ScoreConflictError, match=f"with {column} .* the policy was changed without a new version"):
        write(book, rewritten)
    assert book.warehouse.count(LEDGER) == LOANS


def test_a_home_from_before_there_were_decisions_scores_on(book: Book) -> None:
    """Its scores have no such columns and its ledger holds null; neither stops a run, and the old rows stay sealed."""
    features = book.warehouse.query("select * from gold.application_features")
    write(book, score(book.champion, features, DAY, book.policy().bands))
    undecided = content_version(book.warehouse, SCORES, DAY)
    for name in ("decision", "reasons", "rules"):
        execute(book, f"alter table {SCORES} drop column {name}")
    written = write(book, book.scores(), "run-2")
    assert (written.rows, written.appended) == (LOANS, 0)
    decided = book.warehouse.query(f"select count(decision) as n, count(rules) as ruled from {SCORES}").to_pylist()
    assert decided == [{"n": LOANS, "ruled": LOANS}]
    assert content_version(book.warehouse, SCORES, DAY) != undecided
    assert book.warehouse.query(f"select count(decision) as n from {LEDGER}")["n"].to_pylist() == [0]
    assert verify(book.warehouse).intact


def test_the_mix_of_decisions_and_the_counts_of_reasons_add_up(book: Book) -> None:
    scores = book.scores()
    write(book, scores)
    mix = portfolio_figures.decision_mix(book.warehouse, DAY)
    assert {row["decision"]: row["loans"] for row in mix} == dict(Counter(scores["decision"].to_pylist()))
    assert sum(row["share"] for row in mix) == pytest.approx(1)
    for column in ("reasons", "rules"):
        expected = Counter(code for codes in scores[column].to_pylist() for code in codes or ())
        assert portfolio_figures.told(book.warehouse, DAY, column) == dict(expected)


FAULTS = {
    "reasons = null": "wrong_number",
    "reasons = []": "wrong_number",
    "reasons = ['AA04', 'AA04']": "wrong_number",
    "reasons = ['AA01', 'AA04', 'AA10', 'AA13', 'AA26']": "wrong_number",
    "reasons = [null]": "wrong_number",
    "reasons = ['AA26']": "unknown_reason",
    "decision = null": "undecided",
    "decision = 'approve'": "approved_with_reasons",
}


def test_a_refusal_without_scored_reasons_is_counted_and_named(book: Book) -> None:
    write(book, book.scores())
    known = book.policy().known_reasons([feature.name for feature in book.champion.features])
    sound = portfolio_figures.unreasoned(book.warehouse, DAY, known, "AA21")
    assert sound == dict.fromkeys(sound, 0) | {"examples": []}
    sql = f"select * from {SCORES} where decision = 'decline' order by score_id limit 1"
    row = book.warehouse.query(sql)
    victim = row["score_id"][0].as_py()
    for edit, fault in FAULTS.items():
        execute(book, f"update {SCORES} set {edit} where score_id = '{victim}'")
        found = portfolio_figures.unreasoned(book.warehouse, DAY, known, "AA21")
        assert found == sound | {fault: 1, "examples": [victim]}, edit
    execute(book, f"update {SCORES} set decision = 'decline', reasons = ['AA01', 'AA04', 'AA10', 'AA13', 'AA21']")
    five = portfolio_figures.unreasoned(book.warehouse, DAY, [*known, "AA21"], "AA21")
    assert five == sound, "inquiries may stand fifth"
