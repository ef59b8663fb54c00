"""What declined applicants must be told, by when."""

import dagster as dg

from credit_risk_platform.adapters import adverse_action
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import Gold, Group, Owner
from credit_risk_platform.defs.decisions import checks
from credit_risk_platform.defs.decisions.metadata import require, shown, table, version
from credit_risk_platform.domain.notices import CLOCK, TEMPLATE, NoticeError


@dg.asset(
    key=Gold.ADVERSE_ACTION_NOTICES,
    deps=[Gold.DECISIONS, Gold.SCORE_LEDGER, Gold.POLICY_VERSIONS],
    check_specs=checks.NOTICE_SPECS,
    group_name=Group.DECISIONS,
    owners=[Owner.ANALYTICS],
    kinds={"python", "duckdb"},
    code_version="1",
    description=(
        f"The notice of each declined application, made from the ledger: principal reasons in approved words, the "
        f"score with its range, and the day it is due ({CLOCK.days} days after the decision). It names nobody: the "
        "sender finds the applicant by the token. US rules (Regulation B 1002.9, FCRA 615); have counsel read it."
    ),
)
def adverse_action_notices(
    context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]
) -> dg.MaterializeResult:
    require(warehouse, Gold.DECISIONS, Gold.POLICY_VERSIONS)
    try:
        written = adverse_action.write(warehouse)
    except NoticeError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    context.log.info("%d new notices", written)
    example = adverse_action.example(warehouse)
    return dg.MaterializeResult(
        data_version=version(warehouse, Gold.ADVERSE_ACTION_NOTICES, "score_id", "reasons", "template_version"),
        metadata={
            **table(warehouse, Gold.ADVERSE_ACTION_NOTICES),
            "new": written,
            "template": TEMPLATE.version,
            "due": shown(adverse_action.by_due_day(warehouse)),
            "newest_notice": dg.MetadataValue.md(f"```\n{example}```" if example else "none yet"),
        },
        check_results=checks.notice_results(warehouse),
    )
