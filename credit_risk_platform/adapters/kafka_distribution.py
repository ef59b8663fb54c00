"""Apache Kafka as Maven artefacts: what it takes to run it here, and its jars, fetched once into a folder.

No container and no installer: a broker is a class path and a Java to put it on.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

SHIPPED = Path(__file__).with_name("kafka_dist")
JAVA_NEEDED = 17
MEGABYTES = 43
"""About what is fetched, once per version."""
FETCH_SECONDS = 900


class KafkaBrokerError(RuntimeError):
    """The broker of our own cannot do what was asked; the message says what to do next."""


def kafka_version() -> str:
    """The one version there is: the shipped pom's."""
    found = re.search(r"<kafka\.version>([^<]+)<", (SHIPPED / "pom.xml").read_text())
    assert found, "the shipped pom names its Kafka version"
    return found[1]


class KafkaDistribution:
    """Jars of one Kafka version below `cache`, which several homes may share."""

    def __init__(self, cache: Path) -> None:
        self.version = kafka_version()
        self.jars = cache.absolute() / f"libs-{self.version}"  # Java runs in another folder

    @property
    def fetched(self) -> bool:
        return self.jars.is_dir()

    def missing(self) -> list[str]:
        """What is not on this machine and how to get it, one sentence each; Maven only matters before the fetch."""
        found = [_java_missing()]
        if not self.fetched and shutil.which("mvn") is None:
            found.append("Maven (`mvn`) is not on the PATH; it fetches Kafka once: apt-get install maven.")
        return [sentence for sentence in found if sentence]

    def fetch(self) -> Path:
        """Folder with the jars; fetched when absent. A fetch that ends early, or runs twice at a time, does no harm."""
        if self.fetched:
            return self.jars
        if missing := self.missing():
            raise KafkaBrokerError(" ".join(missing))
        self.jars.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.jars.parent, prefix=".fetch-") as folder:
            shutil.copyfile(SHIPPED / "pom.xml", Path(folder) / "pom.xml")
            self._run_maven(Path(folder))
            try:
                (Path(folder) / "libs").rename(self.jars)
            except OSError:
                if not self.fetched:  # else another process was faster, and its jars are as good
                    raise
        return self.jars

    def _run_maven(self, folder: Path) -> None:
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=libs"]
        # Artefacts whose checksum differs from the registry's are refused instead of warned about.
        command = ["mvn", "--quiet", "--batch-mode", "--strict-checksums", *goal]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise KafkaBrokerError(
                f"Maven did not fetch Kafka {self.version} within {FETCH_SECONDS} s. Run it again: what is there stays."
            ) from error
        if done.returncode != 0:
            said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            raise KafkaBrokerError(
                f"Maven could not fetch Kafka {self.version}:\n"
                + "\n".join(said[:6])
                + "\nMend Maven's access to its registry and run this again, or copy "
                f"{self.jars} from a machine that has it."
            )


def java() -> str:
    """The Java that is used: the first on the PATH."""
    return shutil.which("java") or "java"


def _java_missing() -> str:
    fix = f"Kafka needs Java {JAVA_NEEDED} or newer: apt-get install openjdk-17-jre-headless."
    program = shutil.which("java")
    if program is None:
        return f"Java is not on the PATH. {fix}"
    said = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=30, check=False).stderr
    release = re.search(r'version "(\d+)', said)
    if release and int(release[1]) >= JAVA_NEEDED:
        return ""
    return f"{program} is {said.splitlines()[0] if said else 'silent about its version'}. {fix}"
