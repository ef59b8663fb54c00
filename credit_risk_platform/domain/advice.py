"""What an applicant can do about a reason, in plain words: a counterfactual without figures and without a promise.

Only what the applicant can change is advised. Facts that only time changes, or nothing does, are named as such, so
that nobody is sent after them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

TO_DO = {
    "AA01": "Ask for a smaller amount, or state further regular income that you can show.",
    "AA02": "State your income, with a document that shows it.",
    "AA03": "Send documents that show the income you stated.",
    "AA04": "Pay down debts you have, or ask for a smaller amount: less of your income would then go to debts.",
    "AA05": "List your debts and what you pay on them each month, completely.",
    "AA09": "Ask for a shorter time to repay, if you can afford the higher instalment.",
    "AA11": "Apply together with somebody who answers for the credit with you; both records are looked at then.",
    "AA12": "Offer more security, or ask for a smaller amount.",
    "AA13": "Pay down card balances: what counts is the part of your limits that you use.",
    "AA14": "Pay down what you owe on cards and credit lines.",
    "AA16": "Ask each credit bureau for a copy of your report, and have what is wrong in it corrected.",
    "AA20": "Open no further accounts for a while.",
    "AA21": "Apply for no other credit for some months: inquiries of the last six months count.",
    "AA22": "Bring accounts that are behind up to date, and pay on time from then on.",
    "AA23": "If a record is wrong or has been settled, have the register corrected.",
    "AA25": "Settle open collections, and see that what is settled is recorded as settled.",
    "AA26": "Keep enough on your bank account on days when payments leave it: the last 90 days count.",
    "AA27": "Send what was missing from the application.",
}
WITH_TIME = {
    "AA06": "Time in your employment and steady income.",
    "AA07": "Your kind of employment.",
    "AA08": "Whether you own or rent your home.",
    "AA10": "What the credit is for.",
    "AA15": "Limits that others have granted you.",
    "AA17": "The length of your credit history.",
    "AA18": "How long your account with us has been open.",
    "AA19": "The number of accounts in your credit file.",
    "AA24": "A bankruptcy on file, which counts less as it grows older.",
}


@dataclass(frozen=True)
class Advice:
    """What would count in the applicant's favour, and what cannot be hurried; in the order of the reasons."""

    to_do: tuple[str, ...]
    with_time: tuple[str, ...]


def advice(codes: Sequence[str]) -> Advice:
    """Words for these reason codes, the weightiest first; a code nobody wrote words for has none."""
    told = tuple(dict.fromkeys(codes))
    return Advice(
        to_do=tuple(TO_DO[code] for code in told if code in TO_DO),
        with_time=tuple(WITH_TIME[code] for code in told if code in WITH_TIME),
    )
