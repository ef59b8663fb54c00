"""The address book: every asset key, group, owner, kind and pool, written once.

Rooms never import rooms; they meet here. A key that is not in this file is a typo: a test fails on external assets
nobody listed.
"""

from __future__ import annotations

from datetime import date

import dagster as dg

PORTFOLIO_DAYS = dg.DailyPartitionsDefinition(start_date="2007-06-01", end_offset=1, timezone="UTC")
"""One partition per as-of date. It starts with LendingClub's first loans; `end_offset=1` admits today."""

SCENARIOS = dg.StaticPartitionsDefinition(["baseline", "adverse", "severely_adverse"])
"""One partition per macroeconomic scenario, as the Federal Reserve names them."""

SYNTHETIC_AS_OF = date(2026, 6, 30)
"""Last day the synthetic book knows of: a constant, so that the same seed gives the same bytes on any day."""


LAYERS = ("bronze", "silver", "gold", "models", "monitoring", "serving")
"""First part of every asset key."""


class Group:
    """One group per room, as the UI shows them. Plain text: Dagster cannot send an enum of ours over the wire."""

    SOURCES = "sources"
    STAGING = "staging"
    FEATURES = "features"
    PORTFOLIO = "portfolio"
    POLICY = "policy"
    TRAINING = "training"
    SCORING = "scoring"
    MONITORING = "monitoring"
    STREAMING = "streaming"
    BEHAVIOUR = "behaviour"
    DECISIONS = "decisions"
    EARLY_WARNING = "early_warning"
    PERFORMANCE = "performance"
    ARCHIVE = "archive"
    HEALTH = "health"
    RISK = "risk"
    PROVISIONING = "provisioning"
    REPORTS = "reports"
    FINTECH = "fintech"
    BANK_SYSTEMS = "bank_systems"
    PARITY = "parity"
    SERVING = "serving"


class Owner:
    """Teams that answer for an asset."""

    DATA = "team:risk-data"
    MODELS = "team:risk-models"
    ANALYTICS = "team:risk-analytics"


GROUPS = frozenset(value for name, value in vars(Group).items() if name.isupper())
OWNERS = frozenset(value for name, value in vars(Owner).items() if name.isupper())


class Bronze:
    """Landed sources."""

    SYNTHETIC_LOANS = dg.AssetKey(["bronze", "synthetic_loans"])
    SYNTHETIC_REPAYMENTS = dg.AssetKey(["bronze", "synthetic_repayments"])
    LENDING_CLUB_LOANS = dg.AssetKey(["bronze", "lending_club_loans"])
    LANDING_LOANS = dg.AssetKey(["bronze", "landing_loans"])
    MACRO_SERIES = dg.AssetKey(["bronze", "macro_series"])
    RAW_APPLICATIONS = dg.AssetKey(["bronze", "raw_applications"])
    RAW_REPAYMENTS = dg.AssetKey(["bronze", "raw_repayments"])
    RAW_TRANSACTIONS = dg.AssetKey(["bronze", "raw_transactions"])
    LATE_EVENTS = dg.AssetKey(["bronze", "late_events"])
    DEAD_LETTERS = dg.AssetKey(["bronze", "dead_letters"])
    RAW_PLAID_TRANSACTIONS = dg.AssetKey(["bronze", "raw_plaid_transactions"])
    RAW_RAZORPAYX_TRANSACTIONS = dg.AssetKey(["bronze", "raw_razorpayx_transactions"])
    RAW_CRM_CUSTOMERS = dg.AssetKey(["bronze", "raw_crm_customers"])
    RAW_CORE_ACCOUNTS = dg.AssetKey(["bronze", "raw_core_accounts"])
    RAW_BUREAU_PULLS = dg.AssetKey(["bronze", "raw_bureau_pulls"])


