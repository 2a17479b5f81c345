"""A person's word for one pending call: what a reply means, and an approval that cannot be made up.

pending call ── read_reply(this message) ─┬─ confirm ─> approve → sign ─> … ─> verify → the call runs once
                                          ├─ cancel
                                          └─ neither: it stays pending

What it stops: a reply that only contains the phrase, one that looks like it (other letters of the same shape, other
spaces), an approval that was changed, is too old, or was signed with another key.
What it does not: a second use of the same approval. Whoever keeps the pending calls takes each away once, in one
transaction; the nonce tells two approvals of the same call apart.
"""

import hmac
import json
import secrets
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from kitty_core.errors import ApprovalExpired, ApprovalForged, ConfigurationError

CANCEL_WORDS = frozenset({"cancel", "abort", "no", "stop"})
LIFETIME = timedelta(seconds=300)
LEAST_KEY_BYTES = 16
DOMAIN = "kitty approval 1"
"""First of what is signed, so that no signature for another purpose can stand in for one of these."""

Reply = Literal["confirm", "cancel", "neither"]


def read_reply(message: str, phrase: str) -> Reply:
    """What `message`, as a whole and without the space around it, says to a call that waits for `phrase`.

    Upper and lower case are the same. Nothing else is: spaces inside, and letters that only look alike, have to be
    those of the phrase. An empty phrase confirms nothing.
    """
    said, wanted = message.strip(), phrase.strip()
    if any(_same_but_for_case(said, word) for word in CANCEL_WORDS):
        return "cancel"
    if wanted and _same_but_for_case(said, wanted):
        return "confirm"
    return "neither"


def _same_but_for_case(said: str, wanted: str) -> bool:
    # Neither lower() nor casefold() of the whole will do: the Kelvin sign becomes k, and the ligature ﬁ becomes fi.
    return len(said) == len(wanted) and all(map(_same_letter, said, wanted))


def _same_letter(one: str, other: str) -> bool:
    return one == other or (one.lower() == other.lower() and one.upper() == other.upper())


@dataclass(frozen=True)
class Approval:
    """That `user_id` approves the pending call, with exactly these arguments, until `expires_at`."""

    pending_id: str
    tool: str
    arguments_sha256: str
    user_id: str
    """Who approves; for a dual-confirm tool not who called (`is_second_person`)."""
    conversation_id: str
    expires_at: datetime
    """Aware."""
    nonce: str = field(default_factory=lambda: secrets.token_hex(16))
    signature: str = ""
    """HMAC-SHA256 (hex) over all of the above; empty: not signed yet."""

    def sign(self, key: bytes) -> "Approval":
        """The same approval with its signature.

        Raises:
            ConfigurationError: the key has fewer than LEAST_KEY_BYTES bytes.
        """
        return replace(self, signature=self._signature(key))

    def verify(self, key: bytes, now: datetime) -> None:
        """Return when the approval holds at `now`; from `expires_at` on it does not.

        Raises:
            ApprovalForged: it was not signed with this key, or changed since.
            ApprovalExpired: it was, but it is too old.
            ConfigurationError: the key is too short.
        """
        if not hmac.compare_digest(self._signature(key).encode(), self.signature.encode(errors="replace")):
            raise ApprovalForged
        if now >= self.expires_at:
            raise ApprovalExpired

    def _signature(self, key: bytes) -> str:
        if len(key) < LEAST_KEY_BYTES:
            raise ConfigurationError(f"HAZARD_SIGNING_KEY: needs {LEAST_KEY_BYTES} bytes or more; has {len(key)}.")
        return hmac.digest(key, self._encoded(), "sha256").hex()

    def _encoded(self) -> bytes:
        """One JSON list of strings: its quotes keep neighbours apart, and every text has exactly one spelling."""
        if self.expires_at.tzinfo is None:
            raise ValueError("expires_at needs a time zone")
        parts = [DOMAIN, self.pending_id, self.tool, self.arguments_sha256, self.user_id, self.conversation_id]
        return json.dumps([*parts, self.nonce, self.expires_at.astimezone(UTC).isoformat()]).encode()


def approve(
    *, pending_id: str, tool: str, arguments_sha256: str, user_id: str, conversation_id: str, now: datetime
) -> Approval:
    """An approval, not yet signed, that holds for LIFETIME from `now` (aware) and has a nonce of its own."""
    return Approval(pending_id, tool, arguments_sha256, user_id, conversation_id, now + LIFETIME)


def is_second_person(initiator: str, approver: str) -> bool:
    """Whether `approver` is somebody else than `initiator`. Names that differ in case or space only are the same."""
    one, other = initiator.strip().casefold(), approver.strip().casefold()
    return bool(one) and bool(other) and one != other
