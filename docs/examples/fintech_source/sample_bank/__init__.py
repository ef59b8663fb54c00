"""A bank that leaves one JSON file per customer in a folder: the whole of what another provider takes."""

import json
import os
from datetime import date
from pathlib import Path

from credit_risk_platform.adapters.fintech.source import Connection, Delivery, NotConfiguredError, RecordShape


class SampleBank:
    name = "sample_bank"
    shape = RecordShape(  # where a record keeps what, in DuckDB's SQL
        transaction_id="record ->> '$.ref'",
        account_id="record ->> '$.iban'",
        booked_on="record ->> '$.day'",
        raw_amount="record ->> '$.cents'",
        amount="number * 0.01",
        currency="'EUR'",
        facts=("day", "cents"),
        known=("ref", "iban", "holder"),  # read, or left out on purpose
    )

    def __init__(self) -> None:
        self.folder = os.environ.get("SAMPLE_BANK_FOLDER")

    def connections(self) -> list[Connection]:
        if self.folder is None:
            raise NotConfiguredError("Next step: set SAMPLE_BANK_FOLDER to the folder of the files.")
        return [Connection(file.stem, file.stem) for file in sorted(Path(self.folder).glob("*.json"))]

    def between(self, connection: Connection, first: date, last: date) -> Delivery:
        records = json.loads((Path(self.folder or "") / f"{connection.name}.json").read_text())
        page = json.dumps([record for record in records if str(first) <= record["day"] <= str(last)])
        return Delivery((page,), days=(first, last))

    def since(self, connection: Connection, cursor: str | None, today: date) -> Delivery:
        return self.between(connection, date(1970, 1, 1), today)

    def close(self) -> None:
        """Nothing is open."""
