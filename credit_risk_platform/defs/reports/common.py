"""What the room's assets share: keeping a report, showing it, and whether it came out as it did before."""

from typing import Any

import dagster as dg

from credit_risk_platform.adapters import markdown
from credit_risk_platform.adapters.reports import page, shelf
from credit_risk_platform.adapters.reports.section import Report, Unit
from credit_risk_platform.adapters.reports.shelf import Kept, Making
from credit_risk_platform.defs.reports.evidence import look_up
from credit_risk_platform.settings import Settings
from credit_risk_platform.upstream import stamp_of

CHECK = "report_reproducible"
HEADLINES = 30


def reproducible(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """The check every report bears."""
    return dg.AssetCheckSpec(
        CHECK,
        asset=asset,
        description=(
            "Made again for the same day, the report says the same, byte by byte in its data section. Warns when the "
            "data of that day were restated, and lists what differs; the version before is kept."
        ),
    )


def publish(
    context: dg.AssetExecutionContext,
    settings: Settings,
    report: Report,
    folder: str,
    checked: dg.AssetKey | None = None,
) -> dg.MaterializeResult:
    """Write the report below `<reports>/<kind>/<folder>`, and show where it is and what it says.

    `checked` is the asset whose check says whether the day was restated; without it the page shows the present only.
    """
    stamp = stamp_of(context, [])
    place = f"{report.kind}/{folder}"
    kept = shelf.keep(
        settings.files("reports").below(place),
        report.data(),
        look_up(context.instance, settings.dagster_url),
        Making(stamp.run_id, stamp.known_at.isoformat()),
        page.render,
        restates=checked is not None,
    )
    absent = [section["title"] for section in kept.data["sections"] if section["missing"]]
    return dg.MaterializeResult(
        data_version=dg.DataVersion(kept.version.sha256),
        check_results=[_reproducible(checked, kept)] if checked else [],
        metadata={
            "report": dg.MetadataValue.url(f"{settings.reports_url}/{place}/{shelf.INDEX}"),
            "figures": dg.MetadataValue.url(f"{settings.reports_url}/{place}/{kept.version.name}.json"),
            "path": dg.MetadataValue.path(kept.page),
            "sha256": kept.version.sha256,
            "as_of": report.as_of.isoformat(),
            "headlines": dg.MetadataValue.md(_headlines(kept)),
            "not_made_yet": ", ".join(absent) or "none",
            "without_an_event": ", ".join(sorted(k for k, event in kept.version.evidence.items() if not event))
            or "none",
            "versions": len(kept.earlier) + 1,
            "restated": kept.restated,
        },
    )


def _headlines(kept: Kept) -> str:
    rows: list[list[Any]] = [
        [one["name"], page.shown(one["value"], one["unit"]), one["source"]]
        for section in kept.data["sections"]
        for one in section["figures"]
        if one["unit"] != Unit.TEXT
    ]
    return markdown.table(("figure", "value", "made by"), rows[:HEADLINES]) if rows else "No figures yet."


def _reproducible(asset: dg.AssetKey, kept: Kept) -> dg.AssetCheckResult:
    metadata: dict[str, Any] = {"sha256": kept.version.sha256, "versions": len(kept.earlier) + 1}
    if kept.version.carried:
        metadata["carried_over"] = ", ".join(kept.version.carried)
    if kept.restated:
        metadata |= {
            "before": kept.version.restates or "",
            "differs": dg.MetadataValue.md("\n".join(f"- {line}" for line in kept.version.differences)),
            "next_step": "Data of that day were restated: monitoring/restatement_diff names the keys. Whoever was "
            "given the version before (it is kept beside this one) should be given this one.",
        }
    return dg.AssetCheckResult(
        check_name=CHECK,
        asset_key=asset,
        passed=not kept.restated,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=metadata,
    )
