"""What an alert rule may watch: a closed list, so that a misspelled metric is an error and not a rule that never fires.

How each one is measured stands in `adapters/alert_metrics.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """`unit` is what a rule's threshold is in; empty for plain numbers."""

    name: str
    unit: str
    description: str

    def show(self, value: float) -> str:
        """`value` with at most four significant digits and the unit: "212 ms", "0.183"."""
        digits = f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
        return f"{digits} {self.unit}".rstrip()


_METRICS = (
    Metric("api_latency_p95", "ms", "Time within which 95 of 100 calls of the scoring API were answered."),
    Metric("api_error_rate", "share", "Calls of the scoring API that failed on our side (HTTP 5xx), of all calls."),
    Metric("auc_roc", "", "AUC of the champion on loans whose outcome is known by now."),
    Metric(
        "auc_drop_vs_development",
        "",
        "AUC of the champion in development less its AUC on matured loans; above zero is a loss.",
    ),
    Metric("feature_drift_score", "PSI", "Highest PSI of a model feature: new applications against development."),
    Metric("score_psi", "PSI", "PSI of the predicted PD: new applications against development."),
    Metric(
        "calibration_shift",
        "log-odds",
        "Distance, whichever way, that the intercept would have to move for predicted and realised defaults to agree.",
    ),
    Metric("stream_lag_messages", "messages", "Messages in the topics that no batch has read yet."),
    Metric("dead_letter_share", "share", "Messages nobody could use, of all that were read lately."),
    Metric(
        "applications_per_day_vs_mean",
        "of mean",
        "Applications of the last full day over the mean of the days before it; 1 is an ordinary day.",
    ),
    Metric("feed_age_hours", "h", "Time since the source that has been silent for longest last brought something."),
    Metric("disk_free_share", "share", "Free space, of all, on the disk that holds the lake."),
)
METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _METRICS}
"""Every metric by its name."""
