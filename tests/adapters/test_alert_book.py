"""The alert book: told once, cleared once, nothing lost when a process is killed, nothing told twice by two at once."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from credit_risk_platform.adapters.alerting.book import AlertBook
from credit_risk_platform.adapters.alerting.channels import ChannelError
from credit_risk_platform.domain.alerts import AlertRule, Finding, Message, Severity
from credit_risk_platform.settings import PROJECT_ROOT

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SLOW = Finding("rule/high_api_latency", Severity.WARNING, "API p95 is 412 ms", {"value": 412.0}, "http://ui/x")
LATENCY = AlertRule("high_api_latency", "api_latency_p95", 200, 5 * MINUTE, Severity.WARNING)


@dataclass
class Notebook:
    """A channel that keeps what it is sent, and fails with the next of `errors`."""

    name: str = "notebook"
    least: Severity = Severity.INFO
    got: list[Message] = field(default_factory=list)
    errors: list[ChannelError] = field(default_factory=list)

    def send(self, message: Message) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.got.append(message)

    @property
    def told(self) -> list[str]:
        return [f"{message.kind} {message.finding.title}" for message in self.got]


@pytest.fixture
def book(tmp_path: Path) -> AlertBook:
    return AlertBook(tmp_path)


def test_a_fault_is_told_once_cleared_once_and_told_again_when_it_comes_back(book: AlertBook) -> None:
    channel = Notebook()
    for minute in range(3):
        now = NOON + minute * MINUTE
        book.report([Finding(SLOW.key, SLOW.severity, f"p95 {minute}", {"value": minute})], [], now)
        book.deliver([channel], now)
    assert channel.told == ["fired p95 0"]
    assert [(row["title"], row["facts"], row["opened_at"][:16]) for row in book.open_incidents()] == [
        ("p95 2", {"value": 2}, "2026-11-21T12:00")
    ]
    for minute in (3, 4):
        book.report([], [SLOW.key, "rule/never_fired"], NOON + minute * MINUTE)
        book.deliver([channel], NOON + minute * MINUTE)
    assert channel.told == ["fired p95 0", "cleared p95 2"]
    assert book.open_incidents() == []
    book.report([SLOW], [], NOON + 5 * MINUTE)
    book.deliver([channel], NOON + 5 * MINUTE)
    first, cleared, second = channel.got
    assert first.incident == cleared.incident != second.incident
    assert (second.kind, second.finding, second.at) == ("fired", SLOW, NOON + 5 * MINUTE)
    assert [row["cleared_at"] is None for row in book.history(NOON)] == [True, False]
    assert len(book.history(NOON + 4 * MINUTE)) == 1


def test_what_is_in_neither_list_stays_open_and_in_both_is_refused(book: AlertBook) -> None:
    book.report([SLOW], [], NOON)
    book.report([], [], NOON)
    assert len(book.open_incidents()) == 1
    with pytest.raises(ValueError, match="rule/high_api_latency: reported as firing and as healthy"):
        book.report([SLOW], [SLOW.key], NOON)


def test_a_one_off_is_told_once_for_ever(book: AlertBook) -> None:
    channel = Notebook()
    risky = Finding("application/ab12", Severity.INFO, "High-risk application", one_off=True)
    for minute in range(2):
        book.report([risky], [], NOON + minute * MINUTE)
        book.report([], [risky.key], NOON + minute * MINUTE)
    book.deliver([channel], NOON)
    assert channel.told == ["fired High-risk application"]
    assert book.open_incidents() == []
    assert len(book.history(NOON)) == 1


def test_an_alert_that_gets_worse_reaches_those_who_are_woken_for_it(book: AlertBook) -> None:
    pager = Notebook("pager", Severity.CRITICAL)
    worse = Finding(SLOW.key, Severity.CRITICAL, "API p95 is 9000 ms")
    for finding in (SLOW, worse, SLOW):
        book.report([finding], [], NOON)
    book.report([], [SLOW.key], NOON)
    book.deliver([pager], NOON)
    assert pager.told == ["fired API p95 is 9000 ms", "cleared API p95 is 412 ms"]


def test_severity_decides_who_is_told(book: AlertBook) -> None:
    channels = [Notebook(severity.value, severity) for severity in Severity]
    for severity in Severity:
        book.report([Finding(f"run/{severity}", severity, severity.value)], [], NOON)
    book.deliver(channels, NOON)
    assert [len(channel.got) for channel in channels] == [3, 2, 1]


def test_a_channel_that_fails_is_tried_again_and_holds_up_no_other(book: AlertBook) -> None:
    broken, fine = Notebook("broken", errors=[ChannelError("away")]), Notebook("fine")
    book.report([SLOW, Finding("run/score", Severity.INFO, "failed")], [], NOON)
    first = book.deliver([broken, fine], NOON)
    assert (first.sent, first.failed, first.errors) == (2, 1, {"broken": "away"})  # the second message was not tried
    assert book.waiting() == [
        {"channel": "broken", "messages": 2, "oldest": NOON.isoformat(timespec="microseconds"), "attempts": 1,
         "last_error": "away"}
    ]  # fmt: skip
    assert book.deliver([broken, fine], NOON).sent == 2
    assert broken.told == fine.told == ["fired API p95 is 412 ms", "fired failed"]
    assert book.waiting() == []


def test_one_refused_message_holds_up_no_other(book: AlertBook) -> None:
    channel = Notebook(errors=[ChannelError("no such form", refused=True)])
    book.report([SLOW, Finding("run/score", Severity.INFO, "failed")], [], NOON)
    assert (book.deliver([channel], NOON).sent, channel.told) == (1, ["fired failed"])


def test_a_receiver_that_asks_to_wait_is_left_alone_until_then(book: AlertBook) -> None:
    channel = Notebook(errors=[ChannelError("slow down", retry_after=90)])
    book.report([SLOW, Finding("run/score", Severity.INFO, "failed")], [], NOON)
    sent = [book.deliver([channel], NOON + seconds * timedelta(seconds=1)).sent for seconds in (0, 60, 89, 90)]
    assert sent == [0, 0, 0, 2]


def test_a_new_channel_is_not_told_old_news_and_a_week_is_the_longest_wait(book: AlertBook) -> None:
    old, new = Notebook("old", errors=[ChannelError("away")]), Notebook("new")
    book.report([SLOW], [], NOON)
    book.deliver([old], NOON)
    book.deliver([old, new], NOON + timedelta(days=8))
    assert (old.got, new.got, book.waiting()) == ([], [], [])


def test_old_messages_are_forgotten_and_incidents_are_not(book: AlertBook) -> None:
    book.report([SLOW], [], NOON)
    book.deliver([Notebook()], NOON)
    for day, left in ((29, 1), (31, 0)):
        book.deliver([Notebook()], NOON + timedelta(days=day))
        with closing(sqlite3.connect(book.folder / "alerts.sqlite")) as tables:
            assert tables.execute("select count(*) from messages").fetchone() == (left,)
    assert len(book.open_incidents()) == 1


def test_a_rule_fires_after_its_duration_and_not_for_a_peak(book: AlertBook) -> None:
    at = {0: 300.0, 3: 300.0, 4: 100.0, 5: 300.0, 9: 300.0, 10: 300.0, 11: 150.0, 12: 300.0}
    held = {minute: book.held(LATENCY, value, NOON + minute * MINUTE) for minute, value in at.items()}
    assert [minute for minute, fires in held.items() if fires] == [10]


def test_a_gap_in_the_measurements_neither_fires_nor_clears(book: AlertBook) -> None:
    assert not book.held(LATENCY, None, NOON)
    assert not book.held(LATENCY, 300, NOON + MINUTE)
    assert not book.held(LATENCY, None, NOON + 7 * MINUTE)  # long enough, and nobody knows
    assert book.held(LATENCY, 300, NOON + 8 * MINUTE)
    assert book.held(LATENCY, None, NOON + timedelta(days=1))
    assert book.held(LATENCY, 300, NOON + timedelta(days=2))
    assert not book.held(LATENCY, 200, NOON + timedelta(days=2))
    assert not book.held(LATENCY, None, NOON + timedelta(days=2))


def test_two_looks_a_day_apart_do_not_make_five_minutes_of_breach(book: AlertBook) -> None:
    assert not book.held(LATENCY, 300, NOON)
    assert not book.held(LATENCY, 300, NOON + timedelta(days=1))
    assert book.held(LATENCY, 300, NOON + timedelta(days=1, minutes=5))


def test_a_rule_of_a_day_fires_on_a_metric_that_is_looked_at_daily(book: AlertBook) -> None:
    rule = AlertRule("drop", "auc_drop_vs_development", 0.05, timedelta(days=1), Severity.CRITICAL)
    assert [book.held(rule, 0.1, NOON + day * timedelta(days=1)) for day in (0, 1)] == [False, True]


def test_no_duration_fires_at_once(book: AlertBook) -> None:
    assert book.held(AlertRule("lag", "stream_lag_messages", 5, timedelta(), Severity.INFO), 6, NOON)


def test_a_cursor_outlives_its_process(book: AlertBook) -> None:
    assert book.cursor("runs") is None
    book.set_cursor("runs", "17")
    book.set_cursor("runs", "18")
    assert AlertBook(book.folder).cursor("runs") == "18"


def test_a_time_without_a_zone_is_refused(book: AlertBook) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        book.report([SLOW], [], datetime(2026, 11, 21))


# ---------------------------------------------------------------------------------------------- several processes

WORKER = """
import os, signal, sys, time
from datetime import UTC, datetime
from pathlib import Path
from credit_risk_platform.adapters.alerting.book import AlertBook
from credit_risk_platform.adapters.alerting.channels.file import FileChannel
from credit_risk_platform.domain.alerts import Finding, Severity

