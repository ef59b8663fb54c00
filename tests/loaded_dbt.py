"""A dbt that is loaded already: loading takes two seconds of computing, and a suite starts some forty processes of it.

`serve` loads dbt when it is first asked and forks for each command, so that every command has a process of its own,
as at home: own environment, folder, arguments, output and exit code. `ask` stands in for the `dbt` on the command
line; it loads nothing but the standard library.

What one process of the session parsed seeds the next one's target folder, whatever lake either of them is on. dbt
itself finds out what has changed since; that another lake alone is no change is said here (`_same_on_any_lake`).
"""

from __future__ import annotations

import array
import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

PARSED = "partial_parse.msgpack"
OUTPUTS = 3


@contextmanager
def dbt_server(folder: Path, kept: Path) -> Iterator[tuple[str, ...]]:
    """The command that stands for `dbt` until the end; the socket lies in `folder`, what was parsed in `kept`."""
    door = str(folder / "dbt.sock")
    kept.mkdir(exist_ok=True)
    server = subprocess.Popen([sys.executable, __file__, "serve", door, str(kept)], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        assert server.stdout.read() == b"open\n"
        yield sys.executable, "-S", "-E", __file__, "ask", door
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


# ---------------------------------------------------------------- who asks


def ask(door: str, arguments: Sequence[str]) -> int:
    """Hands everything over to a fork of the server and waits for its exit code."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(door)
        asked = {"arguments": list(arguments), "folder": str(Path.cwd()), "environment": dict(os.environ)}
        message = json.dumps(asked).encode()
        outputs = array.array("i", range(OUTPUTS)).tobytes()
        server.sendmsg([len(message).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, outputs)])
        server.sendall(message)
        answers = server.makefile("r")
        dbt = int(answers.readline())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda sent, _: os.kill(dbt, sent))
        return int(answers.readline())


# ---------------------------------------------------------------- who answers


def serve(door: str, kept: Path) -> NoReturn:
    """Ends by a signal."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(door)
        listener.listen()
        os.write(1, b"open\n")
        os.dup2(2, 1)
        while True:
            client, _ = listener.accept()
            _load()
            if os.fork() == 0:
                listener.close()
                _attend(client, kept)
            client.close()


def _load() -> None:
    import dbt.adapters.duckdb
    import dbt.cli.main
    import dbt.task.build  # noqa: F401

    import credit_risk_platform.adapters.warehouse.dbt_lake_secret
    import credit_risk_platform.adapters.warehouse.dbt_writer_lock  # noqa: F401


def _attend(client: socket.socket, kept: Path) -> NoReturn:
    """Forks once more: this process waits for dbt and tells the exit code, which dbt itself cannot."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, outputs, _, _ = socket.recv_fds(client, 4, OUTPUTS)
    asked = json.loads(client.makefile("rb").read(int.from_bytes(size, "big")))
    dbt = os.fork()
    if dbt == 0:
        client.close()
        for number, given in enumerate(outputs):
            os.dup2(given, number)
            os.close(given)
        _leave(_run(asked, kept))
    for given in outputs:
        os.close(given)
    client.sendall(f"{dbt}\n".encode())
    _, status = os.waitpid(dbt, 0)
    client.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _leave(code: int) -> NoReturn:
    """As `sys.exit` does but for what C libraries do at the end: they would wait for threads that a fork has not."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _run(asked: dict[str, Any], kept: Path) -> int:
    from dbt.cli.main import cli

    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    sys.argv = ["dbt", *asked["arguments"]]
    _same_on_any_lake()
    own = _target_folder(asked) / PARSED
    engine = _option(asked, "--target", "CRP_TARGET") or "local"
    shared = kept / f"{_project(asked).name}-{'snowflake' if engine == 'snowflake' else 'duckdb'}.msgpack"
    if shared.exists() and not own.exists():
        own.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(shared, own)
    try:
        cli()
    except SystemExit as ended:
        return int(ended.code or 0)
    finally:
        if own.exists() and not shared.exists():
            aside = shared.with_suffix(f".{os.getpid()}")
            shutil.copyfile(own, aside)
            aside.replace(shared)
    return 0


def _same_on_any_lake() -> None:
    """Where the lake lies, which is all that differs between the profiles of our homes, no model reads.

    The stamp in the manifest (DBT_ENV_CUSTOM_ENV_...) is this process's, not that of the one that parsed.
    """
    from dbt.artifacts.schemas.base import get_metadata_vars
    from dbt.contracts.files import FileHash
    from dbt.parser.manifest import ManifestLoader

    whole, kept = ManifestLoader.build_manifest_state_check, ManifestLoader.read_manifest_for_partial_parse

    def without_places(loader: Any) -> Any:
        check, on = whole(loader), loader.root_project.credentials
        check.profile_hash = FileHash.from_contents(f"{on.type} {on.database} {on.schema}")
        return check

    def with_own_stamp(loader: Any) -> Any:
        manifest = kept(loader)
        if manifest is not None:
            manifest.metadata.env = get_metadata_vars()
        return manifest

    ManifestLoader.build_manifest_state_check = without_places
    ManifestLoader.read_manifest_for_partial_parse = with_own_stamp


def _option(asked: dict[str, Any], option: str, variable: str) -> str | None:
    arguments = asked["arguments"]
    return arguments[arguments.index(option) + 1] if option in arguments else os.environ.get(variable)


def _project(asked: dict[str, Any]) -> Path:
    return Path(_option(asked, "--project-dir", "DBT_PROJECT_DIR") or ".").absolute()


def _target_folder(asked: dict[str, Any]) -> Path:
    return _project(asked) / (_option(asked, "--target-path", "DBT_TARGET_PATH") or "target")


if __name__ == "__main__":
    what, door, *rest = sys.argv[1:]
    if what == "serve":
        serve(door, Path(rest[0]))
    sys.exit(ask(door, rest))
