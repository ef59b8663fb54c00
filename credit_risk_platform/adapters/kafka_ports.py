"""Who listens where: asked before a client is made, which logs every failed attempt, or a server, which fails late."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from urllib.parse import urlsplit

from credit_risk_platform.adapters.kafka_client import connect
from credit_risk_platform.adapters.kafka_connection import KafkaConnection

KAFKA_PORT = 9092


def addresses(bootstrap_servers: str) -> list[tuple[str, int]]:
    """Host and port of each server. Raises `ValueError` for a port that is none."""
    servers = [urlsplit(f"//{server.strip()}") for server in bootstrap_servers.split(",")]
    return [(server.hostname or "", KAFKA_PORT if server.port is None else server.port) for server in servers]


def listens(bootstrap_servers: str) -> bool:
    """Does anything accept connections at one of them?"""
    with contextlib.suppress(ValueError):
        for address in addresses(bootstrap_servers):
            with contextlib.suppress(OSError), socket.create_connection(address, timeout=1):
                return True
    return False


def answers(bootstrap: str) -> bool:
    """Does a Kafka broker answer a metadata request there?"""
    from kafka.admin import KafkaAdminClient
    from kafka.errors import KafkaError

    if not listens(bootstrap):
        return False
    try:
        admin = connect(
            KafkaAdminClient, KafkaConnection(bootstrap), bootstrap_timeout_ms=3_000, request_timeout_ms=3_000
        )
    except KafkaError:
        return False
    try:
        return bool(admin.describe_cluster()["brokers"])
    except KafkaError:
        return False
    finally:
        admin.close()


def is_loopback(host: str) -> bool:
    """`localhost` or an IPv4 address of this machine alone."""
    try:
        return host == "localhost" or ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        return False


def free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(host: str, port: int) -> bool:
    """Could a server listen there?"""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
