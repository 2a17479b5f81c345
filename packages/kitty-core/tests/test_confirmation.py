"""What a reply means to a pending call, and approvals that cannot be made up."""

import subprocess
import sys
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kitty_core.confirmation import CANCEL_WORDS, Approval, approve, is_second_person, read_reply
from kitty_core.errors import ApprovalExpired, ApprovalForged, ConfigurationError

PHRASE = "Confirm: proceed"
KEY = b"k" * 32
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def approval(**changed):
    facts = {
        "pending_id": "p1",
        "tool": "broker.run",
        "arguments_sha256": "ab" * 32,
        "user_id": "ada",
        "conversation_id": "c1",
    }
    return approve(**(facts | changed), now=NOW)


@pytest.mark.parametrize(
    "message", [PHRASE, "confirm: proceed", "CONFIRM: PROCEED", f"  {PHRASE}\n", f"\t{PHRASE.upper()} \r\n"]
)
def test_the_whole_message_being_the_phrase_confirms(message):
    assert read_reply(message, PHRASE) == "confirm"


@pytest.mark.parametrize("message", ["cancel", "Abort", " NO ", "stop\n", "Cancel"])
def test_a_word_that_cancels_cancels(message):
    assert read_reply(message, PHRASE) == "cancel"


@pytest.mark.parametrize(
    "message",
    [
        "",
        " ",
        "yes",
        "ok",
        "tell me more",
        "confirm",
        "proceed",
        f"I say {PHRASE}",
        f"{PHRASE}!",
        f'"{PHRASE}"',
        f"> {PHRASE}",
        f"{PHRASE}\n{PHRASE}",
        f"please do not {PHRASE}",
        "Confirm:  proceed",
        "Confirm:proceed",
        "Confirm:\u00a0proceed",
        "Confirm:\nproceed",
        "Confirm\u200b: proceed",
        f"\u200b{PHRASE}",
        f"{PHRASE}\x00",
        "Con\ufb01rm: proceed",
        "\uff23onfirm: proceed",
        "C\u043enfirm: proceed",
        "Confirm\uff1a proceed",
        "no way",
        "no.",
        "don't stop",
        "\u212a",
        "\u017ftop",
    ],
)
def test_everything_else_leaves_the_call_pending(message):
    assert read_reply(message, PHRASE) == "neither"


def test_letters_that_lower_to_the_same_are_still_other_letters():
    assert read_reply("\u212aill it", "kill it") == "neither"
    assert read_reply("BESTÄTIGEN", "Bestätigen") == "confirm"
    assert read_reply("STRASSE", "straße") == "neither"


def test_an_empty_phrase_confirms_nothing():
    for message in ("", " ", "confirm"):
        assert read_reply(message, "") == read_reply(message, " \n") == "neither"


def test_a_word_that_cancels_does_so_even_where_it_is_the_phrase():
    assert read_reply("stop", "stop") == "cancel"


TEXT = st.text(max_size=30)


@settings(max_examples=300, deadline=None)
@given(message=TEXT, phrase=TEXT)
def test_a_reply_confirms_only_with_as_many_characters_as_the_phrase_each_the_same_but_for_case(message, phrase):
    reply = read_reply(message, phrase)
    said, wanted = message.strip(), phrase.strip()
    if reply == "confirm":
        assert wanted
        assert len(said) == len(wanted)
        assert said.casefold() == wanted.casefold()
    if reply == "cancel":
        assert said.lower() in CANCEL_WORDS
    if said == wanted and wanted and said.lower() not in CANCEL_WORDS:
        assert reply == "confirm"


@settings(max_examples=100, deadline=None)
@given(before=TEXT, after=TEXT)
def test_a_phrase_among_other_words_never_confirms(before, after):
    assume((before + after).strip())
    message = before + PHRASE + after
    assume(message.strip().lower() != PHRASE.lower())
    assert read_reply(message, PHRASE) == "neither"


def test_a_signed_approval_holds_until_it_expires():
    signed = approval().sign(KEY)
    signed.verify(KEY, NOW)
    signed.verify(KEY, NOW + timedelta(seconds=299.999))
    for late in (timedelta(seconds=300), timedelta(days=1)):
        with pytest.raises(ApprovalExpired):
            signed.verify(KEY, NOW + late)


