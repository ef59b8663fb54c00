"""Model bundles in a bucket: promoted on one host, scored on another, never seen by halves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from credit_risk_platform.adapters.application_scorer import ApplicationScorer
from credit_risk_platform.adapters.bundles import BundleNotFoundError, BundleStore, Promotion, StaleChampionError
from credit_risk_platform.adapters.object_files import ObjectFiles
from credit_risk_platform.adapters.object_store import open_files
from credit_risk_platform.adapters.retraining_record import RetrainingRecord
from credit_risk_platform.domain.bundle import BundleError, ModelBundle
from tests.adapters.test_application_scorer import ASKED
from tests.adapters.test_bundles import METRICS, make_bundle
from tests.lake.s3_server import Proxy, S3Server
from tests.scoring_book import DAY, make_book, train
from tests.stream_book import INTAKE_SQL


@pytest.fixture(scope="module")
def made() -> list[ModelBundle]:
    return [make_bundle(seed) for seed in range(2)]


def on_host(server: S3Server, prefix: str, home: Path, **more: str) -> BundleStore:
    return BundleStore(open_files(server.store(prefix, **more), home / "models", "models"))


def promotion(sha: str, version: int = 1) -> Promotion:
    return Promotion("logistic_regression", version, sha, "2026-01-01T00:00:00+00:00", "run", "me", "why")


def test_a_champion_promoted_on_one_host_scores_the_stream_of_another(
    s3: S3Server, prefix: str, tmp_path: Path
) -> None:
    book = make_book(tmp_path / "book", 300)
    bundle = replace(train(book), intake_sql=INTAKE_SQL)
    here, there = (on_host(s3, prefix, tmp_path / name) for name in ("here", "there"))
    local = BundleStore(tmp_path / "local")
    for store in (here, local):
        store.promote(promotion(store.put(bundle.to_bytes())), METRICS, replaces=None)
    scored, expected = (
        ApplicationScorer(book.warehouse, store, book.policies).score(ASKED, DAY) for store in (there, local)
    )
    book.close()
    assert scored.num_rows == 3
    assert scored.equals(expected)


def test_another_host_sees_each_promotion_and_cannot_overlook_it(
    s3: S3Server, prefix: str, tmp_path: Path, made: list[ModelBundle]
) -> None:
    here, there = (on_host(s3, prefix, tmp_path / name) for name in ("here", "there"))
    assert there.champion() is None
    shas = [here.put(bundle.to_bytes()) for bundle in made]
    for number, before in enumerate((None, shas[0])):
        here.promote(promotion(shas[number], number), METRICS, replaces=before)
        champion = there.champion()
        assert champion is not None
        assert champion.to_bytes() == made[number].to_bytes()
    assert there.shas() == sorted(shas)
    with pytest.raises(StaleChampionError, match="was promoted meanwhile"):
        there.promote(promotion(shas[0]), METRICS, replaces=shas[0])


def test_a_scorer_downloads_a_bundle_once_and_never_trusts_a_damaged_copy(
    s3: S3Server, proxy: Proxy, prefix: str, tmp_path: Path, made: list[ModelBundle]
) -> None:
    sha = on_host(s3, prefix, tmp_path / "here").put(made[0].to_bytes())
    there = on_host(s3, prefix, tmp_path / "there", endpoint_url=proxy.url)
    for _ in range(3):
        assert there.load(sha).sha256 == sha
    assert len(proxy.of("GET", f"{sha}.zip")) == 1
    there.path(sha).write_bytes(there.path(sha).read_bytes()[:-1])
    assert there.load(sha).sha256 == sha
    assert len(proxy.of("GET", f"{sha}.zip")) == 2


def test_a_bundle_whose_upload_was_cut_off_is_refused_and_cannot_reign(
    s3: S3Server, prefix: str, tmp_path: Path, made: list[ModelBundle]
) -> None:
    here, there = (on_host(s3, prefix, tmp_path / name) for name in ("here", "there"))
    sha = here.put(made[0].to_bytes())
    there.files.put_bytes(made[0].to_bytes()[:100], f"bundles/{sha}.zip")
    with pytest.raises(BundleError, match=f"{prefix}/models/bundles/{sha}.zip was changed"):
        there.load(sha)
    with pytest.raises(BundleError):
        here.promote(promotion(sha), METRICS, replaces=None)  # though this host has a sound copy
    assert there.pointer() is None
    here.put(made[0].to_bytes())
    assert there.load(sha).sha256 == sha
    with pytest.raises(BundleNotFoundError, match=f"s3://.*{prefix}/models/bundles"):
        there.load("0" * 64)


def test_a_promotion_killed_before_its_pointer_leaves_the_old_champion(
    s3: S3Server, prefix: str, tmp_path: Path, made: list[ModelBundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = on_host(s3, prefix, tmp_path / "here")
    shas = [here.put(bundle.to_bytes()) for bundle in made]
    here.promote(promotion(shas[0]), METRICS, replaces=None)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ObjectFiles, "swap", stop)
        with pytest.raises(KeyboardInterrupt):
            here.promote(promotion(shas[1], 2), METRICS, replaces=shas[0])
    champion = on_host(s3, prefix, tmp_path / "there").champion()
    assert champion is not None
    assert champion.sha256 == shas[0]


def test_what_lies_beside_the_bundles_lies_in_the_bucket_too(s3: S3Server, prefix: str, tmp_path: Path) -> None:
    files = on_host(s3, prefix, tmp_path).files
    assert RetrainingRecord(files).last() is None
    assert not list(tmp_path.rglob("*.json"))
