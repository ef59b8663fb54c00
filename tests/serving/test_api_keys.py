"""Keys of the API: what stands in the file, who is let in, and when a change takes hold."""

import re
import threading
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from credit_risk_platform.adapters.api_keys import ApiKeyError, ApiKeys, KeyRing, Role
from credit_risk_platform.cli.keys import app, first_key
from credit_risk_platform.settings import Settings

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def keys(tmp_path):
    return ApiKeys(tmp_path / ".secrets")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ring(keys, clock):
    return KeyRing(keys, clock)


def test_the_key_that_was_printed_opens_and_no_other_does(keys, ring):
    text = keys.create("los", Role.UNDERWRITER, NOW)

    assert re.fullmatch(r"crp_[0-9a-f]{12}_[0-9a-f]{64}", text)
    found = ring.find(text, NOW)
    assert (found.client, found.role, found.id) == ("los", Role.UNDERWRITER, text.split("_")[1])
    last = "0" if text[-1] != "0" else "1"
    for wrong in (text[:-1] + last, text.upper(), text + "0", text.split("_")[1], "", "crp__", text + "\n"):
        assert ring.find(wrong, NOW) is None, wrong


def test_a_stolen_key_file_lets_nobody_in(keys):
    texts = [keys.create("los", Role.ADMIN, NOW), keys.create("los", Role.ADMIN, NOW)]

    stored = keys.file.read_text()
    assert not any(text.split("_")[2] in stored for text in texts)
    first, second = keys.all()
    assert first.salt != second.salt
    assert first.hash != second.hash
    assert keys.file.stat().st_mode & 0o777 == 0o600
    assert keys.file.parent.stat().st_mode & 0o777 == 0o700
    assert [file.name for file in keys.file.parent.iterdir() if file.name.startswith(".")] == []


def test_after_a_rotation_the_old_key_works_until_its_end_and_not_a_second_longer(keys, ring, clock):
    old = keys.create("los", Role.UNDERWRITER, NOW)
    new = keys.rotate("los", NOW, 7 * DAY)

    assert ring.find(old, NOW + 7 * DAY - timedelta(seconds=1)) is not None
    assert ring.find(old, NOW + 7 * DAY) is None
    assert ring.find(new, NOW + 7 * DAY).role is Role.UNDERWRITER


def test_a_rotation_never_lengthens_the_life_of_a_key_that_ends_sooner(keys, ring):
    old = keys.create("los", Role.UNDERWRITER, NOW, ends=NOW + DAY)
    keys.rotate("los", NOW, 7 * DAY)
    assert ring.find(old, NOW + DAY) is None


def test_a_client_has_two_live_keys_at_most(keys):
    keys.create("los", Role.UNDERWRITER, NOW)
    keys.rotate("los", NOW, DAY)

    with pytest.raises(ApiKeyError, match="2 live keys"):
        keys.create("los", Role.UNDERWRITER, NOW)
    with pytest.raises(ApiKeyError, match="2 live keys"):
        keys.rotate("los", NOW, DAY)
    keys.create("other", Role.UNDERWRITER, NOW)
    keys.rotate("los", NOW + DAY, DAY)  # the first has ended by then


def test_a_running_api_learns_of_changes_within_a_second_and_looks_no_more_often(keys, ring, clock):
    text = keys.create("los", Role.UNDERWRITER, NOW)
    assert ring.find(text, NOW) is not None

    keys.revoke(text.split("_")[1], NOW)
    later = keys.create("los", Role.UNDERWRITER, NOW)
    clock.seconds = 0.9
    assert ring.find(later, NOW) is None
    clock.seconds = 1.1
    assert ring.find(later, NOW) is not None
    assert ring.find(text, NOW) is None

    keys.file.unlink()
    clock.seconds = 2.2
    assert ring.find(later, NOW) is None


def test_keys_that_others_may_read_or_that_are_damaged_let_nobody_in_and_say_why(keys, ring, clock):
    text = keys.create("los", Role.UNDERWRITER, NOW)
    assert ring.find(text, NOW) is not None

    keys.file.chmod(0o644)
    clock.seconds = 2
    for _ in range(2):  # not only the first request after the change
        with pytest.raises(ApiKeyError, match="chmod 600"):
            ring.find(text, NOW)
    keys.file.chmod(0o600)
    assert ring.find(text, NOW) is not None

    keys.file.write_text('{"keys": [{"id": 1}]}')
    clock.seconds = 4
    with pytest.raises(ApiKeyError, match="damaged"):
        ring.find(text, NOW)


def test_two_servers_that_start_at_once_make_one_first_key(keys):
    made = []
    threads = [
        threading.Thread(target=lambda: made.append(ApiKeys(keys.file.parent).create_first("a", Role.ADMIN, NOW)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(text is not None for text in made) == 1
    assert len(keys.all()) == 1


@pytest.mark.parametrize("client", ["", "a b", "../x", "x" * 64, "<script>", "-x", "é"])
def test_a_client_name_can_stand_in_a_log_and_a_header(keys, client):
    with pytest.raises(ApiKeyError, match="no client name"):
        keys.create(client, Role.ADMIN, NOW)


def test_an_end_in_the_past_and_an_unknown_key_id_are_refused(keys):
    with pytest.raises(ApiKeyError, match="before it begins"):
        keys.create("los", Role.ADMIN, NOW, ends=NOW)
    with pytest.raises(ApiKeyError, match="crp keys list"):
        keys.revoke("000000000000", NOW)
    with pytest.raises(ApiKeyError, match="crp keys create los"):
        keys.rotate("los", NOW, DAY)


# ---------------------------------------------------------------- the command


def crp(*words, home):
    return CliRunner().invoke(app, [*words, "--home", str(home)])


def test_the_command_shows_a_secret_once_and_never_again(tmp_path):
    made = crp("create", "los", "--role", "underwriter", home=tmp_path)
    assert made.exit_code == 0, made.output
    text = made.stdout.strip()
    rotated = crp("rotate", "los", "--overlap-days", "7", home=tmp_path).stdout.strip()

    ring = KeyRing(ApiKeys(tmp_path / ".secrets"))
    assert ring.find(text, datetime.now(UTC)) is not None
    assert ring.find(rotated, datetime.now(UTC)) is not None
    for words in (("list",), ("list", "--json"), ("revoke", text.split("_")[1]), ("list",)):
        shown = crp(*words, home=tmp_path)
        assert shown.exit_code == 0
        assert text.split("_")[2] not in shown.output
        assert rotated.split("_")[2] not in shown.output
    assert "revoked" in crp("list", home=tmp_path).output


def test_the_command_refuses_a_third_key_and_an_unknown_role_with_the_next_step(tmp_path):
    for _ in range(2):
        assert crp("create", "los", "--role", "auditor", home=tmp_path).exit_code == 0
    third = crp("create", "los", "--role", "auditor", home=tmp_path)
    assert third.exit_code == 1
    assert "crp keys revoke" in third.output
    assert crp("create", "x", "--role", "root", home=tmp_path).exit_code == 2


def test_a_fresh_home_gets_one_admin_key_and_only_one(tmp_path, capsys):
    settings = Settings(_env_file=None, home=tmp_path)
    first_key(settings)
    text = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("crp_"))
    first_key(settings)
    assert "crp_" not in capsys.readouterr().out
    (only,) = ApiKeys(settings.paths.secrets).all()
    assert only.role is Role.ADMIN
    assert KeyRing(ApiKeys(settings.paths.secrets)).find(text, datetime.now(UTC)) == only
