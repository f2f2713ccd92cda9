"""Repeatable requests: a start that is sent again is carried out only once (docs/acs-contract.md#repeatability)."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from local.acs.errors import BadRequest

REQUEST_ID, FIRST_SENT = "Repeatability-Request-ID", "Repeatability-First-Sent"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_IMF_FIXDATE = re.compile(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT", re.ASCII)


@dataclass(frozen=True)
class Outcome:
    """The answer to a start."""

    status: int
    body: dict[str, Any]


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the id of a repeatable request, None for any other; raises BadRequest for a missing or invalid header."""
    identity, first_sent = headers.get(REQUEST_ID), headers.get(FIRST_SENT)
    if identity is None and first_sent is None:
        return None
    if identity is None or not _UUID.fullmatch(identity):
        raise BadRequest(f"{REQUEST_ID} must be a UUID.", target=REQUEST_ID)
    if first_sent is None or not _is_date(first_sent):
        raise BadRequest(f"{FIRST_SENT} must be a date like Tue, 15 Nov 1994 12:45:26 GMT.", target=FIRST_SENT)
    return identity.lower()


class Repeats:
    """Keep the answers to repeatable requests; errors aren't kept, so that they can be retried."""

    def __init__(self) -> None:
        self._answered: dict[str, tuple[bytes, Outcome]] = {}

    def find(self, identity: str, body: bytes) -> Outcome | None:
        """Return the earlier answer, None if there is none; raises BadRequest if the id was used with another body."""
        digest, outcome = self._answered.get(identity, (b"", None))
        if outcome is not None and digest != hashlib.sha256(body).digest():
            raise BadRequest(f"{REQUEST_ID} was already used for a different request.", target=REQUEST_ID)
        return outcome

    def keep(self, identity: str, body: bytes, outcome: Outcome) -> None:
        """Keep an answer."""
        self._answered[identity] = hashlib.sha256(body).digest(), outcome


def _is_date(value: str) -> bool:
    try:
        return bool(_IMF_FIXDATE.fullmatch(value) and parsedate_to_datetime(value))
    except ValueError:
        return False
