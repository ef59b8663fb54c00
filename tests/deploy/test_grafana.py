"""The dashboards against a real Prometheus that scrapes a real API, a real stream exporter and node_exporter.

Grafana itself is not at hand: what it would ask is asked here, and the files are held to what it reads.
"""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from credit_risk_platform.adapters.kafka_ports import free_port
from credit_risk_platform.adapters.streaming.batch import BatchReport, Outcome
from credit_risk_platform.adapters.streaming.metrics import StreamMetrics, record
from credit_risk_platform.domain.contracts.messages import APPLICATIONS, REPAYMENTS
from credit_risk_platform.serving.schemas import EXAMPLE
from credit_risk_platform.settings import PROJECT_ROOT
from tests.api_server import home_settings, served
from tests.prometheus_server import DEPLOY, HOST, Prometheus, node_exporter, prometheus, tool, until
from tests.stream_book import new_home

GRAFANA = PROJECT_ROOT / "deploy" / "grafana"
BOARDS = {file.stem: json.loads(file.read_text()) for file in sorted((GRAFANA / "dashboards").glob("*.json"))}
SCHEMA = 39
DRAWN = ("timeseries", "stat", "gauge", "bargauge", "heatmap")
GRAFANAS_OWN = {"$__rate_interval": "10s", "$__range": "1m"}
QUERIES = [
    pytest.param(target, id=f"{name}: {panel['title']}, {target['refId']}")
    for name, board in BOARDS.items()
    for panel in board["panels"]
    for target in panel.get("targets", ())
]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Everything a dashboard asks about, at work: calls, batches of two topics, a run that left its file."""
    folder = tmp_path_factory.mktemp("watched")
    settings = home_settings(new_home(folder / "home"))
    for topic in (APPLICATIONS.topic, REPAYMENTS.topic):
        record(batch(topic, lag=700), settings.paths.metrics)
    stream, port = StreamMetrics(), free_port(HOST)
    with (
        served(settings) as client,
        stream.served(port),
        node_exporter(folder, settings.paths.metrics) as host,
        at_work(client, stream),
    ):
        targets = {"crp-api": client.base_url.netloc.decode(), "crp-stream": f"{HOST}:{port}", "crp-host": host}
        with prometheus(folder / "prometheus", targets) as server:
            until(lambda: server.up() == {*targets, "prometheus"}, lambda: f"scraped so far: {server.up()}")
            yield server


def batch(topic: str, lag: int) -> BatchReport:
    outcomes = {Outcome.SCORED: 4, Outcome.DEAD_LETTER: 1}
    return BatchReport(topic, (), 5, outcomes, {}, {"not_json": 1}, lag, 0.2, latencies_ms=[120.0] * 5)


@contextmanager
def at_work(client: Any, stream: StreamMetrics) -> Iterator[None]:
    """Calls, good and bad, and batches, until the end of the block."""
    ended, failures = threading.Event(), []

    def work() -> None:
        number = 0
        while not ended.wait(0.05):
            number += 1
            sound = {**EXAMPLE, "customer_id": f"C{number}", "annual_income": 20_000 + 977 * (number % 97)}
            codes = [client.post("/api/v1/predict", json=body).status_code for body in (sound, {"age": "old"})]
            if codes != [200, 422]:
                failures.append(codes)
            stream.observe(batch(APPLICATIONS.topic, lag=3))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert failures == []


# ------------------------------------------------------------------------------------------------- what they ask


@pytest.mark.parametrize("target", QUERIES)
def test_every_panel_has_something_to_show_and_its_legend_names_it(target: dict[str, Any], watched: Prometheus) -> None:
    promql = as_grafana_sends_it(target["expr"])
    until(lambda: watched.numbers(promql), lambda: f"nothing for {promql}")
    legend = set(re.findall(r"{{\s*(\w+)\s*}}", target["legendFormat"]))
    for labels, _ in watched.numbers(promql):
        assert legend <= labels.keys(), "the legend would have a gap"


def as_grafana_sends_it(promql: str) -> str:
    for name, value in GRAFANAS_OWN.items():
        promql = promql.replace(name, value)
    promql = re.sub(r"=~\"\$\w+\"", '=~".+"', promql)
    assert "$" not in promql, f"a variable this test does not know: {promql}"
    return promql


@pytest.mark.parametrize("name", BOARDS)
def test_every_choice_of_a_dashboard_offers_something(name: str, watched: Prometheus) -> None:
    for variable in BOARDS[name]["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()
            assert watched.ask(f"label/{label}/values", **{"match[]": metric}), variable["name"]


def test_a_topic_s_lag_is_the_fast_lane_s_where_one_runs_and_else_that_of_the_last_run(watched: Prometheus) -> None:
    (panel,) = [panel for panel in BOARDS["stream"]["panels"] if panel["title"] == "Lag"]
    shown = watched.numbers(as_grafana_sends_it(panel["targets"][0]["expr"]))
    assert {labels["topic"]: lag for labels, lag in shown} == {APPLICATIONS.topic: 3, REPAYMENTS.topic: 700}


def test_our_own_processes_tell_their_memory(watched: Prometheus) -> None:
    told = {labels["job"] for labels, _ in watched.numbers("process_resident_memory_bytes")}
    assert told >= {"crp-api", "crp-stream", "crp-host", "prometheus"}


# ------------------------------------------------------------------------------------------------- as files


@pytest.mark.parametrize("name", BOARDS)
def test_grafana_can_read_a_dashboard(name: str) -> None:
    board = BOARDS[name]
    assert board["schemaVersion"] >= SCHEMA
    assert board["title"]
    assert board["templating"]["list"][0]["name"] == "datasource"
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids)) > 5
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        assert not cells & taken, f"{panel['title']} lies on another panel"
        assert all(x < 24 for x, _ in cells), panel["title"]
        taken |= cells


@pytest.mark.parametrize("name", BOARDS)
def test_a_panel_says_what_it_shows_and_in_which_unit(name: str) -> None:
    for panel in BOARDS[name]["panels"]:
        if panel["type"] == "row":
            continue
        assert panel["type"] in DRAWN, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert len(panel["description"].split()) > 2, panel["title"]
        assert all(target["legendFormat"] for target in panel["targets"]), panel["title"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}, panel["title"]


def test_dashboards_do_not_take_each_other_s_place() -> None:
    uids = [board["uid"] for board in BOARDS.values()]
    assert len(set(uids)) == len(uids) == 3


def test_what_grafana_is_provisioned_with_is_what_lies_there() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/credit_risk.yml").read_text())["providers"]
    assert (source["type"], source["url"]) == ("prometheus", "${PROMETHEUS_URL}")
    assert (provider["type"], provider["options"]["path"]) == ("file", "${DASHBOARDS}")


@pytest.mark.parametrize("arguments", [("check", "config", "prometheus.yml"), ("test", "rules", "rules_test.yml")])
def test_prometheus_takes_its_configuration_and_the_alerts_ring_when_they_should(arguments: tuple[str, ...]) -> None:
    *command, file = arguments
    told = subprocess.run(
        [tool("promtool"), *command, str(DEPLOY / file)], capture_output=True, text=True, check=False, timeout=60
    )
    assert told.returncode == 0, told.stdout + told.stderr


def test_ports_of_the_configuration_are_the_platform_s(tmp_path: Path) -> None:
    jobs = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"]
    ports = {job["job_name"]: int(job["static_configs"][0]["targets"][0].split(":")[1]) for job in jobs}
    assert ports["crp-api"] == home_settings(tmp_path).api_port