def test_a_change_of_any_field_is_found():
    signed = approval().sign(KEY)
    for field in fields(Approval):
        value = getattr(signed, field.name)
        other = value + timedelta(microseconds=1) if field.name == "expires_at" else f"{value}x"
        with pytest.raises(ApprovalForged):
            replace(signed, **{field.name: other}).verify(KEY, NOW)


def test_a_missing_or_foreign_signature_is_refused():
    signed = approval().sign(KEY)
    for signature in ("", "0" * 64, signed.signature[:-1], signed.signature.upper(), "é\ud800", approval().signature):
        with pytest.raises(ApprovalForged):
            replace(signed, signature=signature).verify(KEY, NOW)
    with pytest.raises(ApprovalForged):
        signed.verify(b"x" * 32, NOW)


def test_a_forged_approval_is_called_forged_even_when_it_is_too_old():
    with pytest.raises(ApprovalForged):
        replace(approval().sign(KEY), user_id="eve").verify(KEY, NOW + timedelta(days=1))


def test_two_approvals_of_the_same_call_differ():
    assert approval().nonce != approval().nonce
    assert approval().sign(KEY).signature != approval().sign(KEY).signature


def test_the_same_moment_in_another_time_zone_is_the_same_approval():
    signed = approval().sign(KEY)
    moved = signed.expires_at.astimezone(timezone(timedelta(hours=5, minutes=30)))
    replace(signed, expires_at=moved).verify(KEY, NOW)
    with pytest.raises(ValueError, match="time zone"):
        replace(signed, expires_at=signed.expires_at.replace(tzinfo=None)).verify(KEY, NOW)


def test_a_short_key_is_a_wrong_setting_and_signs_nothing():
    for key in (b"", b"k" * 15):
        with pytest.raises(ConfigurationError, match="HAZARD_SIGNING_KEY"):
            approval().sign(key)
        with pytest.raises(ConfigurationError, match="HAZARD_SIGNING_KEY"):
            approval().sign(KEY).verify(key, NOW)


TEXTS = st.lists(st.text(max_size=8), min_size=6, max_size=6)


@settings(max_examples=200, deadline=None)
@given(one=TEXTS, other=TEXTS)
def test_no_two_different_approvals_have_the_same_signature(one, other):
    def made(texts):
        pending_id, tool, arguments, user, conversation, nonce = texts
        return Approval(pending_id, tool, arguments, user, conversation, NOW, nonce).sign(KEY)

    assert (made(one).signature == made(other).signature) == (one == other)


@settings(max_examples=200, deadline=None)
@given(texts=TEXTS, cut=st.integers(0, 8), at=st.integers(0, 4))
def test_text_moved_from_one_field_to_the_next_is_found(texts, cut, at):
    moved = [*texts]
    moved[at], moved[at + 1] = texts[at][:cut], texts[at][cut:] + texts[at + 1]
    assume(moved != texts)
    pending_id, tool, arguments, user, conversation, nonce = texts
    signed = Approval(pending_id, tool, arguments, user, conversation, NOW, nonce).sign(KEY)
    pending_id, tool, arguments, user, conversation, nonce = moved
    forged = Approval(pending_id, tool, arguments, user, conversation, NOW, nonce, signed.signature)
    with pytest.raises(ApprovalForged):
        forged.verify(KEY, NOW - timedelta(seconds=1))


@pytest.mark.parametrize(
    ("initiator", "approver", "differs"),
    [
        ("ada", "bob", True),
        ("ada", "ada", False),
        ("ada", "Ada", False),
        ("Ada ", "ada", False),
        ("ada", " ada ", False),
        ("ada", "", False),
        ("", "bob", False),
        ("", "", False),
    ],
)
def test_a_second_person_is_another_one(initiator, approver, differs):
    assert is_second_person(initiator, approver) is differs


def test_hazard_and_confirmation_load_no_database_no_network_and_no_yaml():
    code = (
        "import sys, kitty_core.hazard, kitty_core.confirmation; "
        "print({'sqlalchemy', 'httpx', 'fastapi', 'yaml', 'structlog'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.strip() == "set()"
