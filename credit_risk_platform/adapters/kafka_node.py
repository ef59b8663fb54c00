"""The Java side of a broker of our own: its settings, its storage, its command line. Run in the broker's folder.

Every path is relative to that folder: Java reads settings as Latin-1, and a home may be spelled in any script.
"""

from __future__ import annotations

import base64
import subprocess
import uuid
from pathlib import Path

from credit_risk_platform.adapters.kafka_distribution import SHIPPED, KafkaBrokerError, java

SETTINGS, DATA = "server.properties", "data"
ENVIRONMENT = {"LC_ALL": "C.UTF-8"}
"""All that the broker gets: secrets of the one who starts it are not its business."""
JVM = (
    "-XX:+UseSerialGC",  # one small heap: the least memory and the fewest threads
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
)
NODE = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}

# Topics are made on purpose: a misspelt name must fail, not appear.
auto.create.topics.enable=false
num.partitions=3

# One node keeps one copy; few internal partitions start faster.
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# A broker that was killed may come back once its old session has ended.
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=1000
# No mark of being there twice a second: each waits for the disk thrice, and those who commit beside it wait, too.
metadata.max.idle.interval.ms=30000
# One node has nobody to hand its partitions to, and now and then waited 19 seconds for that.
controlled.shutdown.enable=false

# A demo that rests for some weeks goes on where it was; its disk does not fill.
log.retention.hours=720
log.retention.bytes=1073741824
log.segment.bytes=67108864
offsets.retention.minutes=43200

num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
"""


def write_settings(folder: Path, host: str, port: int, controller: int) -> None:
    """Written anew at each start: ports may have changed, and nobody should edit it."""
    settings = NODE.format(host=host, port=port, controller=controller, data=DATA)
    (folder / SETTINGS).write_text(settings)


def format_storage(jars: Path, folder: Path) -> None:
    """Once in the life of a folder."""
    if (folder / DATA / "meta.properties").exists():
        return
    # Kafka's own form of a random id; one that begins with a hyphen would be taken for an option.
    cluster = "c" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
    arguments = ["format", "--ignore-formatted", "--cluster-id", cluster, "--config", SETTINGS]
    command = [*_java(jars, 128), "kafka.tools.StorageTool", *arguments]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise KafkaBrokerError(f"Kafka could not format {folder / DATA}:\n{(done.stdout + done.stderr).strip()}")


def broker_command(jars: Path, heap_mb: int) -> list[str]:
    return [*_java(jars, heap_mb), "kafka.Kafka", SETTINGS]


def _java(jars: Path, heap_mb: int) -> list[str]:
    logging = f"-Dlog4j2.configurationFile={SHIPPED / 'log4j2.properties'}"
    return [java(), f"-Xmx{heap_mb}m", *JVM, logging, "-cp", f"{jars}/*"]
