"""Words and rates a synthetic loan file may hold, in LendingClub's spelling, with the shares they are drawn at."""

from __future__ import annotations

from typing import Final

EMPLOYMENT_TYPES: Final = ("permanent", "contract", "self_employed", "retired", "unemployed")
HOMES: Final = ("RENT", "MORTGAGE", "OWN", "OTHER")
VERIFICATION: Final = ("Not Verified", "Source Verified", "Verified")
EDUCATION: Final = ("secondary", "some_college", "bachelor", "postgraduate")
EMP_LENGTHS: Final = ("< 1 year", "1 year", *(f"{years} years" for years in range(2, 10)), "10+ years", "n/a")
EMP_LENGTH_UNKNOWN: Final = 11
TERMS: Final = (12, 24, 36)

PURPOSES: Final = {
    "debt_consolidation": 0.47,
    "credit_card": 0.20,
    "home_improvement": 0.08,
    "other": 0.06,
    "car": 0.05,
    "major_purchase": 0.035,
    "medical": 0.025,
    "small_business": 0.025,
    "house": 0.02,
    "vacation": 0.015,
    "moving": 0.015,
    "renewable_energy": 0.005,
}

STATES: Final = {
    "CA": 14.0, "TX": 8.5, "NY": 8.0, "FL": 7.0, "IL": 4.0, "NJ": 3.7, "PA": 3.5, "OH": 3.4, "GA": 3.3, "VA": 2.9,
    "NC": 2.8, "MI": 2.6, "MD": 2.4, "AZ": 2.4, "MA": 2.3, "CO": 2.1, "WA": 2.1, "MN": 1.8, "IN": 1.7, "MO": 1.6,
    "TN": 1.6, "CT": 1.5, "NV": 1.4, "WI": 1.3, "AL": 1.2, "SC": 1.2, "LA": 1.1, "OR": 1.1, "KY": 1.0, "OK": 0.9,
    "KS": 0.8, "AR": 0.7, "UT": 0.7, "NM": 0.6, "MS": 0.5, "HI": 0.5, "NH": 0.5, "RI": 0.4, "WV": 0.4, "NE": 0.4,
    "MT": 0.3, "DE": 0.3, "DC": 0.3, "ME": 0.3, "ID": 0.3, "WY": 0.2, "AK": 0.2, "VT": 0.2, "SD": 0.2, "ND": 0.2,
}  # fmt: skip

SUB_GRADES: Final = tuple(f"{grade}{step}" for grade in "ABCDEFG" for step in range(1, 6))
SUB_GRADE_RATES: Final = (
    5.49, 6.19, 6.79, 7.39, 7.99, 8.59, 9.29, 9.99, 10.65, 11.29, 11.99, 12.69, 13.35, 13.99, 14.65, 15.31, 15.99,
    16.69, 17.39, 18.09, 18.79, 19.49, 20.19, 20.89, 21.59, 22.29, 22.99, 23.69, 24.39, 25.09, 25.79, 26.49, 27.19,
    27.89, 28.59,
)  # fmt: skip
"""Annual rate in per cent of each sub-grade, A1 to G5."""

STATUSES: Final = (
    "Current",
    "In Grace Period",
    "Late (16-30 days)",
    "Late (31-120 days)",
    "Default",
    "Charged Off",
    "Fully Paid",
)
