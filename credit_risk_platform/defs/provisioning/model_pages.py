"""What the pages of the hazard and LGD models show, and the notes that travel with the models."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from credit_risk_platform.adapters import markdown, provisioning_plots
from credit_risk_platform.adapters.person_months import AtRisk
from credit_risk_platform.adapters.workouts import Defaulted
from credit_risk_platform.domain.provisioning import hazard_fit
from credit_risk_platform.domain.provisioning.hazard import INTERCEPT, Curves, HazardModel
from credit_risk_platform.domain.provisioning.hazard_fit import OutOfTime
from credit_risk_platform.domain.provisioning.lgd import WORKOUT_MONTHS, LgdModel
from credit_risk_platform.domain.provisioning.lgd_fit import COLLECTION_COST, RECOVERY_MONTHS
from credit_risk_platform.domain.provisioning.person_months import ARREARS, COLUMNS, DEFAULTED

SEEN = ("not known (from issue)", *ARREARS)
"""Arrears by code + 1."""


def hazard_notes(at_risk: AtRisk) -> dict[str, Any]:
    """What a hazard model remembers of its making."""
    vintages = at_risk.months.vintage
    return {
        "loans": at_risk.loans,
        "months_at_risk": at_risk.months_at_risk,
        "months_read": len(at_risk.months),
        "defaults_from_issue": int(((at_risk.months.event == DEFAULTED) & _from_issue(at_risk)).sum()),
        "first_vintage": _month(int(vintages.min())) if len(vintages) else None,
        "last_vintage": _month(int(vintages.max())) if len(vintages) else None,
        "payments_known": at_risk.has_panel,
        "macro_missing": at_risk.macro_missing,
        "bundles": list(at_risk.bundles),
    }


def hazard_page(
    model: HazardModel, at_risk: AtRisk, judged: OutOfTime | None, curves: Curves, matured: pa.Table
) -> dict[str, Any]:
    notes = model.notes
    return {
        "model_sha": model.sha256,
        "loans": at_risk.loans,
        "loans_without_score": at_risk.loans_without_score,
        "months_at_risk": at_risk.months_at_risk,
        "months_read": len(at_risk.months),
        "defaults_from_issue": notes["defaults_from_issue"],
        "unemployment_effect": model.unemployment_effect,
        "unemployment": str(notes["unemployment"]),
        "kaplan_meier": dg.MetadataValue.md(_kaplan_meier(model, at_risk)),
        "coefficients": dg.MetadataValue.md(_coefficients(model)),
        "scored_by": ", ".join(sha[:12] for sha in at_risk.bundles),
        **_lifetime(curves, matured),
        **(_judged(judged) if judged else {"out_of_time": "too few defaults to split by vintage"}),
    }


def lgd_notes(found: Defaulted) -> dict[str, Any]:
    """What an LGD model remembers of its making."""
    return {
        "closed_workouts": len(found.closed),
        "cured": found.cured,
        "open_workouts_left_out": found.still_open,
        "recoveries_not_published": found.unpublished,
        "workout_months": WORKOUT_MONTHS,
        "recovery_months": RECOVERY_MONTHS,
        "collection_cost": COLLECTION_COST,
    }


def lgd_page(model: LgdModel, found: Defaulted) -> dict[str, Any]:
    realised = found.closed.realised()
    page: dict[str, Any] = {
        "model_sha": model.sha256,
        "mean_lgd": model.mean,
        **{name: value for name, value in model.notes.items() if value is not None},
        "downturn_per_point": model.per_point,
        "reference_unemployment": model.reference_unemployment,
    }
    if len(realised):
        page["realised"] = dg.MetadataValue.md(provisioning_plots.realised_lgd(realised, model.mean))
        page["groups"] = dg.MetadataValue.md(_groups(model, found, realised))
    return page


def _lifetime(curves: Curves, matured: pa.Table) -> dict[str, Any]:
    """Predicted lifetime PD of loans whose end is known, against that end; by term below."""
    if not matured.num_rows:
        return {"matured_loans": 0}
    is_bad, term = matured["is_bad"].to_numpy(), matured["term_months"].to_numpy()
    pd = matured["pd"].to_numpy()
    rows = [
        [int(one), int(of.sum()), float(pd[of].mean()), float(curves.lifetime[of].mean()), float(is_bad[of].mean())]
        for one in np.unique(term)
        for of in (term == one,)
    ]
    header = ("term, months", "matured loans", "mean PD at application", "lifetime PD", "bad rate")
    return {
        "matured_loans": matured.num_rows,
        "lifetime_pd": float(curves.lifetime.mean()),
        "matured_bad_rate": float(is_bad.mean()),
        "lifetime_by_term": dg.MetadataValue.md(markdown.table(header, rows)),
    }


def _judged(judged: OutOfTime) -> dict[str, Any]:
    ratio = judged.total["ratio"]
    return {
        "out_of_time_from": _month(judged.first_vintage),
        "expected_defaults": judged.total["expected"],
        "observed_defaults": judged.total["observed"],
        **({} if ratio is None else {"observed_to_expected": ratio}),
        "by_vintage": dg.MetadataValue.md(provisioning_plots.expected_and_observed(judged.by_vintage)),
        "by_term": _expected_table("term, months", judged.by_term, {}),
        "by_arrears": _expected_table("arrears when seen", judged.by_arrears, dict(enumerate(SEEN, start=-1))),
    }


def _expected_table(name: str, rows: Sequence[Mapping[str, Any]], names: Mapping[int, str]) -> dg.MetadataValue:
    header = (name, "months at risk", "expected defaults", "observed", "observed / expected")
    lines = (
        (names.get(row["group"], row["group"]), round(row["months"]), row["expected"], round(row["observed"]),
         row["ratio"])
        for row in rows
    )  # fmt: skip
    return dg.MetadataValue.md(markdown.table(header, lines, digits=".2f"))


def _kaplan_meier(model: HazardModel, at_risk: AtRisk) -> str:
    """Of the four commonest terms, up to the term: after it none but the late are left, and most of them default."""
    seen, chance = at_risk.by_age, hazard_fit.hazards(model, at_risk.months)
    terms = np.asarray(seen["term_months"].to_numpy())
    at_start = {int(term): int(seen["at_risk"].to_numpy()[terms == term].max()) for term in np.unique(terms)}
    curves = {}
    for term in sorted(at_start, key=lambda one: -at_start[one])[:4]:
        rows = seen.filter(pa.array((terms == term) & (seen["age"].to_numpy() <= term)))
        counts, defaults = rows["at_risk"].to_numpy().astype(float), rows["defaults"].to_numpy().astype(float)
        said = hazard_fit.mean_hazard(chance, at_risk.months, term, len(counts))
        curves[term] = (hazard_fit.net_default(counts, defaults), 1 - np.cumprod(1 - said))
    return provisioning_plots.kaplan_meier(curves)


def _coefficients(model: HazardModel) -> str:
    lines = (
        (name, model.default.get(name), model.closing.get(name))
        for name in (INTERCEPT, *COLUMNS)
        if name in model.default or name in model.closing
    )
    return markdown.table(("log-odds in a month", "default", "repayment"), lines)


def _groups(model: LgdModel, found: Defaulted, realised: np.ndarray) -> str:
    names, which = np.unique(found.closed.loans.groups(), return_inverse=True)
    count = np.bincount(which)
    mean = np.bincount(which, realised) / count
    lines = (
        (*str(name).split("|", 1), int(n), float(raw), float(model.groups.get(str(name), model.mean)))
        for name, n, raw in zip(names, count, mean, strict=True)
    )
    return markdown.table(("term", "purpose", "closed workouts", "realised LGD", "LGD"), lines)


def _from_issue(at_risk: AtRisk) -> np.ndarray:
    months = at_risk.months
    found: np.ndarray = months.ahead == months.age
    return found


def _month(number: int) -> str:
    return str(np.datetime64(number, "M"))
