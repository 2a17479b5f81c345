"""The key of the audit chain, and the trail as the environment says."""

import base64
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from kitty_core.audit import open_audit
from kitty_core.audit.keys import audit_key, key_file
from kitty_core.errors import ConfigurationError

WITHIN_SEC = 100


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_a_key_is_read_as_hex_or_base64():
    key = bytes(range(200, 240))
    assert audit_key({"AUDIT_KEY": key.hex()}) == key
    assert audit_key({"AUDIT_KEY": base64.b64encode(key).decode()}) == key
    assert not key_file().exists()


@pytest.mark.parametrize("wrong", ["secret", "ab" * 31, "a" * 65, "not base64 at all, not at all!", "c2hvcnQ="])
def test_a_short_or_malformed_key_is_named_without_being_repeated(wrong):
    with pytest.raises(ConfigurationError, match=r"AUDIT_KEY.*openssl") as caught:
        audit_key({"AUDIT_KEY": wrong})
    assert wrong not in str(caught.value)


def test_without_the_variable_a_key_is_made_once_for_this_user_alone():
    key = audit_key({"AUDIT_KEY": ""})
    assert len(key) >= 32
    assert key_file().stat().st_mode & 0o777 == 0o600
    assert audit_key({}) == key
    assert [file.name for file in key_file().parent.iterdir()] == ["audit.key"]


def test_those_that_begin_at_once_have_one_key():
    together = threading.Barrier(8)

    def begin(_):
        together.wait(WITHIN_SEC)
        return audit_key({})

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(begin, range(8)))) == 1


def test_a_key_that_others_may_read_or_that_is_torn_is_refused():
    audit_key({})
    key_file().chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        audit_key({})
    key_file().chmod(0o600)
    for torn in (b"", b"abc", b"\xff\xfe"):
        key_file().write_bytes(torn)
        with pytest.raises(ConfigurationError, match=r"audit\.key"):
            audit_key({})


def test_a_reader_makes_no_key():
    with pytest.raises(ConfigurationError, match=r"audit\.key"):
        audit_key({}, make=False)
    assert not key_file().exists()


def test_the_trail_of_this_machine_needs_no_setting(make_invocation):
    audit = open_audit({})
    audit.append(make_invocation(), "a prompt")
    assert (audit.verify().whole, audit.head().count, audit.waiting) == (True, 1, 0)
    audit.close()


def test_a_database_that_is_away_does_not_keep_a_program_from_starting(tmp_path, make_invocation):
    audit = open_audit({"DATABASE_URL": f"sqlite:///{tmp_path}/away/audit.sqlite3"})
    audit.append(make_invocation())
    assert audit.waiting == 1
    audit.close()


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"AUDIT_STORE_PROMPTS": "perhaps"}, "AUDIT_STORE_PROMPTS"),
        ({"AUDIT_KEY": "ab" * 32}, "AUDIT_KEY"),
        ({"DATABASE_URL": "mysql://root:secret@box/x"}, "DATABASE_URL"),
    ],
)
def test_a_wrong_setting_ends_the_start_with_its_name(env, named, make_invocation):
    begun = open_audit({})
    begun.append(make_invocation())
    begun.close()
    with pytest.raises(ConfigurationError, match=named) as caught:
        open_audit(env)
    assert "secret" not in str(caught.value)


def test_two_databases_have_a_head_file_each(tmp_path, make_invocation):
    for env in ({}, {"DATABASE_URL": f"sqlite:///{tmp_path}/other.sqlite3"}):
        audit = open_audit(env)
        audit.append(make_invocation())
        assert audit.verify().whole
        audit.close()
