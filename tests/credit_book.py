"""A small book of loans made in SQL, and an MLflow database to copy: what the tests of the training room stand on."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from credit_risk_platform.adapters.registry import ModelRegistry
from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.adapters.warehouse.lock import WriterLock
from credit_risk_platform.domain.features import model_features
from tests.shared_folder import shared_folder

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before any model library loads: cores are shared

MONTHS = 48
FIRST_MONTH = "2020-01-01"
RISKY = {"dti": 1.6, "revolving_utilisation": 1.4, "loan_to_income": 0.9, "bureau_score": -2.2}
"""Features that make a loan bad, with their weight on the log-odds; all others are noise."""
SCALES = {"bureau_score": (600, 250), "loan_amount": (1000, 30000), "annual_income": (20000, 100000)}
BANDS = ("Very Low", "Low", "Medium", "High", "Very High")
EDGES = (0.0, 0.05, 0.1, 0.2, 0.4, 1.000001)


def build_book(warehouse: DuckLakeWarehouse, loans: int = 4000, *, leak: bool = False, shift: float = 0.0) -> None:
    """gold.application_features, gold.loan_outcomes and gold.risk_bands of `loans` matured loans over four years.

    `leak` lets one feature know the outcome; `shift` raises the log-odds of bad in the last year.
    """
    warehouse.replace_table("gold.application_features", Select(_features(loans, leak, shift)))
    warehouse.replace_table("gold.loan_outcomes", Select(_outcomes(loans, shift)))
    bands = " union all ".join(
        f"select 'v1' as policy_version, date '2020-01-01' as effective_from, {k + 1} as band_order, '{name}' as band, "
        f"cast({EDGES[k]} as double) as pd_lower, cast({EDGES[k + 1]} as double) as pd_upper"
        for k, name in enumerate(BANDS)
    )
    warehouse.replace_table("gold.risk_bands", Select(bands))


def write_manifest(home: Path) -> None:
    """dbt's manifest, reduced to the models whose SQL travels in the bundles."""
    parent = {
        "name": "int_applications",
        "schema": "silver",
        "resource_type": "model",
        "compiled_code": "select * from lake.bronze.synthetic_loans",
        "depends_on": {"nodes": []},
    }
    model = {
        "name": "application_features",
        "schema": "gold",
        "resource_type": "model",
        "compiled_code": "select * from lake.silver.int_applications",
        "depends_on": {"nodes": ["model.int_applications"]},
    }
    panel = parent | {"name": "int_loan_month_panel", "compiled_code": "select * from lake.bronze.synthetic_repayments"}
    behaviour = model | {
        "name": "behaviour_features",
        "compiled_code": "select * from lake.silver.int_loan_month_panel",
        "depends_on": {"nodes": ["model.int_loan_month_panel"]},
    }
    manifest = {
        "nodes": {f"model.{node['name']}": node for node in (parent, model, panel, behaviour)},
        "sources": {},
    }
    home.mkdir(parents=True, exist_ok=True)
    (home / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture(scope="session")
def mlflow_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database: making one takes seconds, copying one does not. The workers of one suite share it."""
    root = shared_folder(tmp_path_factory) / "mlflow_template"
    with WriterLock(root.with_suffix(".lock"), timeout_seconds=300).held():
        if not root.exists():
            registry = ModelRegistry(root, "http://127.0.0.1:5000")
            assert registry.version_of("none") is None
    return root


def copy_mlflow(template: Path, root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(template / "mlflow.db", root / "mlflow.db")


def _u(salt: str) -> str:
    """A reproducible uniform number in [0, 1) per loan."""
    return f"((hash(i, '{salt}') % 1000003) / 1000003.0)"


def _month() -> str:
    return f"cast(date '{FIRST_MONTH}' + to_months(cast(i % {MONTHS} as integer)) as date)"


def _is_bad(shift: float) -> str:
    risk = " + ".join(f"{weight} * ({_u(name)} - 0.5)" for name, weight in RISKY.items())
    late = f"case when i % {MONTHS} >= 36 then {shift} else 0 end"
    return f"({_u('label')} < 1 / (1 + exp(2.0 - ({risk}) - ({late}))))"


def _features(loans: int, leak: bool, shift: float) -> str:
    columns = []
    for feature in model_features():
        value = f"({SCALES.get(feature.name, (0, 1))[0]} + {SCALES.get(feature.name, (0, 1))[1]} * {_u(feature.name)})"
        if feature.kind == "categorical":
            value = f"(['a', 'b', 'c'])[1 + cast(floor(2.999 * {_u(feature.name)}) as integer)]"
        elif feature.name == "txn_nsf_count_90d" and leak:
            value = f"(case when {_is_bad(shift)} then 1.0 else 0.0 end + 0.2 * {_u('blur')})"
        columns.append(f"cast({value} as {'varchar' if feature.kind == 'categorical' else 'double'}) as {feature.name}")
    return (
        f"select 'L' || lpad(cast(i as varchar), 8, '0') as loan_id, 'test' as source_system, "
        f"'t' || i as subject_token, {_month()} as decision_date, {_month()} as issue_month, "
        f"true as meets_credit_policy, {', '.join(columns)} from range({loans}) as r(i)"
    )


def _outcomes(loans: int, shift: float) -> str:
    return (
        f"select 'L' || lpad(cast(i as varchar), 8, '0') as loan_id, {_month()} as issue_month, "
        f"{_month()} as decision_date, true as matured, {_is_bad(shift)} as is_bad, true as meets_credit_policy "
        f"from range({loans}) as r(i)"
    )
