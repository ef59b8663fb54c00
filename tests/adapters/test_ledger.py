"""The score ledger: nothing is lost, nothing comes twice, and no change goes unseen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from credit_risk_platform.adapters.code_version import code_hash, git_commit
from credit_risk_platform.adapters.ledger import (
    LEDGER,
    LEDGER_COLUMNS,
    SCORES,
    SEALS,
    LedgerError,
    ScoreConflictError,
    ScoreLedger,
    UnknownScoreError,
    content_version,
    seal_of,
)
from credit_risk_platform.adapters.ledger_audit import verify
from credit_risk_platform.adapters.ledger_writer import Tail, Written, append, hashed, held, write_scores
from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.domain import provenance
from tests.scoring_book import BANDS, DAY, Book, batches, crown, make_book, stamp, train, write_policies

TOMORROW = DAY + timedelta(days=1)
ANCHORLESS = "no anchor: what the ledger alone can tell"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    book = make_book(tmp_path_factory.mktemp("book"), loans=900)
    yield book
    book.close()


@pytest.fixture
def book(pristine: Book) -> Book:
    """The module's marts and champion, with an empty ledger."""
    reset(pristine)
    return pristine


def reset(book: Book) -> None:
    for table in (SCORES, LEDGER, SEALS):
        execute(book, f"drop table if exists {table}")


def execute(book: Book, sql: str) -> None:
    """What a tamperer with a SQL prompt would do."""
    with book.warehouse.transaction() as transaction:
        transaction._cursor.execute(sql)


def write(book: Book, as_of: date = DAY, run_id: str = "run-1", loans: int | None = None) -> Written:
    return write_scores(book.warehouse, batches(book.scores(as_of, loans)), as_of, stamp(run_id))


def ids(book: Book, where: str = "true") -> list[str]:
    rows = book.warehouse.query(f"select score_id from {LEDGER} where {where} order by seal_no, score_id")
    return list(rows["score_id"].to_pylist())


# -------------------------------------------------------------------- writing


def test_scores_ledger_and_seal_are_written_together(book: Book) -> None:
    written = write(book)
    assert (written.rows, written.appended) == (900, 900)
    assert book.warehouse.count(SCORES) == book.warehouse.count(LEDGER) == 900
    assert book.warehouse.count(SEALS) == 1
    differing = f"select count(*) as n from {SCORES} anti join {LEDGER} using (score_id, pd, points, band, loan_id)"
    assert book.warehouse.query(differing)["n"].to_pylist() == [0]
    assert book.warehouse.columns(LEDGER) == {name: kind.upper() for name, kind in LEDGER_COLUMNS.items()}


def test_every_hash_in_the_tables_is_what_plain_python_computes(book: Book) -> None:
    """The SQL that hashes millions of rows and the documented definition are held together here."""
    for day in (DAY, TOMORROW):
        write(book, day)
    previous = provenance.GENESIS
    for seal_row in book.warehouse.query(f"select * from {SEALS} order by seal_no").to_pylist():
        rows = book.warehouse.query(
            f"select * from {LEDGER} where seal_no = ? order by score_id", [seal_row["seal_no"]]
        ).to_pylist()
        before = previous
        for row in rows:
            assert row["inputs_hash"] == provenance.inputs_hash(row["numeric_inputs"], row["categorical_inputs"])
            assert row["score_id"] == provenance.score_id(row)
            assert row["prev_hash"] == before
            before = provenance.content_hash(row)
            assert row["row_hash"] == provenance.row_hash(before, row["prev_hash"])
        seal = seal_of(seal_row)
        assert (seal.rows, seal.previous) == (len(rows), previous)
        assert seal.digest == provenance.batch_digest({row["score_id"]: row["row_hash"] for row in rows})
        assert seal.seal_hash == seal_row["seal_hash"]
        previous = seal.seal_hash


def test_a_big_batch_is_digested_in_buckets_as_documented(book: Book) -> None:
    """From 4,097 rows on the digest is over buckets; the same in SQL and in Python."""
    scores = book.scores(DAY)
    rows = np.arange(5_000) % scores.num_rows
    many = scores.take(rows).set_column(0, "loan_id", [[f"M{k}" for k in range(5_000)]])
    written = write_scores(book.warehouse, batches(many), DAY, stamp())
    hashes = book.warehouse.query(f"select score_id, row_hash from {LEDGER}").to_pylist()
    assert written.seal is not None
    assert written.seal.digest == provenance.batch_digest({row["score_id"]: row["row_hash"] for row in hashes})
    assert verify(book.warehouse).intact


