"""The reports of a lake in an object store, over HTTP: what assets link to. Those in a folder need no server of ours.

`python -m credit_risk_platform.cli.reports HOST PORT`, with the settings of the environment. Reads only.
"""

from __future__ import annotations

import html
import mimetypes
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote, urlsplit

from credit_risk_platform.adapters.files import FileStore
from credit_risk_platform.adapters.object_store import ObjectStoreError
from credit_risk_platform.settings import Settings

INDEX = "index.html"


def report_server(files: FileStore, host: str, port: int) -> ThreadingHTTPServer:
    """A server of the files below `files`; port 0 takes a free one."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            try:
                status, kind, body = answer(files, unquote(urlsplit(self.path).path).strip("/"))
            except ObjectStoreError as error:
                status, kind, body = HTTPStatus.BAD_GATEWAY, "text/plain", str(error).encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return ThreadingHTTPServer((host, port), Handler)


def answer(files: FileStore, name: str) -> tuple[HTTPStatus, str, bytes]:
    """(status, content type, body) for a name below the reports: a file, or what a folder holds."""
    if ".." in name.split("/"):
        return HTTPStatus.NOT_FOUND, "text/plain", b"no such report"
    if name and (found := files.read(name)) is not None:
        return HTTPStatus.OK, mimetypes.guess_type(name)[0] or "application/octet-stream", found
    if name and (found := files.read(f"{name}/{INDEX}")) is not None:
        return HTTPStatus.OK, "text/html", found
    start = f"{name}/" if name else ""
    inside = sorted({one.removeprefix(start).partition("/")[0] for one in files.names(name)})
    if name and not inside:
        return HTTPStatus.NOT_FOUND, "text/plain", b"no such report"
    lines = "".join(f'<li><a href="/{quote(start + one)}">{html.escape(one)}</a></li>' for one in inside)
    return HTTPStatus.OK, "text/html", f"<h1>/{html.escape(name)}</h1><ul>{lines}</ul>".encode()


if __name__ == "__main__":
    report_server(Settings().files("reports"), sys.argv[1], int(sys.argv[2])).serve_forever()
