"""What became of the PDs, and how far the population has moved."""

MATURED = """
select issue_month, exposure, loans, bads, observed_bad_rate, expected_bad_rate, auc
from monitoring.performance_matured where {where} order by issue_month
"""

ESTIMATED = """
select issue_month, matured, loans, estimated_auc, auc_error, estimated_bad_rate
from monitoring.performance_estimated where {where} order by issue_month
"""

BACKTEST = """
select issue_month, band, light, expected_pd, bad_rate, loans
from monitoring.backtest_pd where {where} order by issue_month, band
"""

REALISED = "select loans, bads, mean_pd, z, is_off from monitoring.realised_pd order by as_of desc limit 1"

SCORE_DRIFT = """
select as_of, replace(population, '_', ' ') as series, psi
from monitoring.score_drift where feature = 'pd' order by population, as_of
"""

POPULATIONS = "select distinct population from monitoring.feature_drift order by population desc"

FEATURE_DRIFT = """
select as_of, feature, psi, verdict
from monitoring.feature_drift
where population = ? and as_of = (select max(as_of) from monitoring.feature_drift) and psi is not null
order by psi desc, feature
limit ?
"""
