"""Publishes the message contracts: `python -m credit_risk_platform.cli.schemas` after a change of a contract."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from credit_risk_platform.domain.contracts.message_schema import json_schema
from credit_risk_platform.domain.contracts.messages import CONTRACTS

PUBLISHED = Path(__file__).resolve().parents[1] / "domain" / "contracts" / "schemas"


def schema_files() -> dict[str, str]:
    """File name -> text of every published schema."""
    return {
        f"{contract.topic}.v{contract.version}.json": json.dumps(json_schema(contract), indent=2) + "\n"
        for contract in CONTRACTS.values()
    }


def write_schemas(folder: Path = PUBLISHED) -> list[Path]:
    """Write every schema into `folder`. A version that is no longer current stays: its producers may."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {folder / name: text for name, text in schema_files().items()}
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return list(files)


if __name__ == "__main__":
    sys.stdout.write("".join(f"{path}\n" for path in write_schemas()))
