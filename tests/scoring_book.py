"""A small scored book for the tests of ledger, replay, scoring and monitoring: real lake, real models, real bundles.

Only what lies upstream of the marts is left out: the three marts are written as their contracts say, and the features
come from a short feature SQL that runs, as in production, on `silver.int_applications`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from credit_risk_platform.adapters.bundles import BundleStore, Promotion
from credit_risk_platform.adapters.feature_sql import FeatureSql
from credit_risk_platform.adapters.ledger_writer import Stamp
from credit_risk_platform.adapters.policies import PolicyBook, policy_on
from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.calibration import Calibrator, Method
from credit_risk_platform.domain.models.frame import CATEGORICAL, NUMERIC, FeatureTable, InputFeature
from credit_risk_platform.domain.models.zoo import model_class
from credit_risk_platform.domain.policy import Policy
from credit_risk_platform.domain.scoring import score
from tests import policy_book

DAY = date(2026, 6, 30)
FEATURES = (
    InputFeature("dti", NUMERIC, 1),
    InputFeature("loan_to_income", NUMERIC, 1),
    InputFeature("purpose", CATEGORICAL),
    InputFeature("revolving_utilisation", NUMERIC, 1),
)
FEATURE_SQL = """
select
    loan_id, source_system, subject_token, decision_date, issue_month, meets_credit_policy,
    debt / nullif(income, 0) as dti, amount / nullif(income, 0) as loan_to_income, purpose,
    utilisation / 100 as revolving_utilisation
from "lake"."silver"."int_applications"
"""
PURPOSES = ("car", "house", "o'ther", None)
POLICY = "2007.1"
BANDS = (("Very Low", 0.0, 0.02), ("Low", 0.02, 0.05), ("Medium", 0.05, 0.12), ("High", 0.12, 0.25),
         ("Very High", 0.25, 1.000001))  # fmt: skip


@dataclass
class Book:
    """A home with marts, a bundle store and a champion."""

    home: Path
    warehouse: DuckLakeWarehouse
    bundles: BundleStore
    policies: PolicyBook

    @property
    def champion(self) -> ModelBundle:
        bundle = self.bundles.champion()
        assert bundle is not None
        return bundle

    def policy(self, as_of: date = DAY) -> Policy:
        return policy_on(self.warehouse, self.policies, as_of)

    def scores(self, as_of: date = DAY, loans: int | None = None, bundle: ModelBundle | None = None) -> pa.Table:
        """Score rows of the first `loans` loans."""
        sql = "select * from gold.application_features order by loan_id limit ?"
        features = self.warehouse.query(sql, [loans or 10**9])
        return score(bundle or self.champion, features, as_of, self.policy(as_of))

    def close(self) -> None:
        self.warehouse.close()


def make_book(home: Path, loans: int = 1_500, seed: int = 7) -> Book:
    """Marts of `loans` applications decided evenly from 2020-01 to 2026-06, and a champion trained on them."""
    book = open_book(home)
    write_marts(book, applications(loans, seed))
    crown(book, train(book))
    return book


def open_book(home: Path) -> Book:
    """A book as another process sees it."""
    return Book(
        home, DuckLakeWarehouse(home / "warehouse"), BundleStore(home / "models"), PolicyBook(home / "policies")
    )


def applications(loans: int, seed: int) -> pa.Table:
    """Rows of `silver.int_applications`: only what the feature SQL reads; a tenth of the incomes are missing."""
    rng = np.random.default_rng(seed)
    decided = [date(2020, 1, 1) + timedelta(days=int(k * 2372 / loans)) for k in range(loans)]
    income = np.round(rng.lognormal(10.8, 0.5, loans), 2)
    return pa.table(
        {
            "loan_id": [f"L{k:06d}" for k in range(loans)],
            "source_system": ["synthetic"] * loans,
            "subject_token": [f"token-{k % (loans // 2)}" for k in range(loans)],
            "decision_date": decided,
            "issue_month": [day.replace(day=1) for day in decided],
            "meets_credit_policy": [True] * loans,
            "income": pa.array(income, mask=rng.random(loans) < 0.1),
            "debt": np.round(income * rng.beta(2, 5, loans), 2),
            "amount": np.round(rng.lognormal(9.2, 0.5, loans), 2),
            "utilisation": pa.array(np.round(rng.uniform(0, 100, loans), 1), mask=rng.random(loans) < 0.05),
            "purpose": [PURPOSES[k] for k in rng.integers(0, len(PURPOSES), loans)],
        }
    )


def write_marts(book: Book, rows: pa.Table) -> None:
    """The marts as their contracts say: every loan runs three years, one in eight defaults after one."""
    warehouse = book.warehouse
    warehouse.replace_table("silver.int_applications", rows)
    warehouse.replace_table("silver.int_macro_published", pa.table({"valid_from": [date(2000, 1, 1)]}))
    macro = warehouse.query("select * from silver.int_macro_published")
    warehouse.replace_table("gold.application_features", FeatureSql(FEATURE_SQL).compute(rows, macro))
    warehouse.replace_table("gold.loan_outcomes", Select(_OUTCOMES, [DAY, DAY]))
    warehouse.replace_table(
        "gold.training_set",
        Select(
            """
            select f.loan_id, f.issue_month, f.decision_date, is_bad,
                case when f.issue_month >= date '2022-10-01' then 'out_of_time'
                    when f.issue_month >= date '2022-06-01' then 'validation'
                    when f.issue_month >= date '2022-03-01' then 'early_stop' else 'train' end as split,
                dti, loan_to_income, purpose, revolving_utilisation
            from gold.application_features as f join gold.loan_outcomes using (loan_id)
            where matured
            """
        ),
    )
    write_policies(book, [(POLICY, date(2007, 1, 1), BANDS)])


_OUTCOMES = """
    with dated as (
        select *, hash(loan_id) % 100 < 6 + 30 * coalesce(utilisation, 50) / 100 as goes_bad
        from silver.int_applications
    )
    select loan_id, source_system, decision_date, issue_month, 36::integer as term_months,
        amount::decimal(18, 2) as loan_amount,
        case when goes_bad then (decision_date + interval 12 month)::date end as default_date,
        (decision_date + interval 36 month)::date as closed_date,
        ?::date as observed_through,
        issue_month + interval 41 month <= ?::date as matured,
        case when not matured then 'immature' when goes_bad then 'bad' else 'good' end as outcome,
        case when matured then goes_bad end as is_bad,
        meets_credit_policy
    from dated
