"""LendingClub's columns about the loan itself: the offer, its outcome, the label, and who the borrower is."""

from __future__ import annotations

from functools import partial

from credit_risk_platform.domain.contracts.column import Column, Kind, Stage

BILLION = 1e9

_offer = partial(Column, stage=Stage.OFFER)
_offer_money = partial(_offer, kind=Kind.MONEY, unit="currency", lower=0, upper=BILLION)
_offer_text = partial(_offer, kind=Kind.TEXT, unit="")

OFFER: tuple[Column, ...] = (
    _offer("int_rate", kind=Kind.PERCENT, unit="percent points", description="Yearly interest rate.", lower=1, upper=60,
           scale_floor=1.0),
    _offer_money("installment", description="Monthly instalment."),
    _offer_text("grade", description="The lender's grade, A to G."),
    _offer_text("sub_grade", description="The lender's sub-grade, A1 to G5."),
    _offer_money("funded_amnt", description="Amount committed."),
    _offer_money("funded_amnt_inv", description="Amount committed by investors."),
    _offer_text("initial_list_status", description="Whole or fractional listing."),
    _offer_text("disbursement_method", description="How the money was paid out."),
    _offer("policy_code", kind=Kind.COUNT, unit="code", description="Publicly available product or not.", lower=0,
           upper=9),
)  # fmt: skip

_after = partial(Column, stage=Stage.OUTCOME)
_text = partial(_after, kind=Kind.TEXT, unit="")
# LendingClub publishes rounding dust such as -5e-09: an outcome amount is checked for sanity, not for its sign.
_amount = partial(_after, kind=Kind.AMOUNT, unit="currency", lower=-BILLION, upper=BILLION)
_count = partial(_after, kind=Kind.COUNT, unit="count", lower=0, upper=100_000)
_month = partial(_after, kind=Kind.MONTH, unit="month")
_fico = partial(_after, kind=Kind.COUNT, unit="score points", lower=0, upper=850)

OUTCOME: tuple[Column, ...] = (
    _text("pymnt_plan", description="Whether a payment plan is in place."),
    _amount("out_prncp", description="Outstanding principal."),
    _amount("out_prncp_inv", description="Outstanding principal, investors' part."),
    _amount("total_pymnt", description="Payments received."),
    _amount("total_pymnt_inv", description="Payments received, investors' part."),
    _amount("total_rec_prncp", description="Principal received."),
    _amount("total_rec_int", description="Interest received."),
    _amount("total_rec_late_fee", description="Late fees received."),
    _amount("recoveries", description="Recovered after charge-off, before fees."),
    _amount("collection_recovery_fee", description="Collection fee after charge-off."),
    _month("last_pymnt_d", description="Month of the last payment."),
    _amount("last_pymnt_amnt", description="Last payment received."),
    _month("next_pymnt_d", description="Month of the next payment.", may_be_future=True),
    _month("last_credit_pull_d", description="Month the bureau was last asked."),
    _fico("last_fico_range_high", description="Upper end of the latest FICO range; 0 when there is none."),
    _fico("last_fico_range_low", description="Lower end of the latest FICO range; 0 when there is none."),
    _text("hardship_flag", description="Whether the borrower is on a hardship plan."),
    _text("hardship_type", description="Hardship plan."),
    _text("hardship_reason", description="Reason for the hardship plan."),
    _text("hardship_status", description="State of the hardship plan."),
    _count("deferral_term", unit="months", description="Months of reduced payment."),
    _amount("hardship_amount", description="Interest paid monthly on the plan."),
    _month("hardship_start_date", description="Start of the hardship plan.", may_be_future=True),
    _month("hardship_end_date", description="End of the hardship plan.", may_be_future=True),
    _month("payment_plan_start_date", description="First payment of the plan.", may_be_future=True),
    _count("hardship_length", unit="months", description="Length of the plan."),
    _count("hardship_dpd", unit="days", description="Days past due at the plan's start."),
    _text("hardship_loan_status", description="Loan status at the plan's start."),
    _amount("orig_projected_additional_accrued_interest", description="Extra interest expected from the plan."),
    _amount("hardship_payoff_balance_amount", description="Payoff balance at the plan's start."),
    _amount("hardship_last_payment_amount", description="Last payment at the plan's start."),
    _text("debt_settlement_flag", description="Whether a charged-off borrower settles through a company."),
    _month("debt_settlement_flag_date", description="Month the settlement flag was set.", may_be_future=True),
    _text("settlement_status", description="State of the settlement."),
    _month("settlement_date", description="Month the settlement was agreed.", may_be_future=True),
    _amount("settlement_amount", description="Amount agreed."),
    _after("settlement_percentage", kind=Kind.PERCENT, unit="percent points", lower=0, upper=10_000,
           description="Settlement over payoff balance."),
    _count("settlement_term", unit="months", description="Months to pay the settlement."),
)  # fmt: skip

LABEL: tuple[Column, ...] = (
    Column("loan_status", Stage.LABEL, Kind.TEXT, "", "State of the loan as published, policy prefix included.",
           required=True, nullable=False),
    Column("issue_d", Stage.LABEL, Kind.MONTH, "month", "Month of issue: the vintage.", required=True, nullable=False),
)  # fmt: skip

_hidden = partial(Column, stage=Stage.PERSON, kind=Kind.TEXT, unit="", landed=False, pii=True)

PERSON: tuple[Column, ...] = (
    Column("id", Stage.PERSON, Kind.TEXT, "", "The lender's loan number; becomes `loan_id`.", required=True,
           landed=False),
    _hidden("member_id", description="Borrower; becomes `subject_token`."),
    _hidden("url", description="Page of the listing."),
    _hidden("emp_title", description="Job title, free text."),
    _hidden("desc", description="Loan description, free text."),
    _hidden("title", description="Loan title, free text."),
    _hidden("zip_code", description="First three digits of the postal code."),
    Column("addr_state", Stage.PERSON, Kind.TEXT, "", "State of residence: concentration and fairness only."),
)  # fmt: skip