def test_running_a_partition_again_appends_nothing_and_changes_nothing(book: Book) -> None:
    write(book)
    before = book.warehouse.query(f"select * from {LEDGER} order by score_id")
    again = write(book, run_id="run-2")
    assert (again.rows, again.appended, again.seal) == (900, 0, None)
    assert book.warehouse.query(f"select * from {LEDGER} order by score_id").equals(before)
    assert book.warehouse.count(SEALS) == 1


def test_a_day_and_its_neighbours_do_not_touch_each_other(book: Book) -> None:
    write(book, DAY)
    write(book, TOMORROW)
    write(book, DAY, loans=100)
    per_day = f"select as_of, count(*) as n from {SCORES} group by as_of order by as_of"
    assert book.warehouse.query(per_day)["n"].to_pylist() == [100, 900]
    assert book.warehouse.count(LEDGER) == 1800, "the ledger keeps the scores that were taken out of the partition"


def test_a_new_champion_adds_its_scores_and_the_old_ones_stay(book: Book) -> None:
    write(book)
    old, former = book.bundles.pointer(), ids(book)
    assert old is not None
    crown(book, train(book, seed=1))
    assert write(book).appended == 900
    assert book.warehouse.count(LEDGER) == 1800
    assert set(former) <= set(ids(book))
    current = f"select distinct bundle_sha from {SCORES}"
    assert book.warehouse.query(current)["bundle_sha"].to_pylist() == [book.champion.sha256]
    crown(book, book.bundles.load(old.sha))
    assert write(book).appended == 0, "rolled back: those scores are in the ledger already"
    assert verify(book.warehouse).intact


def test_a_new_policy_version_adds_scores_and_the_old_ones_keep_their_band(book: Book) -> None:
    write(book)
    stricter = [(name, lower / 2, upper if upper > 1 else upper / 2) for name, lower, upper in BANDS]
    policies = [("2007.1", date(2007, 1, 1), BANDS), ("2026.1", DAY, stricter)]
    write_policies(book, policies)
    try:
        assert write(book).appended == 900
    finally:
        write_policies(book, policies[:1])
    versions = (
        f"select policy_version, count(distinct band) as bands, count(*) as n from {LEDGER} group by 1 order by 1"
    )
    assert [(row["policy_version"], row["n"]) for row in book.warehouse.query(versions).to_pylist()] == [
        ("2007.1", 900),
        ("2026.1", 900),
    ]


def test_the_content_version_depends_on_the_scores_and_not_on_the_run(book: Book) -> None:
    write(book, run_id="run-1")
    first = [content_version(book.warehouse, table, DAY) for table in (SCORES, LEDGER)]
    for table in (SCORES, LEDGER, SEALS):
        execute(book, f"drop table {table}")
    write(book, run_id="another run")
    assert [content_version(book.warehouse, table, DAY) for table in (SCORES, LEDGER)] == first
    assert content_version(book.warehouse, SCORES, TOMORROW) != first[0]


def test_scores_that_differ_under_the_same_bundle_are_refused(book: Book) -> None:
    """Somebody edited the scoring code and not the version: the ledger must not hold two truths."""
    write(book)
    scores = book.scores()
    nudged = scores.set_column(3, "pd", [np.nextafter(scores["pd"].to_numpy(), 1)])
    with pytest.raises(ScoreConflictError, match="the scoring code or the policy was changed"):
        write_scores(book.warehouse, batches(nudged), DAY, stamp())
    assert book.warehouse.count(LEDGER) == 900
    assert content_version(book.warehouse, SCORES, DAY) == content_version(book.warehouse, LEDGER, DAY)


def appended(book: Book, scores: pa.Table, tail: Tail, known: pa.Table | None = None) -> int:
    """Rows that were new to the ledger."""
    with book.warehouse.transaction({"scored": hashed(batches(scores), stamp())}) as transaction:
        seal = append(transaction, stamp(), tail=tail, known=known)
    return seal.rows if seal else 0


