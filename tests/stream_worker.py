"""A worker in a process of its own, for tests that kill it: takes what waits in small batches until nothing does."""

from __future__ import annotations

import sys
from pathlib import Path

from credit_risk_platform.resources import build_streaming_resources


def main(home: Path, bootstrap: str, group: str, batch: int) -> None:
    from tests.stream_book import NOW, TOPIC, settings_of, stamp

    settings = settings_of(home, kafka_bootstrap_servers=bootstrap, kafka_group=group)
    streams = build_streaming_resources(settings)["streams"]
    while ranges := streams.log(TOPIC).pending(batch):
        print("begin", *ranges, flush=True)
        report = streams.process(TOPIC, ranges, stamp(f"worker-{ranges[0].end}"), NOW)
        print("done", report.messages, flush=True)
    streams.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
