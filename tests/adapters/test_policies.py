"""Policy files: what an analyst writes is read strictly, and each mistake is told with its file, key and cure."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from credit_risk_platform.adapters.policies import NoPolicyError, PolicyBook, policy_on
from credit_risk_platform.adapters.policy_files import PolicyFileError, read
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.domain.features import model_features
from credit_risk_platform.domain.policy import Decision
from credit_risk_platform.settings import Settings
from tests.policy_book import RULES, band_rows, reason_rows, write_policy

DAY = date(2026, 6, 30)
RULE = RULES[0]


def rule(**edit: Any) -> dict[str, Any]:
    return {"rules": [{key: value for key, value in {**RULE, **edit}.items() if value is not None}]}


def test_the_policy_that_is_shipped_can_decide_on_every_application_model() -> None:
    policy = PolicyBook(Settings().policy_folder).on(DAY, band_rows(), reason_rows())
    assert (policy.version, policy.approve_below, policy.decline_from) == ("2007.1", 0.155, 0.25)
    assert {rule.feature for rule in policy.rules} <= {feature.name for feature in model_features()}
    assert {rule.decision for rule in policy.rules} == {Decision.REFER, Decision.DECLINE}
    margin, lgd = policy.assumptions["margin"], policy.assumptions["loss_given_default"]
    assert 0 <= margin / (margin + lgd) - policy.approve_below < 0.005, "the cut-off is the break-even, rounded down"
    policy.reason_codes.check(feature.name for feature in model_features())


def test_the_version_in_force_on_a_day_decides(tmp_path: Path) -> None:
    write_policy(tmp_path)
    write_policy(tmp_path, "2026.2", date(2026, 7, 1), approve_below=0.10)
    later = [{**row, "policy_version": "2026.2", "effective_from": date(2026, 7, 1)} for row in band_rows().to_pylist()]
    bands = pa.concat_tables([band_rows(), pa.Table.from_pylist(later, band_rows().schema)])
    book = PolicyBook(tmp_path)
    assert [draft.version for draft in book.all()] == ["2007.1", "2026.2"]
    assert book.on(date(2026, 6, 30), bands, reason_rows()).approve_below == 0.155
    assert book.on(date(2026, 7, 1), bands, reason_rows()).approve_below == 0.10
    named = book.version("2026.2", bands, reason_rows())
    assert named is not None
    assert named.sha256 == book.on(date(2030, 1, 1), bands, reason_rows()).sha256
    assert book.version("1999.1", bands, reason_rows()) is None
    with pytest.raises(NoPolicyError, match="no policy in force on 2006-12-31"):
        book.on(date(2006, 12, 31), bands, reason_rows())


def test_an_edited_file_is_read_again(tmp_path: Path) -> None:
    write_policy(tmp_path)
    book = PolicyBook(tmp_path)
    before = book.on(DAY, band_rows(), reason_rows())
    write_policy(tmp_path, approve_below=0.1, note="a longer note")
    after = book.on(DAY, band_rows(), reason_rows())
    assert (before.approve_below, after.approve_below) == (0.155, 0.1)
    assert before.sha256 != after.sha256


def test_layout_and_comments_do_not_make_another_policy(tmp_path: Path) -> None:
    file = write_policy(tmp_path)
    before = PolicyBook(tmp_path).on(DAY, band_rows(), reason_rows())
    lines = file.read_text().splitlines()
    file.write_text("# a comment\n" + "\n".join(reversed(lines)) + "\n")
    assert PolicyBook(tmp_path).on(DAY, band_rows(), reason_rows()).sha256 == before.sha256


@pytest.mark.parametrize(
    ("edit", "key", "complaint"),
    [
        ({"approve_bellow": 0.1}, "approve_bellow", "is not a key of a policy; known are version"),
        ({"note": None}, "note", "is missing: write who decided this and why"),
        ({"version": 2007.1}, "version", "write a text .with quotes"),
        ({"version": "2008.1"}, "version", "name the file 2008.1.yaml"),
        ({"effective_from": "1 July"}, "effective_from", "write a day as 2026-07-01"),
        ({"approve_below": "15 %"}, "approve_below", "write a number"),
        ({"decline_from": True}, "decline_from", "write a number"),
        ({"assumptions": [0.12]}, "assumptions", "write names and numbers"),
        ({"assumptions": {"margin": "twelve"}}, "assumptions.margin", "write a number"),
        ({"rules": "none"}, "rules", "write a list"),
        ({"rules": ["D01"]}, r"rules\[1\]", "write code, description, feature"),
        (rule(code=None), r"rules\[1\].code", "is missing"),
        (rule(because="AA04"), r"rules\[1\].because", "is not a key of a policy"),
        (rule(op="=>"), r"rules\[1\]", "op is '=>', expected one of <"),
        (rule(value="much"), r"rules\[1\]", "write a number"),
        (rule(decision="deny"), r"rules\[1\]", "decision is 'deny'; a hard rule says refer or decline"),
        (rule(decision="approve"), r"rules\[1\]", "a hard rule says refer or decline"),
        (
            rule(feature="age"),
            r"rules\[1\].feature",
            "age is no input of the application model.*use one of: loan_amount",
        ),
        (rule(feature="int_rate"), r"rules\[1\].feature", "is no input"),
        (rule(feature="purpose"), r"rules\[1\].op", "does not go with purpose, which is categorical"),
        (rule(op="in", value=["car"]), r"rules\[1\].op", "does not go with dti, which is numeric"),
    ],
)
def test_a_mistake_is_told_with_its_file_key_and_cure(
    tmp_path: Path, edit: dict[str, Any], key: str, complaint: str
) -> None:
    file = write_policy(tmp_path, **edit)
    if "version" in edit:
        file = file.rename(tmp_path / "2007.1.yaml")
    with pytest.raises(PolicyFileError, match=rf"2007\.1\.yaml: {key}: .*{complaint}") as caught:
        read(file)
    assert caught.value.file == file


@pytest.mark.parametrize("text", ["approve_below: [0.1", "- a\n- list", "", "a: !!python/object:os.system {}"])
def test_what_is_no_policy_at_all_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "2007.1.yaml").write_text(text)
    with pytest.raises(PolicyFileError, match=r"2007.1.yaml: (this is no YAML|write keys and values)"):
        PolicyBook(tmp_path).all()


def test_what_does_not_fit_the_other_versions_is_refused(tmp_path: Path) -> None:
    write_policy(tmp_path)
    write_policy(tmp_path, "2007.2")
    with pytest.raises(PolicyFileError, match=r"2007-01-01 is also the first day of version 2007.1"):
        PolicyBook(tmp_path).all()
    with pytest.raises(NoPolicyError, match="holds no policy"):
        PolicyBook(tmp_path / "empty").all()


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        ({"reason_version": "1999.1"}, "no reason codes of version 1999.1"),
        ({"decline_from": 0.1}, "approve_below, decline_from"),
        (rule(reason="ZZ99"), "rule D01: reason ZZ99 has no approved text"),
    ],
)
def test_what_does_not_fit_the_tables_is_refused_with_the_file(
    tmp_path: Path, edit: dict[str, Any], complaint: str
) -> None:
    write_policy(tmp_path, **edit)
    with pytest.raises(PolicyFileError, match=rf"2007\.1\.yaml: .*{complaint}"):
        PolicyBook(tmp_path).on(DAY, band_rows(), reason_rows())


def test_a_version_without_bands_or_with_another_first_day_says_where_to_add_them(tmp_path: Path) -> None:
    write_policy(tmp_path, "2026.2", date(2026, 1, 1))
    with pytest.raises(PolicyFileError, match=r"no bands of version 2026.2 .it holds: 2007.1.*risk_bands.csv"):
        PolicyBook(tmp_path).on(DAY, band_rows(), reason_rows())
    write_policy(tmp_path / "b", since=date(2008, 1, 1))
    with pytest.raises(PolicyFileError, match=r"2008-01-01 here, 2007-01-01 in gold.risk_bands"):
        PolicyBook(tmp_path / "b").on(DAY, band_rows(), reason_rows())


def test_a_home_whose_marts_are_older_says_what_to_materialise(tmp_path: Path) -> None:
    write_policy(tmp_path / "policies")
    book, warehouse = PolicyBook(tmp_path / "policies"), DuckLakeWarehouse(tmp_path / "warehouse")
    try:
        with pytest.raises(NoPolicyError, match="materialise gold/risk_bands"):
            policy_on(warehouse, book, DAY)
        warehouse.replace_table("gold.risk_bands", band_rows())
        with pytest.raises(NoPolicyError, match="materialise gold/reason_codes"):
            policy_on(warehouse, book, DAY)
        warehouse.replace_table("gold.reason_codes", reason_rows())
        assert policy_on(warehouse, book, DAY).version == "2007.1"
    finally:
        warehouse.close()
