"""One archive, one hash: the same bytes from the same training, and nothing loads that was changed."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_risk_platform.domain.bundle import MANIFEST, BundleError, ModelBundle, digest
from credit_risk_platform.domain.calibration import fit_calibrator
from credit_risk_platform.domain.models.archive import archive
from credit_risk_platform.domain.models.base import CreditModel, to_json
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.scoring import predict
from tests.loan_sample import FEATURES, MODELS, fit, loans, trained

SQL = "select dti, income from applications"


def bundle_of(model: CreditModel) -> ModelBundle:
    table, y, _ = loans()
    frame = FeatureTable.from_arrow(table, FEATURES)
    return ModelBundle(
        name=model.name,
        model=model,
        calibrator=fit_calibrator(model.predict(frame), y),
        features=FEATURES,
        feature_sql=SQL,
        training_fingerprint="f" * 64,
        policy_version="2026-01",
        seed=11,
        params=model.params,
        metrics={"out_of_time": {"auc": {"value": 0.7, "low": 0.68, "high": 0.72}}},
        created_from={"gold/training_set": "abc"},
    )


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    return bundle_of(trained("logistic_regression"))


def members_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        return {name: source.read(name) for name in source.namelist()}


@pytest.mark.parametrize("name", MODELS)
def test_an_opened_bundle_scores_the_same_bits_and_has_the_same_hash(name):
    made = bundle_of(trained(name))
    opened = ModelBundle.from_bytes(made.to_bytes(), made.sha256)
    frame = FeatureTable.from_arrow(loans()[0], FEATURES)
    assert predict(opened, frame).tobytes() == predict(made, frame).tobytes()
    assert opened.to_bytes() == made.to_bytes()
    kept = "name calibrator features feature_sql training_fingerprint policy_version seed metrics created_from sha256"
    assert all(getattr(opened, field) == getattr(made, field) for field in kept.split())
    assert opened.feature_sql_hash == digest(SQL.encode())
    assert dict(opened.params) == dict(made.params)


def test_the_same_training_gives_the_same_hash_and_another_seed_another():
    assert bundle_of(fit("lightgbm")).sha256 == bundle_of(trained("lightgbm")).sha256
    made = bundle_of(trained("lightgbm"))
    assert dataclasses.replace(made, seed=12).sha256 != made.sha256
    assert dataclasses.replace(made, feature_sql=SQL + " ").sha256 != made.sha256


@pytest.mark.parametrize("name", MODELS)
def test_no_pickle_is_inside(name):
    inside = members_of(bundle_of(trained(name)).to_bytes())
    assert {member.rpartition(".")[2] for member in inside} <= {"json", "sql", "ubj", "txt", "skops"}


def test_every_changed_member_is_named(bundle):
    members = members_of(bundle.to_bytes())
    for name in members.keys() - {MANIFEST}:
        with pytest.raises(BundleError, match=f"bundle member {name} was changed"):
            ModelBundle.from_bytes(archive({**members, name: members[name] + b" "}))


def test_a_lost_an_added_and_a_doubled_member_are_named(bundle):
    members = members_of(bundle.to_bytes())
    lost = {name: body for name, body in members.items() if name != "calibrator.json"}
    with pytest.raises(BundleError, match=r"member calibrator.json is missing"):
        ModelBundle.from_bytes(archive(lost))
    with pytest.raises(BundleError, match=r"member extra.py was added"):
        ModelBundle.from_bytes(archive({**members, "extra.py": b"import os"}))
    with pytest.raises(BundleError, match=r"no manifest.json"):
        ModelBundle.from_bytes(archive({"notes.txt": b"hello"}))
    twice = io.BytesIO(bundle.to_bytes())
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(twice, "a") as target:
        target.writestr("bundle.json", b"{}")
    with pytest.raises(BundleError, match=r"member bundle.json stands in the archive twice"):
        ModelBundle.from_bytes(twice.getvalue())


def test_a_forger_who_also_rewrites_the_manifest_is_caught_by_the_expected_hash(bundle):
    members = members_of(bundle.to_bytes())
    coefficients = json.loads(members["model/coefficients.json"])
    coefficients["intercept"] -= 2
    forged = to_json(coefficients)
    manifest = {**json.loads(members[MANIFEST]), "model/coefficients.json": digest(forged)}
    data = archive({**members, "model/coefficients.json": forged, MANIFEST: to_json(manifest)})
    with pytest.raises(BundleError, match=r"manifest.json was rewritten"):
        ModelBundle.from_bytes(data, expected_sha=bundle.sha256)


@settings(deadline=None)
@given(position=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_no_single_changed_byte_goes_unnoticed(bundle, position, flip):
    data = bytearray(bundle.to_bytes())
    data[int(position * len(data))] ^= flip
    with pytest.raises(BundleError):
        ModelBundle.from_bytes(bytes(data), expected_sha=bundle.sha256)


def test_a_directory_that_points_before_the_file_is_refused_by_name(bundle):
    data = bytearray(bundle.to_bytes())
    data[-3] ^= 1  # highest byte of the archive directory's offset: members then seem to start at negative places
    with pytest.raises(BundleError, match="was changed: negative seek value"):
        ModelBundle.from_bytes(bytes(data), expected_sha=bundle.sha256)


@settings(deadline=None)
@given(st.floats(0, 1, exclude_max=True))
def test_a_truncated_bundle_is_refused(bundle, share):
    with pytest.raises(BundleError):
        ModelBundle.from_bytes(bundle.to_bytes()[: int(share * len(bundle.to_bytes()))])


def test_a_table_that_fits_passes_whatever_else_it_holds(bundle):
    table = loans()[0]
    bundle.check_features(table.append_column("new_feature", pa.array(np.zeros(table.num_rows))))
    bundle.check_features(table.select(sorted(table.column_names, reverse=True)).schema)


def test_a_renamed_and_a_retyped_feature_are_refused_with_the_difference(bundle):
    table = loans()[0]
    wrong = table.rename_columns({"dti": "dti_ratio"}).set_column(
        table.schema.get_field_index("income"), "income", table["income"].cast(pa.string())
    )
    with pytest.raises(BundleError) as refusal:
        bundle.check_features(wrong)
    message = str(refusal.value)
    assert "missing [dti]" in message
    assert "of another type [income (numeric expected, string found)]" in message
    assert "dti_ratio" in message.split("not in the bundle")[1]


def test_what_json_cannot_say_is_refused_when_the_bundle_is_made(bundle):
    with pytest.raises(ValueError, match="not JSON compliant"):
        dataclasses.replace(bundle, metrics={"train": {"auc": {"value": float("nan")}}}).to_bytes()