folder, what = Path(sys.argv[1]), sys.argv[2]
now = datetime(2026, 11, 21, 12, tzinfo=UTC)
book, channel = AlertBook(folder), FileChannel(folder / "sent.jsonl")

class DiesOnceSent:
    name, least = channel.name, channel.least
    def send(self, message):
        channel.send(message)
        os.kill(os.getpid(), signal.SIGKILL)

class TakesItsTime:
    name, least = channel.name, channel.least
    def send(self, message):
        time.sleep(0.005)
        channel.send(message)

if what == "report":
    book.report([Finding("run/score", Severity.CRITICAL, "failed")], [], now)
    os.kill(os.getpid(), signal.SIGKILL)
if what == "send":
    book.deliver([DiesOnceSent()], now)
if what == "race":
    print("ready", flush=True)
    sys.stdin.readline()
    for n in range(10):
        book.report([Finding(f"run/{n}", Severity.INFO, f"run {n}")], [], now)
        book.deliver([TakesItsTime()], now)
        book.set_cursor("race", str(n))
"""


def start(folder: Path, what: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER, str(folder), what]
    return subprocess.Popen(command, cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def killed(folder: Path, what: str) -> None:
    with start(folder, what) as process:
        assert process.wait(60) == -signal.SIGKILL


def test_a_process_killed_before_or_after_sending_loses_nothing(book: AlertBook) -> None:
    killed(book.folder, "report")
    killed(book.folder, "send")
    channel = Notebook("file")
    assert book.deliver([channel], NOON).sent == 1  # once more: it was sent, and the book could not know
    [again] = channel.got
    assert f'"incident": "{again.incident}"' in (book.folder / "sent.jsonl").read_text()
    assert book.deliver([channel], NOON).sent == 0


def test_processes_that_see_the_same_fault_tell_it_once(book: AlertBook) -> None:
    processes = [start(book.folder, "race") for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    rest = Notebook("file")
    book.deliver([rest], NOON)
    lines = (book.folder / "sent.jsonl").read_text().splitlines()
    told = [json.loads(line)["key"] for line in lines] + [message.finding.key for message in rest.got]
    assert sorted(told) == sorted(f"run/{n}" for n in range(10))
    assert len(book.open_incidents()) == 10
    assert book.cursor("race") == "9"
