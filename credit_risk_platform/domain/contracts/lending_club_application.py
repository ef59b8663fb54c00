"""LendingClub's columns whose values exist when an application is decided: core, era-bound and bureau blocks."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from credit_risk_platform.domain.contracts.column import Column, Kind, Stage

BILLION = 1e9
FICO = (300.0, 850.0)

_core = partial(Column, stage=Stage.CORE)
_text = partial(_core, kind=Kind.TEXT, unit="")
_money = partial(_core, kind=Kind.MONEY, unit="currency", lower=0, upper=BILLION)
_count = partial(_core, kind=Kind.COUNT, unit="count", lower=0, upper=100_000)
_months = partial(_core, kind=Kind.COUNT, unit="months", lower=0, upper=2_400)
_percent = partial(_core, kind=Kind.PERCENT, unit="percent points", lower=0, upper=10_000)
_fico = partial(_core, kind=Kind.COUNT, unit="score points", lower=FICO[0], upper=FICO[1])
_amount = partial(_core, kind=Kind.AMOUNT, unit="currency", lower=0, upper=BILLION)

CORE: tuple[Column, ...] = (
    _money("loan_amnt", description="Amount applied for.", required=True, nullable=False, lower=1),
    _core("term", kind=Kind.TERM, unit="months", description="Contractual term.", required=True, nullable=False,
          lower=1, upper=600),
    _text("emp_length", description="Length of employment as published, '< 1 year' to '10+ years'.", required=True),
    _text("home_ownership", description="RENT, OWN, MORTGAGE, ANY, NONE or OTHER.", required=True),
    _money("annual_inc", description="Yearly income the applicant stated.", required=True),
    _text("verification_status", description="Whether the income was verified, or its source.", required=True),
    _text("purpose", description="What the loan is for.", required=True),
    _text("application_type", description="Individual or joint application."),
    _percent("dti", description="Monthly debt service without this loan over monthly income; 999 and -1 mean no ratio.",
             required=True, lower=-1, upper=999, scale_floor=1.0),
    _count("delinq_2yrs", description="Delinquencies of 30 days and more in the last two years.", required=True),
    _core("earliest_cr_line", kind=Kind.MONTH, unit="month", description="Month of the oldest credit line.",
          required=True),
    _fico("fico_range_low", description="Lower end of the FICO range at application."),
    _fico("fico_range_high", description="Upper end of the FICO range at application."),
    _count("inq_last_6mths", description="Credit inquiries in the last six months.", required=True),
    _months("mths_since_last_delinq", description="Months since the last delinquency."),
    _months("mths_since_last_record", description="Months since the last public record."),
    _count("open_acc", description="Open credit lines.", required=True),
    _count("pub_rec", description="Derogatory public records.", required=True),
    _money("revol_bal", description="Balance on revolving lines.", required=True),
    _percent("revol_util", description="Revolving balance over revolving limit; above 100 when overdrawn.",
             required=True, upper=1_000, scale_floor=1.5),
    _count("total_acc", description="Credit lines ever opened.", required=True),
    _count("collections_12_mths_ex_med", description="Collections in twelve months, medical ones excluded."),
    _months("mths_since_last_major_derog", description="Months since the last entry of 90 days or worse."),
    _count("acc_now_delinq", description="Accounts delinquent now."),
    _count("chargeoff_within_12_mths", description="Charge-offs within twelve months."),
    _money("delinq_amnt", description="Amount past due on delinquent accounts."),
    _count("pub_rec_bankruptcies", description="Public record bankruptcies."),
    _count("tax_liens", description="Tax liens."),
)  # fmt: skip

_ERA = (
    _count("open_acc_6m", description="Trades opened in six months."),
    _count("open_act_il", description="Active instalment trades."),
    _count("open_il_12m", description="Instalment accounts opened in twelve months."),
    _count("open_il_24m", description="Instalment accounts opened in twenty-four months."),
    _months("mths_since_rcnt_il", description="Months since the latest instalment account."),
    _amount("total_bal_il", description="Balance of all instalment accounts."),
    _percent("il_util", description="Instalment balance over instalment limit."),
    _count("open_rv_12m", description="Revolving trades opened in twelve months."),
    _count("open_rv_24m", description="Revolving trades opened in twenty-four months."),
    _amount("max_bal_bc", description="Largest balance on a revolving account."),
    _percent("all_util", description="Balance over limit, all trades."),
    _count("inq_fi", description="Personal finance inquiries."),
    _count("total_cu_tl", description="Finance trades."),
    _count("inq_last_12m", description="Credit inquiries in twelve months."),
    _amount("annual_inc_joint", description="Combined yearly income of joint applicants."),
    _percent("dti_joint", description="Debt to income of joint applicants.", lower=-1, upper=999),
    _text("verification_status_joint", description="Whether the joint income was verified."),
    _amount("revol_bal_joint", description="Combined revolving balance."),
    _fico("sec_app_fico_range_low", description="Second applicant: lower end of the FICO range."),
    _fico("sec_app_fico_range_high", description="Second applicant: upper end of the FICO range."),
    _core("sec_app_earliest_cr_line", kind=Kind.MONTH, unit="month", description="Second applicant: oldest line."),
    _count("sec_app_inq_last_6mths", description="Second applicant: inquiries in six months."),
    _count("sec_app_mort_acc", description="Second applicant: mortgage accounts."),
    _count("sec_app_open_acc", description="Second applicant: open trades."),
    _percent("sec_app_revol_util", description="Second applicant: revolving utilisation."),
    _count("sec_app_open_act_il", description="Second applicant: active instalment trades."),
    _count("sec_app_num_rev_accts", description="Second applicant: revolving accounts."),
    _count("sec_app_chargeoff_within_12_mths", description="Second applicant: charge-offs within twelve months."),
    _count("sec_app_collections_12_mths_ex_med", description="Second applicant: collections in twelve months."),
    _months("sec_app_mths_since_last_major_derog", description="Second applicant: months since 90 days or worse."),
)

_BUREAU = (
    _amount("tot_coll_amt", description="Collection amounts ever owed."),
    _amount("tot_cur_bal", description="Current balance of all accounts."),
    _amount("total_rev_hi_lim", description="Revolving high credit or limit."),
    _count("acc_open_past_24mths", description="Trades opened in twenty-four months."),
    _amount("avg_cur_bal", description="Average current balance."),
    _amount("bc_open_to_buy", description="Open to buy on bankcards."),
    _percent("bc_util", description="Bankcard balance over bankcard limit."),
    _months("mo_sin_old_il_acct", description="Months since the oldest instalment account."),
    _months("mo_sin_old_rev_tl_op", description="Months since the oldest revolving account."),
    _months("mo_sin_rcnt_rev_tl_op", description="Months since the latest revolving account."),
    _months("mo_sin_rcnt_tl", description="Months since the latest account."),
    _count("mort_acc", description="Mortgage accounts."),
    _months("mths_since_recent_bc", description="Months since the latest bankcard account."),
    _months("mths_since_recent_bc_dlq", description="Months since the latest bankcard delinquency."),
    _months("mths_since_recent_inq", description="Months since the latest inquiry."),
    _months("mths_since_recent_revol_delinq", description="Months since the latest revolving delinquency."),
    _count("num_accts_ever_120_pd", description="Accounts ever 120 days past due."),
    _count("num_actv_bc_tl", description="Active bankcard accounts."),
    _count("num_actv_rev_tl", description="Active revolving trades."),
    _count("num_bc_sats", description="Satisfactory bankcard accounts."),
    _count("num_bc_tl", description="Bankcard accounts."),
    _count("num_il_tl", description="Instalment accounts."),
    _count("num_op_rev_tl", description="Open revolving accounts."),
    _count("num_rev_accts", description="Revolving accounts."),
    _count("num_rev_tl_bal_gt_0", description="Revolving trades with a balance."),
    _count("num_sats", description="Satisfactory accounts."),
    _count("num_tl_120dpd_2m", description="Accounts 120 days past due, last two months."),
    _count("num_tl_30dpd", description="Accounts 30 days past due, last two months."),
    _count("num_tl_90g_dpd_24m", description="Accounts 90 days past due in twenty-four months."),
    _count("num_tl_op_past_12m", description="Accounts opened in twelve months."),
    _percent("pct_tl_nvr_dlq", description="Share of trades never delinquent.", upper=100),
    _percent("percent_bc_gt_75", description="Share of bankcards above 75 % of their limit.", upper=100),
    _amount("tot_hi_cred_lim", description="High credit or limit of all accounts."),
    _amount("total_bal_ex_mort", description="Balance without mortgages."),
    _amount("total_bc_limit", description="Bankcard high credit or limit."),
    _amount("total_il_high_credit_limit", description="Instalment high credit or limit."),
)

ERA: tuple[Column, ...] = tuple(replace(column, stage=Stage.ERA) for column in _ERA)
BUREAU: tuple[Column, ...] = tuple(replace(column, stage=Stage.BUREAU) for column in _BUREAU)