class Gold:
    """What analysts, models and front doors read."""

    APPLICATION_FEATURES = dg.AssetKey(["gold", "application_features"])
    BEHAVIOUR_FEATURES = dg.AssetKey(["gold", "behaviour_features"])
    LOAN_OUTCOMES = dg.AssetKey(["gold", "loan_outcomes"])
    RISK_BANDS = dg.AssetKey(["gold", "risk_bands"])
    REASON_CODES = dg.AssetKey(["gold", "reason_codes"])
    TRAINING_SET = dg.AssetKey(["gold", "training_set"])
    PORTFOLIO_SCORES = dg.AssetKey(["gold", "portfolio_scores"])
    SCORE_LEDGER = dg.AssetKey(["gold", "score_ledger"])
    PUBLISHED_MARTS = dg.AssetKey(["gold", "published_marts"])
    BEHAVIOUR_TRAINING_SET = dg.AssetKey(["gold", "behaviour_training_set"])
    APPLICATION_SCORES = dg.AssetKey(["gold", "application_scores"])
    LOAN_STATE = dg.AssetKey(["gold", "loan_state"])
    TXN_FEATURES_WINDOW = dg.AssetKey(["gold", "txn_features_window"])
    MESSAGE_TRACE = dg.AssetKey(["gold", "message_trace"])
    POLICY_VERSIONS = dg.AssetKey(["gold", "policy_versions"])
    CUTOFF_CURVE = dg.AssetKey(["gold", "cutoff_curve"])
    FRAUD_SIGNALS = dg.AssetKey(["gold", "fraud_signals"])
    DECISIONS = dg.AssetKey(["gold", "decisions"])
    REFERRAL_QUEUE = dg.AssetKey(["gold", "referral_queue"])
    ADVERSE_ACTION_NOTICES = dg.AssetKey(["gold", "adverse_action_notices"])
    SHADOW_SCORES = dg.AssetKey(["gold", "shadow_scores"])
    EXPERIMENT_READOUT = dg.AssetKey(["gold", "experiment_readout"])
    EARLY_WARNING_RULES = dg.AssetKey(["gold", "early_warning_rules"])
    EARLY_WARNINGS = dg.AssetKey(["gold", "early_warnings"])
    RISK_SEGMENTS = dg.AssetKey(["gold", "risk_segments"])
    WATCHLIST = dg.AssetKey(["gold", "watchlist"])
    KPI_SUMMARY = dg.AssetKey(["gold", "kpi_summary"])
    PORTFOLIO_WARNINGS = dg.AssetKey(["gold", "portfolio_warnings"])
    EARLY_WARNING_COVERAGE = dg.AssetKey(["gold", "early_warning_coverage"])
    EARLY_WARNING_FILES = dg.AssetKey(["gold", "early_warning_files"])
    ORIGINATION_SCORES = dg.AssetKey(["gold", "origination_scores"])
    PORTFOLIO_LOANS = dg.AssetKey(["gold", "portfolio_loans"])
    PORTFOLIO_MONTHS = dg.AssetKey(["gold", "portfolio_months"])
    PORTFOLIO_DAILY = dg.AssetKey(["gold", "portfolio_daily"])
    DELINQUENCY_BUCKETS = dg.AssetKey(["gold", "delinquency_buckets"])
    HIGH_RISK_LOANS = dg.AssetKey(["gold", "high_risk_loans"])
    VINTAGE_CURVES = dg.AssetKey(["gold", "vintage_curves"])
    LOAN_TRANSITIONS = dg.AssetKey(["gold", "loan_transitions"])
    ROLL_RATES = dg.AssetKey(["gold", "roll_rates"])
    ROLL_FORECAST = dg.AssetKey(["gold", "roll_forecast"])
    DEFAULT_TREND = dg.AssetKey(["gold", "default_trend"])
    APPROVALS = dg.AssetKey(["gold", "approvals"])
    SCORE_DISTRIBUTION = dg.AssetKey(["gold", "score_distribution"])
    CONCENTRATION = dg.AssetKey(["gold", "concentration"])
    FAIR_LENDING = dg.AssetKey(["gold", "fair_lending"])
    LOAN_ECL = dg.AssetKey(["gold", "loan_ecl"])
    ECL_STAGE = dg.AssetKey(["gold", "ecl_stage"])
    ECL_WATERFALL = dg.AssetKey(["gold", "ecl_waterfall"])
    STRESS_ECL = dg.AssetKey(["gold", "stress_ecl"])
    CASHFLOW_FEATURES = dg.AssetKey(["gold", "cashflow_features"])


