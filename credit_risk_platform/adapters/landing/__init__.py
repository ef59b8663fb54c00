"""The landing engine: delivered files become typed Parquet, a receipt and a quarantine. Import from here."""

from credit_risk_platform.adapters.landing.lake import MACRO_SERIES, BronzeLake, tidy
from credit_risk_platform.adapters.landing.manifest import Manifest, data_version
from credit_risk_platform.adapters.landing.report import LandingReport, validate_file
from credit_risk_platform.adapters.landing.stage import Resources

__all__ = [
    "MACRO_SERIES",
    "BronzeLake",
    "LandingReport",
    "Manifest",
    "Resources",
    "data_version",
    "tidy",
    "validate_file",
]