def test_what_was_looked_up_beforehand_keeps_a_score_from_standing_twice(book: Book) -> None:
    tail, few, more = Tail(), book.scores(loans=5), book.scores(loans=9)
    assert appended(book, few, tail) == 5
    known = held(book.warehouse, DAY, more["loan_id"])
    assert known.num_rows == 5
    assert appended(book, more, tail, known) == 4
    assert appended(book, more, tail, held(book.warehouse, DAY, more["loan_id"])) == 0
    assert held(book.warehouse, TOMORROW, more["loan_id"]).num_rows == 0
    nudged = few.set_column(few.schema.get_field_index("pd"), "pd", pc.multiply(few["pd"], 0.99))
    with pytest.raises(ScoreConflictError, match="the scoring code or the policy was changed"):
        appended(book, nudged, tail, known)
    assert len(ids(book)) == len(set(ids(book))) == 9
    assert verify(book.warehouse).intact


def test_what_was_looked_up_counts_no_more_once_another_has_written(book: Book) -> None:
    tail, scores = Tail(), book.scores(loans=9)
    appended(book, book.scores(loans=2), tail)
    known = held(book.warehouse, DAY, scores["loan_id"])
    write(book, loans=6)  # another process, meanwhile
    assert appended(book, scores, tail, known) == 3
    assert len(ids(book)) == len(set(ids(book))) == 9
    assert verify(book.warehouse).intact


def test_a_loan_that_comes_twice_is_refused_by_name(book: Book) -> None:
    scores = book.scores(loans=10)
    with pytest.raises(LedgerError, match="loan L000003 came 2 times"):
        write_scores(book.warehouse, batches(scores.take([0, 1, 3, 3])), DAY, stamp())
    assert not book.warehouse.exists(SCORES)


def test_an_empty_day_replaces_the_partition_and_appends_nothing(book: Book) -> None:
    write(book)
    written = write_scores(book.warehouse, iter(()), DAY, stamp())
    assert (written.rows, written.appended) == (0, 0)
    assert book.warehouse.count(SCORES) == 0
    assert book.warehouse.count(LEDGER) == 900
    assert verify(book.warehouse).intact


def test_several_days_written_at_once_by_threads_make_one_unbroken_chain(book: Book) -> None:
    days = [DAY + timedelta(days=k) for k in range(4)]
    threads = [threading.Thread(target=write, args=(book, day, f"run-{day}", 200)) for day in days]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    audit = verify(book.warehouse)
    assert (audit.seals, audit.rows, audit.intact) == (4, 800, True)


def test_a_scorer_that_is_killed_leaves_neither_scores_nor_ledger_rows(book: Book) -> None:
    write(book, loans=50)
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from credit_risk_platform.adapters import ledger_writer\n"
        "from tests.scoring_book import *\n"
        "home = Path(sys.argv[1])\n"
        "book = open_book(home)\n"
        "whole = ledger_writer._seal_table\n"
        "def stall(seal):\n"
        "    if seal is not None:\n"
        "        print('rows are written, the seal is not', flush=True)\n"
        "        time.sleep(600)\n"
        "    return whole(seal)\n"
        "ledger_writer._seal_table = stall\n"
        "ledger_writer.write_scores(book.warehouse, batches(book.scores()), DAY, stamp('killed'))\n"
    )
    scorer = subprocess.Popen([sys.executable, "-c", script, str(book.home)], stdout=subprocess.PIPE, cwd=Path.cwd())
    assert scorer.stdout is not None
    assert scorer.stdout.readline() == b"rows are written, the seal is not\n"
    os.kill(scorer.pid, signal.SIGKILL)
    scorer.wait()
    scorer.stdout.close()
    assert book.warehouse.count(SCORES) == book.warehouse.count(LEDGER) == 50
    assert write(book).appended == 850
    assert verify(book.warehouse).intact


# -------------------------------------------------------------------- finding


def test_a_score_is_found_by_its_id_or_the_beginning_of_it(book: Book) -> None:
    write(book)
    ledger, some = ScoreLedger(book.warehouse), ids(book)[7]
    assert ledger.find(some)["score_id"] == ledger.find(some[:10])["score_id"] == some


