"""How every client of ours reaches the cluster: one place that turns settings into kafka-python's options."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class KafkaConnection:
    """Where the cluster is and how to speak to it. Its text form shows no secret."""

    bootstrap_servers: str = "127.0.0.1:9092"
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    ssl_cafile: Path | None = None

    def options(self, **more: Any) -> dict[str, Any]:
        """Keyword arguments for any kafka-python client."""
        given = {
            "bootstrap_servers": [server.strip() for server in self.bootstrap_servers.split(",")],
            "security_protocol": self.security_protocol,
            "sasl_mechanism": self.sasl_mechanism,
            "sasl_plain_username": self.sasl_username,
            "sasl_plain_password": self.sasl_password,
            "ssl_cafile": str(self.ssl_cafile) if self.ssl_cafile else None,
        }
        return {name: value for name, value in given.items() if value is not None} | more