"""


def write_policies(book: Book, versions: Sequence[tuple[str, date, Sequence[tuple[str, float, float]]]]) -> None:
    """These versions and no others: their bands, the seed's reason texts, and a file each."""
    rows = [
        {"policy_version": version, "effective_from": since, "band_order": k + 1, "band": name,
         "pd_lower": lower, "pd_upper": upper}
        for version, since, bands in versions
        for k, (name, lower, upper) in enumerate(bands)
    ]  # fmt: skip
    book.warehouse.replace_table("gold.risk_bands", pa.Table.from_pylist(rows))
    book.warehouse.replace_table("gold.reason_codes", policy_book.reason_rows())
    for file in book.policies.folder.glob("*.yaml"):
        file.unlink()
    for version, since, _ in versions:
        policy_book.write_policy(book.policies.folder, version, since)


def train(book: Book, name: str = "logistic_regression", seed: int = 0, feature_sql: str = FEATURE_SQL) -> ModelBundle:
    """A real model of the zoo on the matured loans, with a Platt calibrator that is not the identity."""
    rows = book.warehouse.query("select * from gold.training_set where split = 'train' order by loan_id")
    frame = FeatureTable.from_arrow(rows, FEATURES)
    return ModelBundle(
        name=name,
        model=model_class(name)().fit(frame, rows["is_bad"].to_numpy(zero_copy_only=False), seed=seed),
        calibrator=Calibrator(Method.PLATT, intercept=0.1 + seed / 100, slope=0.9),
        features=FEATURES,
        feature_sql=feature_sql,
        training_fingerprint="fingerprint",
        policy_version=POLICY,
        seed=seed,
        background=frame.take(slice(200)),
    )


def crown(book: Book, bundle: ModelBundle) -> str:
    """Make `bundle` the champion; returns its SHA."""
    pointer = book.bundles.pointer()
    sha = book.bundles.put(bundle.to_bytes())
    version = len(pointer.history) + 1 if pointer else 1
    promotion = Promotion(bundle.name, version, sha, "2026-07-01T00:00:00+00:00", "run", "test", "because")
    book.bundles.promote(promotion, {}, replaces=pointer.sha if pointer else None)
    return sha


def stamp(run_id: str = "run-1", upstream: str = "[]") -> Stamp:
    return Stamp(datetime(2026, 7, 1, 5, 0, 0, 1), run_id, upstream, "c" * 40, "d" * 64)


def batches(scores: pa.Table, rows: int = 400) -> Iterator[pa.RecordBatch]:
    yield from scores.combine_chunks().to_batches(max_chunksize=rows)