def test_an_unknown_score_id_comes_with_the_nearest_ones(book: Book) -> None:
    write(book)
    some = ids(book)[7]
    mistyped = some[:-1] + ("0" if some[-1] != "0" else "1")
    with pytest.raises(UnknownScoreError, match="Did you mean") as caught:
        ScoreLedger(book.warehouse).find(mistyped)
    assert caught.value.near[0] == some


def test_a_loan_id_in_the_place_of_a_score_id_lists_that_loan_s_scores(book: Book) -> None:
    write(book)
    write(book, TOMORROW)
    with pytest.raises(UnknownScoreError, match="That is a loan") as caught:
        ScoreLedger(book.warehouse).find("L000003")
    assert len(caught.value.near) == 2


def test_a_ledger_that_is_not_there_yet_says_what_to_materialise(book: Book) -> None:
    with pytest.raises(UnknownScoreError, match="materialise gold/portfolio_scores first"):
        ScoreLedger(book.warehouse).find("abc")


def test_a_sample_is_the_same_for_the_same_seed(book: Book) -> None:
    write(book)
    ledger = ScoreLedger(book.warehouse)
    assert ledger.sample(5, seed=1) == ledger.sample(5, seed=1) != ledger.sample(5, seed=2)


# -------------------------------------------------------------------- tampering


@pytest.fixture(scope="module")
def kept(pristine: Book) -> Book:
    """Three sealed batches of 200 scores, put aside."""
    reset(pristine)
    for k in range(3):
        write(pristine, DAY + timedelta(days=k), run_id=f"run-{k}", loans=200)
    for table in (LEDGER, SEALS):
        pristine.warehouse.replace_table(f"{table}_kept", Select(f"select * from {table}"))
    return pristine


@pytest.fixture
def chained(kept: Book) -> Book:
    """The three batches, fresh for each tamperer."""
    for table in (LEDGER, SEALS):
        kept.warehouse.replace_table(table, Select(f"select * from {table}_kept"))
    return kept


def test_an_untouched_ledger_is_intact(chained: Book) -> None:
    audit = verify(chained.warehouse)
    assert (audit.seals, audit.rows, audit.rows_checked, audit.breaks) == (3, 600, 600, ())


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("pd", "pd * (1 + 4e-16)"),
        ("band", "'Very Low'"),
        ("numeric_inputs", "list_transform(numeric_inputs, lambda x: coalesce(x, 0) + 1)"),
        ("categorical_inputs", "['boat']"),
        ("inputs_hash", "sha256('')"),
        ("upstream", "'[1]'"),
        ("subject_token", "'somebody else'"),
        ("known_at", "known_at - interval 1 microsecond"),
        ("bundle_sha", "sha256('')"),
        ("reasons", "['because']"),
        ("kafka_offset", "7"),
        ("run_id", "'another'"),
        ("prev_hash", "sha256('')"),
        ("row_hash", "sha256('')"),
    ],
)
def test_a_changed_value_is_found_and_the_row_is_named(chained: Book, column: str, value: str) -> None:
    victim = ids(chained, "seal_no = 2")[50]
    execute(chained, f"update {LEDGER} set {column} = {value} where score_id = '{victim}'")
    audit = verify(chained.warehouse)
    assert (audit.breaks[0].seal_no, audit.breaks[0].score_id) == (2, victim)


@pytest.mark.parametrize("position", [0, 50, 199])
def test_a_deleted_row_is_found_wherever_it_stood(chained: Book, position: int) -> None:
    rows = ids(chained, "seal_no = 2")
    execute(chained, f"delete from {LEDGER} where score_id = '{rows[position]}'")
    audit = verify(chained.warehouse)
    assert any("199 rows are there, 200 were sealed" in found.what for found in audit.breaks)
    assert audit.breaks[0].seal_no == 2
    if position < 199:
        assert audit.breaks[0].score_id == rows[position + 1], "the row that lost the one before it"


