"""A real S3 server on loopback (rclone: it checks signatures), and a proxy before it that writes down what passes."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from credit_risk_platform.adapters.object_store import ObjectStore
from credit_risk_platform.cli import stand_ins
from credit_risk_platform.cli.stand_ins import HOST

BUCKET = "lake-bucket"
KEY, SECRET = "TESTKEY00000000", "a-secret-that-nobody-may-see"


@dataclass(frozen=True)
class S3Server:
    """`root/<bucket>/<key>` are the objects as files."""

    root: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def credentials(self) -> dict[str, str]:
        """For the environment of a process: what boto3 reads."""
        return {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_EC2_METADATA_DISABLED": "true"}

    def settings(self, prefix: str, **more: str) -> dict[str, str]:
        """The same for the platform; every test takes a prefix of its own."""
        return {"lake_url": f"s3://{BUCKET}/{prefix}", "s3_endpoint_url": self.url, "s3_region": "us-east-1", **more}

    def store(self, prefix: str, **more: str) -> ObjectStore:
        given = {"endpoint_url": self.url, "region": "us-east-1", **more}
        return ObjectStore(f"s3://{BUCKET}/{prefix}", **given)

    def objects(self, prefix: str) -> dict[str, bytes]:
        """Every object below a prefix, read past the server."""
        folder = self.root / BUCKET / prefix
        return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@contextmanager
def serve_s3(root: Path) -> Iterator[S3Server]:
    """Start the server on a free port and stop it at the end."""
    (root / BUCKET).mkdir(parents=True, exist_ok=True)
    with stand_ins.s3(root, KEY, SECRET, root.with_name(f"{root.name}.log")) as port:
        yield S3Server(root, port)


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    bytes: int


@dataclass
class Proxy:
    """`requests` are those that passed; while `refusals` has statuses, the next requests get those instead."""

    port: int = 0
    requests: list[Request] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)
    refused: int = 0

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def of(self, method: str, part: str = "") -> list[Request]:
        return [one for one in self.requests if one.method == method and part in one.path]


@contextmanager
def recording(server: S3Server) -> Iterator[Proxy]:
    """Everything is handed on as it came, signatures and all."""
    proxy = Proxy()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Not to the test's output."""

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if proxy.refusals:
                proxy.refused += 1
                return self._refuse(proxy.refusals.pop(0))
            proxy.requests.append(Request(self.command, self.path, dict(self.headers.items()), len(body)))
            onward = http.client.HTTPConnection(HOST, server.port, timeout=30)
            try:
                onward.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    onward.putheader(name, value)
                onward.endheaders(body)
                answer = onward.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                        self.send_header(name, value)
                length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
                self.send_header("Content-Length", length or "0")
                self.end_headers()
                self.wfile.write(content)
            finally:
                onward.close()

        def _refuse(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that hangs up is no news."""

    gate = Server((HOST, 0), Handler)
    proxy.port = gate.server_address[1]
    thread = threading.Thread(target=gate.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        gate.shutdown()
        gate.server_close()
        thread.join()
