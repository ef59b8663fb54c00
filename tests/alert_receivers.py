"""Receivers of alerts on this machine: HTTP and SMTP servers that keep what they get, and fail when told to."""

from __future__ import annotations

import json
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any


class HttpReceiver:
    """Answers with the next of `answers` (status, headers, body), and 200 once there is none left."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.answers: list[tuple[int, dict[str, str], str]] = []
        self.pause = 0.0
        self.url = ""

    def next_answer(self) -> tuple[int, dict[str, str], str]:
        return self.answers.pop(0) if self.answers else (200, {}, "ok")


@contextmanager
def http_receiver() -> Iterator[HttpReceiver]:
    got = HttpReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.bodies.append(json.loads(body))
            got.headers.append(dict(self.headers))
            got.paths.append(self.path)
            time.sleep(got.pause)
            status, headers, text = got.next_answer()
            try:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(text))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text.encode())
            except OSError:  # the sender did not wait
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    with served(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        got.url = f"http://127.0.0.1:{port}"
        yield got


class SmtpReceiver:
    """Letters as they came. `refuse` answers the end of a letter instead of 250; `tls` offers STARTTLS."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self.letters: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.logins: list[str] = []
        self.in_the_clear: list[str] = []
        self.refuse = ""
        self.tls = tls
        self.port = 0


@contextmanager
def smtp_receiver(tls: ssl.SSLContext | None = None) -> Iterator[SmtpReceiver]:
    got = SmtpReceiver(tls)
    handler = type("Handler", (_SmtpHandler,), {"got": got})
    with served(socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)) as port:
        got.port = port
        yield got


class _SmtpHandler(socketserver.StreamRequestHandler):
    got: SmtpReceiver
    secured = False

    def handle(self) -> None:
        self.answer("220 here")
        while line := self.rfile.readline().decode().strip():
            if not self.secured:
                self.got.in_the_clear.append(line)
            word = line.split()[0].upper()
            if word == "QUIT":
                return self.answer("221 bye")
            getattr(self, f"on_{word}", self.on_other)(line)
        return None

    def on_EHLO(self, line: str) -> None:
        self.answer(
            "250-here", "250-STARTTLS" if self.got.tls and not self.secured else "250-8BITMIME", "250 AUTH PLAIN"
        )

    def on_STARTTLS(self, line: str) -> None:
        assert self.got.tls is not None
        self.answer("220 go on")
        try:
            self.connection = self.got.tls.wrap_socket(self.connection, server_side=True)
        except ssl.SSLError:  # the client does not trust us
            self.rfile = BytesIO()
            return
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)
        self.secured = True

    def on_AUTH(self, line: str) -> None:
        self.got.logins.append(line)
        self.answer("235 welcome")

    def on_RCPT(self, line: str) -> None:
        self.got.recipients.append(line.split("<")[1].split(">")[0])
        self.answer("250 ok")

    def on_DATA(self, line: str) -> None:
        self.answer("354 go on")
        letter = b"".join(iter(self.rfile.readline, b".\r\n"))
        if not self.got.refuse:
            self.got.letters.append(message_from_bytes(letter, policy=policy.default))
        self.answer(self.got.refuse or "250 ok")

    def on_other(self, line: str) -> None:
        self.answer("250 ok")

    def answer(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    def finish(self) -> None:
        super().finish()
        self.connection.close()


@contextmanager
def served(server: socketserver.TCPServer) -> Iterator[int]:
    """The port of a server that runs in a thread until the block ends."""
    if isinstance(server, socketserver.ThreadingMixIn):
        server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
