"""What must not leave the house in a message: facts named like a person's data, e-mail addresses, long numbers.

Numbers of a person in free text (account, card, phone) are known by their length only, so a text is blurred rather
than refused; a fact whose name says that it is personal is an error of whoever wrote it.
"""

from __future__ import annotations

import re
from itertools import pairwise

from credit_risk_platform.domain.contracts.column import Stage
from credit_risk_platform.domain.contracts.loan_columns import INPUT

_COLUMNS = frozenset(column.name for column in INPUT if column.pii or column.stage is Stage.RESTRICTED)
_EXACTLY = _COLUMNS | {"name", "subject_token", "ip", "dob", "pan"}
_WORDS = frozenset(
    {
        "customer", "customers", "member", "borrower", "applicant", "person", "email", "mail", "phone", "mobile",
        "telephone", "fax", "surname", "firstname", "lastname", "fullname", "username", "address", "street", "zip",
        "postcode", "birth", "birthday", "birthdate", "account", "iban", "card", "ssn", "passport", "aadhaar",
    }
)  # fmt: skip
_WHOSE_NAME = frozenset({"first", "last", "full", "middle", "maiden", "given", "family", "holder", "co"})

_LEFT_ALONE = (
    r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"  # UUID: a run
    r"|\b(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})\b"  # score ids, commits, SHA-256
    r"|\b\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?"  # dates
)
# Bounded, as the standard is: without a bound the time grows with the square of a text's length.
_EMAIL = r"[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"
# Nine digits and more, also in groups; what follows a point are decimals.
_NUMBER = r"(?<![\w.])\+?\(?\d(?:[ ()\-]{0,2}\d){8,}(?!\w)|\b\d{3}[-. ]\d{2}[-. ]\d{4}\b|\b\d{3}\.\d{3}\.\d{4}\b"
_PERSONAL = re.compile(f"(?P<kept>{_LEFT_ALONE})|(?P<email>{_EMAIL})|(?P<number>{_NUMBER})", re.IGNORECASE)


def is_personal(name: str) -> bool:
    """Whether a fact of that name ("customer_id", "e-mail", "phoneNumber") would tell who somebody is."""
    words = [word for word in re.split(r"[^a-z0-9]+", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()) if word]
    if "_".join(words) in _EXACTLY or _WORDS.intersection(words):
        return True
    pairs = list(pairwise(words))
    return ("e", "mail") in pairs or any(first in _WHOSE_NAME and second == "name" for first, second in pairs)


def blurred(text: str) -> str:
    """The text without e-mail addresses and numbers of nine digits and more; ids in hexadecimal and dates stay."""
    return _PERSONAL.sub(_instead, text)


def _instead(found: re.Match[str]) -> str:
    if found["kept"]:
        return found[0]
    return "[e-mail]" if found["email"] else "[number]"
