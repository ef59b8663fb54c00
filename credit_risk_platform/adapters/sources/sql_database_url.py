"""Which database a URL means, and whether it may be spoken to: TLS for every host but this machine.

Belongs here: what can be judged before a connection. No message repeats anything of a URL but host, port and database.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import URL

POSTGRESQL = "postgresql"
ENCRYPTED = ("require", "verify-ca", "verify-full")
"""libpq's words for a connection that is encrypted or not made at all."""
REFUSED_OPTIONS = ("service", "servicefile", "passfile")
"""libpq options that fetch host or password from somewhere else than the URL."""


class SourceError(RuntimeError):
    """A source that cannot be read. `str` names the source, the place where there is one, and the next step."""

    def __init__(self, system: str, problem: str, next_step: str, *, relation: str = "", column: str = "") -> None:
        self.system, self.problem, self.next_step = system, problem, next_step
        self.relation, self.column = relation, column
        place = f", {relation}" if relation else ""
        place += f", column {column!r}" if column else ""
        super().__init__(f"{system}{place}: {problem} Next step: {next_step}")


class SourceSettingError(SourceError):
    """The setting itself is the trouble: trying again changes nothing."""


@dataclass(frozen=True)
class Address:
    """A URL that has been judged. Its text form shows no credentials."""

    system: str
    variable: str
    url: URL = field(repr=False)

    @property
    def place(self) -> str:
        """Host, port and database, for messages."""
        hosts = ", ".join(_hosts(self.url)) or "this machine"
        port = f":{self.url.port}" if self.url.port else ""
        return f"{hosts}{port}/{self.url.database or ''}"


def address(system: str, variable: str, text: str) -> Address:
    """The address that `text`, the value of environment variable `variable`, stands for.

    Raises:
        SourceSettingError: no SQLAlchemy URL, an unknown driver, or no TLS to a host that is not this machine.
    """
    url = _parsed(text)
    if isinstance(url, str):
        step = f"Write {variable} as postgresql+psycopg://USER:PASSWORD@HOST:5432/DATABASE?sslmode=verify-full."
        raise SourceSettingError(system, f"{variable} is no database URL: {url}.", step)
    _require_tls(system, variable, url)
    return Address(system, variable, url)


def _parsed(text: str) -> URL | str:
    """The URL, or what is wrong with it in words that hold nothing of it."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        url = make_url(text.strip())
        url.get_dialect()
    except NoSuchModuleError:
        return "this machine has no driver of that name"
    except (ArgumentError, ValueError, ImportError):  # their messages may hold a piece of the password
        return "it cannot be read"
    if "@" in (url.host or ""):
        return "user and password end at the first @: write @ in a password as %40, and / as %2F"
    return url


def _require_tls(system: str, variable: str, url: URL) -> None:
    backend = url.get_backend_name()
    if backend == POSTGRESQL and (found := [name for name in REFUSED_OPTIONS if name in url.query]):
        step = f"Write host and password into {variable} and leave {found[0]} out."
        raise SourceSettingError(system, f"{variable} takes its address from elsewhere ({found[0]}).", step)
    hosts = tuple(_hosts(url))
    if backend == POSTGRESQL and not hosts:  # libpq would take one from its own environment
        step = f"Name it in {variable}; a socket of this machine is ?host=/var/run/postgresql."
        raise SourceSettingError(system, f"{variable} names no host.", step)
    remote = [host for host in hosts if not _is_here(host)]
    if not remote:
        return
    if backend != POSTGRESQL:
        step = f"Read it through PostgreSQL, or through a tunnel that ends on this machine, and set {variable} so."
        problem = f"{remote[0]} is another machine, and whether {backend} speaks TLS to it cannot be told."
        raise SourceSettingError(system, problem, step)
    if url.query.get("sslmode") not in ENCRYPTED:
        step = f"Add ?sslmode=verify-full (or verify-ca, or require) to {variable}."
        problem = f"{remote[0]} is another machine, and {variable} does not ask for TLS."
        raise SourceSettingError(system, problem, step)


def _hosts(url: URL) -> Iterator[str]:
    """Every host that may be spoken to; a path is a socket on this machine."""
    if url.host:
        yield from url.host.split(",")
    for option in ("host", "hostaddr"):
        given = url.query.get(option, ())
        for value in (given,) if isinstance(given, str) else given:
            for one in value.split(","):
                # SQLAlchemy allows several `host=name:port`; an IPv6 address has more than one colon.
                yield one.rsplit(":", 1)[0] if one.count(":") == 1 else one


def _is_here(host: str) -> bool:
    if host in ("", "localhost") or host.startswith(("/", "@")):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
