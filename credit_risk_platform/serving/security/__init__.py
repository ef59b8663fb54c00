"""What stands between the network and the routes: keys, roles, limits, audit.

The gate (`install`) lets a request in: before its body is read it has an id, a caller and a place within its client's
rate. A path that is not open needs a live key whether or not its route asks for a role: a forgotten `require` opens
nothing.

A route takes its `Caller` by `Depends(require(*PREDICT))`, and tells the audit log how much it did by
`request.state.scores = n`. `request.state.request_id` is the id in answer, problem and audit log;
`request.state.near` is true for a process on this machine.
"""

from credit_risk_platform.serving.security.callers import Caller, require
from credit_risk_platform.serving.security.gate import DOCS_FILES, GateOptions, install
from credit_risk_platform.serving.security.roles import METRICS, PREDICT, READ_MODEL, READ_SCORES

__all__ = [
    "DOCS_FILES",
    "METRICS",
    "PREDICT",
    "READ_MODEL",
    "READ_SCORES",
    "Caller",
    "GateOptions",
    "install",
    "require",
]
