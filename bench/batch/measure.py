"""Wall time per stage and peak memory of a process tree. Each contender runs in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

MARK = "##stage "


def stages() -> Callable[[str], None]:
    """A clock for the measured process: each call prints the seconds since the previous one."""
    last = time.perf_counter()

    def stage(name: str) -> None:
        nonlocal last
        now = time.perf_counter()
        print(MARK + json.dumps({"stage": name, "seconds": round(now - last, 3)}), flush=True)
        last = time.perf_counter()

    return stage


@dataclass
class Measurement:
    """What one contender took: seconds per stage, seconds in all (imports included), peak resident bytes."""

    name: str
    seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    peak_bytes: int = 0

    def of(self, *names: str) -> float:
        return sum(self.stages.get(name, 0.0) for name in names)


def run(name: str, command: Sequence[str], log: Path, env: dict[str, str] | None = None) -> Measurement:
    """Run `command`, read its stage marks, sample the memory of its whole process tree four times a second."""
    result = Measurement(name)
    started = time.perf_counter()
    with log.open("w") as sink:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=sink, text=True, env=env)
        watcher = threading.Thread(target=_watch, args=(process.pid, result), daemon=True)
        watcher.start()
        assert process.stdout is not None
        for line in process.stdout:
            sink.write(line)
            if line.startswith(MARK):
                mark = json.loads(line.removeprefix(MARK))
                result.stages[mark["stage"]] = result.stages.get(mark["stage"], 0.0) + mark["seconds"]
        code = process.wait()
    result.seconds = time.perf_counter() - started
    if code:
        tail = "\n".join(log.read_text().splitlines()[-15:])
        sys.exit(f"{name} ended with {code}; the end of {log}:\n{tail}")
    return result


def _watch(pid: int, result: Measurement) -> None:
    while psutil.pid_exists(pid):
        try:
            root = psutil.Process(pid)
            tree = [root, *root.children(recursive=True)]
            resident = sum(process.memory_info().rss for process in tree)
        except psutil.NoSuchProcess:
            continue
        result.peak_bytes = max(result.peak_bytes, resident)
        time.sleep(0.25)
