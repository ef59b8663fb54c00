"""The card of a model version: what it is for, what it learnt from, how good it is, and where it must not be used.

Everything comes from the bundle itself, from the record of its promotion, and from the training set while that is
still the one with the bundle's fingerprint. In the style of SR 26-2's documentation; a form, not a finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from credit_risk_platform.adapters import training_data
from credit_risk_platform.adapters.bundles import Champion
from credit_risk_platform.adapters.reports.section import (
    Column,
    Figure,
    Grid,
    Report,
    Section,
    Source,
    Unit,
    grid,
    not_made,
)
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.features import Stage, by_name, of_stages

KIND = "model_card"
CHAMPION, TRAINING_SET, FAIR, BOARD = (
    Source("models/champion"), Source("gold/training_set"), Source("gold/fair_lending"), Source("models/leaderboard"),
)  # fmt: skip
SCORED = "gold/origination_scores"
SPLITS = ("train", "validation", "out_of_time")
METRICS = ("auc", "gini", "ks", "brier", "log_loss", "precision", "recall", "lift_10", "psi")
CALIBRATION = ("ece", "calibration_slope", "calibration_intercept")
LABELS = {
    "auc": "AUC", "gini": "Gini", "ks": "KS", "brier": "Brier", "log_loss": "log-loss", "psi": "PSI", "ece": "ECE",
    "lift_10": "lift, riskiest tenth",
}  # fmt: skip
PURPOSE = (
    "Probability that a consumer instalment loan goes bad within its performance window, as of the application. It "
    "serves the decision policy (approve, refer, decline), the ranking of the open book, and reasons of a decision."
)
LIMITS = (
    "Not for collections, pricing, marketing, or any decision on a person that is not about this credit.",
    (
        "It learnt from loans that were granted: of applicants who were declined no outcome is known, so PDs of "
        "applications unlike the granted ones are extrapolation."
    ),
    (
        "It has seen the economy of its training window only; PDs are not stressed. Scenarios are the business of "
        "gold/stress_ecl."
    ),
    "Labels mature late: the newest vintages had no say in it.",
    (
        "A missing value is an input like another; a feed that goes silent moves PDs without an error. Drift is "
        "watched in monitoring/feature_drift."
    ),
)
ETHICS = (
    (
        "Age, sex, state, education and family size are no inputs of the model; where the book has them they are kept "
        "apart and used to measure fairness only. Other inputs may still stand in for them, which is what is measured."
    ),
    "A decline by the model is explained by reasons in approved words, and a person looks at it when asked to.",
    "The figures on fairness are a screening statistic and not a legal test.",
)


@dataclass(frozen=True)
class ModelVersion:
    """A champion with the record of its promotion."""

    bundle: ModelBundle
    pointer: Champion

    @property
    def name(self) -> str:
        """As folders and titles say it: promotion and bundle."""
        return f"v{self.pointer.promotion.version}-{self.bundle.sha256[:12]}"


def report(warehouse: Warehouse, version: ModelVersion, as_of: date, owner: str) -> Report:
    """The card; `as_of` is the last day the book knows of, `owner` the team that answers for the model."""
    sections = [
        _identity(version, owner), _data(warehouse, version), _features(version), _metrics(version),
        _calibration(version), _fairness(warehouse), _limits(), _ethics(),
    ]  # fmt: skip
    title = f"{version.bundle.name.replace('_', ' ').capitalize()}, promotion {version.pointer.promotion.version}"
    return Report(KIND, "Model card", title, as_of, sections)


def training_set_is_its_own(warehouse: Warehouse, bundle: ModelBundle) -> bool:
    """Whether the training set in the warehouse is still the one the model was trained on."""
    return warehouse.exists(training_data.TABLE) and training_data.fingerprint(warehouse) == bundle.training_fingerprint


def interval_table(version: ModelVersion, name: str, metrics: Sequence[str]) -> Grid:
    """Metric and split with its 95 % bootstrap interval, of those that the bundle knows."""
    columns = (
        Column("metric"), Column("split"), Column("value", Unit.NUMBER), Column("95 % from", Unit.NUMBER),
        Column("to", Unit.NUMBER), Column("loans", Unit.COUNT),
    )  # fmt: skip
    rows = [
        [LABELS.get(metric, metric.replace("_", " ")), split.replace("_", " "), found["value"], found.get("low"),
         found.get("high"), found.get("rows")]
        for metric in metrics for split in SPLITS
        if (found := version.bundle.metrics.get(split, {}).get(metric)) is not None
    ]  # fmt: skip
    return Grid(name, columns, rows, CHAMPION)


def _identity(version: ModelVersion, owner: str) -> Section:
    bundle, promotion = version.bundle, version.pointer.promotion
    told = [
        ("Model", bundle.name), ("Promotion", f"v{promotion.version}"), ("Owner", owner),
        ("In force since", promotion.promoted_at[:10]), ("Promoted by", promotion.promoted_by),
        ("Bundle", bundle.sha256), ("Feature SQL", bundle.feature_sql_hash),
        ("Policy when trained", bundle.policy_version),
        ("Settings", ", ".join(f"{name} {value}" for name, value in sorted(bundle.params.items())) or "none"),
        ("Why it was promoted, and the gates it passed", promotion.reason),
    ]  # fmt: skip
    figures = [Figure(name, value, Unit.TEXT, CHAMPION) for name, value in told]
    figures.append(Figure("Seed", str(bundle.seed), Unit.TEXT, CHAMPION))
    return Section("identity", "Purpose and owner", PURPOSE, figures=figures)


def _data(warehouse: Warehouse, version: ModelVersion) -> Section:
    told = Section("data", "Training data", "Matured loans inside the credit policy, whole vintages, split in time.")
    if not training_set_is_its_own(warehouse, version.bundle):
        return replace(told, missing="the training set in the warehouse is another one by now (or was not made)")
    columns = (
        Column("split"), Column("first vintage"), Column("last vintage"), Column("loans", Unit.COUNT),
        Column("bad", Unit.COUNT), Column("bad rate", Unit.SHARE),
    )  # fmt: skip
    rows = [
        [card.split.replace("_", " "), card.first_month, card.last_month, card.loans, card.bads, card.bad_rate]
        for card in training_data.cards(warehouse)
    ]
    fingerprint = Figure("Fingerprint of the set", version.bundle.training_fingerprint, Unit.TEXT, TRAINING_SET)
    return replace(told, figures=[fingerprint], tables=[Grid("Splits", columns, rows, TRAINING_SET)])


def _features(version: ModelVersion) -> Section:
    directions = {1: "PD rises with it", -1: "PD falls with it", 0: "none set"}
    rows = []
    for feature in version.bundle.features:
        try:
            known = by_name(feature.name)
            told = [known.description, known.unit, known.as_of_rule, str(known.policy)]
        except KeyError:
            told = ["not in the registry by now", "", "", "not in the registry"]
        rows.append([feature.name, *told, directions[feature.monotone]])
    columns = [Column(name) for name in ("feature", "meaning", "unit", "as of", "policy status", "direction")]
    count = Figure("Inputs", len(rows), Unit.COUNT, CHAMPION)
    words = "Every input, with what it may be used for: 'model' is cleared for models, the other states are not."
    tables = [Grid("Inputs", columns, rows, CHAMPION)]
    return Section("features", "Inputs", words, figures=[count], notes=[_alternative_data(version)], tables=tables)


def _alternative_data(version: ModelVersion) -> str:
    known = {feature.name for feature in of_stages(Stage.ALTERNATIVE)}
    read = [feature.name for feature in version.bundle.features if feature.name in known]
    if read:
        return f"Alternative data: the model reads cash-flow features of bank transactions ({', '.join(read)})."
    return "Alternative data: none. Cash-flow features of bank transactions are switched off (CRP_ALTERNATIVE_DATA)."


def _metrics(version: ModelVersion) -> Section:
    words = (
        "By split; the out-of-time loans are the latest and had no part in the choice. Precision and recall at the "
        "policy's cut-off, lift in the riskiest tenth, PSI of the PDs against training. Intervals: 95 %, bootstrap."
    )
    table = interval_table(version, "Discrimination and error", METRICS)
    if not table.rows:
        return Section("metrics", "Performance", words, missing="the bundle was stored without metrics")
    return Section("metrics", "Performance", words, tables=[table])


def _calibration(version: ModelVersion) -> Section:
    words = "Whether PDs come true: mean gap over ten bins (ECE), slope (1 is right) and intercept (0 is right)."
    calibrator = version.bundle.calibrator
    figures = [Figure("Calibrator", str(calibrator.method), Unit.TEXT, CHAMPION)]
    table = interval_table(version, "Calibration", CALIBRATION)
    return Section("calibration", "Calibration", words, figures=figures, tables=[table] if table.rows else [])


def _fairness(warehouse: Warehouse) -> Section:
    told = Section(
        "fairness",
        "Fairness",
        "Selection rates by group against the reference group (adverse impact ratio, 95 % interval) and the difference "
        "of PDs in standard deviations, on the whole book. A dash: the reference group itself. "
        "Groups below 100 loans are not shown.",
    )
    if not warehouse.exists("gold.fair_lending"):
        return not_made(told, FAIR.asset)
    sql = """
        select attribute, group_name, loans, selection_rate, air, air_low, air_high, smd_pd
        from gold.fair_lending where not suppressed order by attribute, group_name
    """
    columns = (
        Column("attribute"), Column("group"), Column("loans", Unit.COUNT), Column("approved", Unit.SHARE),
        Column("impact ratio", Unit.NUMBER), Column("95 % from", Unit.NUMBER), Column("to", Unit.NUMBER),
        Column("difference of PD", Unit.NUMBER),
    )  # fmt: skip
    found = warehouse.query(sql)
    if not found.num_rows:
        return replace(told, missing=f"{FAIR.asset} has no group of loans with scores: materialise {SCORED}, then it")
    return replace(told, tables=[grid("Groups", found, columns, FAIR)])


def _limits() -> Section:
    return Section("limits", "Limits", "Where it must not be used, and what it cannot know.", notes=LIMITS)


def _ethics() -> Section:
    return Section("ethics", "Ethical notes", "What was weighed besides accuracy.", notes=ETHICS)