def test_a_row_made_up_with_a_matching_hash_is_found(chained: Book) -> None:
    """The forger knows the scheme and chains his row to its neighbour; the seal still does not count it."""
    row = chained.warehouse.query(f"select * from {LEDGER} where seal_no = 2 order by score_id limit 1").to_pylist()[0]
    forged = {**row, "loan_id": "forged", "score_id": "f" * 32, "run_id": "forged"}
    last = chained.warehouse.query(f"select * from {LEDGER} where seal_no = 2 order by score_id desc limit 1")
    forged["prev_hash"] = provenance.content_hash(last.to_pylist()[0])
    forged["row_hash"] = provenance.row_hash(provenance.content_hash(forged), forged["prev_hash"])
    with chained.warehouse.transaction() as transaction:
        transaction.append(LEDGER, last.schema.empty_table().from_pylist([forged], last.schema))
    audit = verify(chained.warehouse)
    assert "201 rows are there, 200 were sealed" in audit.breaks[0].what


def test_a_row_outside_every_seal_is_found(chained: Book) -> None:
    for seal_no in ("99", "null"):
        victim = ids(chained, "seal_no = 3")[0]
        execute(chained, f"update {LEDGER} set seal_no = {seal_no} where score_id = '{victim}'")
        audit = verify(chained.warehouse)
        assert any(found.score_id == victim and "belongs to no seal" in found.what for found in audit.breaks)


def test_a_rewritten_batch_with_a_rewritten_seal_breaks_the_seal_after_it(chained: Book) -> None:
    execute(chained, f"update {SEALS} set digest = sha256('forged'), seal_hash = sha256('forged') where seal_no = 2")
    audit = verify(chained.warehouse, max_rows=200)
    assert [found.seal_no for found in audit.breaks if found.score_id is None][:2] == [2, 3]


def test_a_deleted_seal_is_found(chained: Book) -> None:
    execute(chained, f"delete from {SEALS} where seal_no = 2")
    found = verify(chained.warehouse).breaks
    assert any(one.seal_no == 3 and "a seal was deleted" in one.what for one in found)


def test_cutting_off_the_newest_batch_is_found_by_who_remembers_its_seal(chained: Book) -> None:
    head = verify(chained.warehouse).head
    execute(chained, f"delete from {SEALS} where seal_no = 3")
    execute(chained, f"delete from {LEDGER} where seal_no = 3")
    assert verify(chained.warehouse).intact, ANCHORLESS
    remembered = verify(chained.warehouse, anchors={3: head})
    assert "the run log remembers it" in remembered.breaks[0].what
    for table in (LEDGER, SEALS):
        execute(chained, f"drop table {table}")
    assert not verify(chained.warehouse, anchors={3: head}).intact


def test_a_limited_audit_checks_the_newest_rows_and_every_seal(chained: Book) -> None:
    old, new = ids(chained, "seal_no = 1")[0], ids(chained, "seal_no = 3")[0]
    for max_rows, checked in ((0, 200), (200, 200), (399, 200), (400, 400), (None, 600)):
        assert verify(chained.warehouse, max_rows=max_rows).rows_checked == checked
    execute(chained, f"update {LEDGER} set band = 'x' where score_id = '{old}'")
    assert verify(chained.warehouse, max_rows=200).intact
    assert not verify(chained.warehouse).intact
    execute(chained, f"update {LEDGER} set band = 'x' where score_id = '{new}'")
    assert verify(chained.warehouse, max_rows=200).breaks[0].score_id == new


# -------------------------------------------------------------------- which code


def test_the_code_hash_moves_with_the_scoring_code_and_with_nothing_else(tmp_path: Path) -> None:
    for name in ("domain/scoring.py", "domain/models/base.py", "domain/bundle.py", "domain/calibration.py", "cli.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    before = code_hash(tmp_path)
    (tmp_path / "cli.py").write_text("2")
    code_hash.cache_clear()
    assert code_hash(tmp_path) == before
    (tmp_path / "domain/models/base.py").write_text("2")
    code_hash.cache_clear()
    assert code_hash(tmp_path) != before


def test_the_commit_is_git_s_own_and_none_outside_a_clone(tmp_path: Path) -> None:
    assert git_commit(tmp_path / "nowhere") is None
    repository = tmp_path / "clone"
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-C", str(repository)]
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    git_commit.cache_clear()
    assert git_commit(repository) is None, "before the first commit"
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    expected = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    for change in ([], ["pack-refs", "--all"], ["checkout", "-q", "--detach"]):
        if change:
            subprocess.run([*git, *change], check=True)
        git_commit.cache_clear()
        assert git_commit(repository) == expected
    subprocess.run([*git, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side")], check=True)
    assert git_commit(tmp_path / "side") == expected