class Models:
    """Candidates and the one that scores."""

    LEADERBOARD = dg.AssetKey(["models", "leaderboard"])
    CHAMPION = dg.AssetKey(["models", "champion"])
    BEHAVIOUR_CHAMPION = dg.AssetKey(["models", "behaviour_champion"])
    HAZARD_PD = dg.AssetKey(["models", "hazard_pd"])
    LGD_MODEL = dg.AssetKey(["models", "lgd_model"])
    MODEL_CARD = dg.AssetKey(["models", "model_card"])

    @staticmethod
    def candidate(name: str) -> dg.AssetKey:
        return dg.AssetKey(["models", name])


class Monitoring:
    """Reports over scores and features."""

    FEATURE_DRIFT = dg.AssetKey(["monitoring", "feature_drift"])
    SCORE_DRIFT = dg.AssetKey(["monitoring", "score_drift"])
    FEATURE_DRIFT_REPORT = dg.AssetKey(["monitoring", "feature_drift_report"])
    PREDICTION_DRIFT_REPORT = dg.AssetKey(["monitoring", "prediction_drift_report"])
    PERFORMANCE_MATURED = dg.AssetKey(["monitoring", "performance_matured"])
    PERFORMANCE_ESTIMATED = dg.AssetKey(["monitoring", "performance_estimated"])
    BACKTEST_PD = dg.AssetKey(["monitoring", "backtest_pd"])
    ARCHIVE_DAILY = dg.AssetKey(["monitoring", "archive_daily"])
    RESTATEMENT_DIFF = dg.AssetKey(["monitoring", "restatement_diff"])
    ALERTS = dg.AssetKey(["monitoring", "alerts"])
    ASSET_HEALTH = dg.AssetKey(["monitoring", "asset_health"])
    STREAM_HEALTH = dg.AssetKey(["monitoring", "stream_health"])
    API_HEALTH = dg.AssetKey(["monitoring", "api_health"])
    PLATFORM_HEALTH = dg.AssetKey(["monitoring", "platform_health"])
    REPORT_PORTFOLIO_RISK = dg.AssetKey(["monitoring", "report_portfolio_risk"])
    REPORT_ADVERSE_ACTION_LOG = dg.AssetKey(["monitoring", "report_adverse_action_log"])
    REPORT_MODEL_VALIDATION = dg.AssetKey(["monitoring", "report_model_validation"])
    REPORT_ECL = dg.AssetKey(["monitoring", "report_ecl"])
    REPORT_RULES = dg.AssetKey(["monitoring", "report_rules"])
    WAREHOUSE_PARITY = dg.AssetKey(["monitoring", "warehouse_parity"])


class Serving:
    """Copies outside the warehouse."""

    SCORED_APPLICATIONS = dg.AssetKey(["serving", "scored_applications"])
    DECISIONS = dg.AssetKey(["serving", "decisions"])


LANE = "crp/lane"
BATCH_RUN, STREAM_RUN = {LANE: "batch"}, {LANE: "stream"}
"""Run tags. `dagster.yaml` limits the first kind, so that a training run never takes the slots of the stream."""

TRIGGER, TRIGGER_VALUE, TRIGGER_EVIDENCE = "crp/trigger", "crp/trigger_value", "crp/trigger_evidence"
"""Run tags of a training that was asked for by evidence: what called for it, the figure, and the day and bundle."""


def table_of(key: dg.AssetKey) -> str:
    """Warehouse table of an asset: `gold/loan_outcomes` lives in `gold.loan_outcomes`."""
    return ".".join(key.path)
