"""Which sources are set. The one place where the URLs leave their wrapping."""

from credit_risk_platform.domain.contracts.bank_columns import BANK_TABLES, BankTable
from credit_risk_platform.settings import Settings


def url_of(settings: Settings, table: BankTable) -> str | None:
    """The database's URL, which holds a password: hand it on to `address` and to nothing else."""
    secret = getattr(settings, table.setting)
    return secret.get_secret_value() if secret is not None else None


def configured(settings: Settings) -> list[BankTable]:
    return [table for table in BANK_TABLES if getattr(settings, table.setting) is not None]
