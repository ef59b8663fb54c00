"""Who may do what: the one table of roles and routes. A route names its set: `Depends(require(*PREDICT))`."""

from __future__ import annotations

from credit_risk_platform.adapters.api_keys import Role

PREDICT = (Role.UNDERWRITER, Role.ENGINEER, Role.ADMIN)
READ_SCORES = (*PREDICT, Role.AUDITOR, Role.ANALYST)
READ_MODEL = tuple(Role)
METRICS = (Role.ENGINEER, Role.ADMIN)

SEE_SUBJECTS = frozenset({Role.UNDERWRITER, Role.AUDITOR, Role.ADMIN})
"""Analysts and engineers work with scores of nobody in particular: they never see whose a score is."""
