"""Pure: facts of consent to being recorded, and what they say together.

What a request says is a claim of its caller, who stands beside it. Of one participant the last fact counts, by when
they said it; a withdrawal counts before a grant of the same moment.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field

from recording import urls
from recording.errors import BadRequest
from recording.model import conversation
from recording.model.caller import Caller, CallerKind
from recording.model.participant import normal_participant
from recording.model.record import Body, Record, UtcTime

Decision = Literal["granted", "withdrawn"]
How = Literal["announcement", "click", "signed"]
# Clocks differ; what is said to come later than that is a mistake.
MOST_AHEAD = timedelta(minutes=5)
# The id of a group call or a room may be used again: what was said so long before belongs to an earlier call.
LONGEST_CALL = timedelta(hours=24)
_EARLIEST = datetime.min.replace(tzinfo=UTC) + LONGEST_CALL


def require_text(text: str) -> str:
    """Return a text that isn't blank; raises ValueError for one that is."""
    if not text.strip():
        raise ValueError("must not be blank")
    return text


class ConsentBody(Body):
    """Body of `POST /v1/conversations/{conversationId}/consents`.

    `participant` is a raw id, or a phone number; `at` is when they said it, by default now. `text` is what was
    announced, shown or signed, `link` where that is kept.
    """

    participant: Annotated[
        str, Field(min_length=1, max_length=1024, examples=["8:acs:ada"]), AfterValidator(require_text)
    ]
    decision: Decision
    how: How
    at: UtcTime | None = None
    text: Annotated[str, Field(min_length=1, max_length=5000)] | None = None
    link: Annotated[str, Field(max_length=2048), AfterValidator(urls.require_https)] | None = None


class Consent(Record):
    """One participant granted or withdrew consent, and who told us: `by` is a name, `by_object_id` that of a token."""

    conversation_id: str
    participant: str
    decision: Decision
    how: How
    at: datetime
    text: str | None = None
    link: str | None = None
    received_at: datetime
    by: str | None = None
    by_object_id: str | None = None
    by_kind: CallerKind | None = None

    @classmethod
    def of(cls, body: ConsentBody, conversation_id: str, caller: Caller, now: datetime) -> Self:
        """Return the fact that a request makes; raises BadRequest for a time that is to come."""
        if body.at and body.at > now + MOST_AHEAD:
            raise BadRequest("at: must not be in the future", target="at")
        principal = caller.principal
        return cls(
            conversation_id=conversation_id,
            participant=body.participant,
            decision=body.decision,
            how=body.how,
            # A fact from the future would win over every withdrawal until then.
            at=min(body.at or now, now),
            text=body.text,
            link=body.link,
            received_at=now,
            by=caller.who,
            by_object_id=principal.object_id if principal else None,
            by_kind=caller.kind,
        )

    def digest(self) -> str:
        """Return a digest of what it says: a request that is repeated says the same."""
        said = self.model_dump_json(exclude={"received_at"})
        return hashlib.sha256(said.encode(errors="backslashreplace")).hexdigest()[:32]


@dataclass(frozen=True)
class ConsentFacts:
    """The facts of a conversation.

    Of one that can't be parsed the id of the conversation that it was found under, and the time in its blob's name.
    """

    consents: Sequence[Consent]
    unreadable: Sequence[tuple[str, datetime]] = ()


@dataclass(frozen=True)
class Standing:
    """What the facts of a conversation say together: the last of each participant, by the normal form of their id.

    One that can't be parsed counts as the withdrawal of somebody unknown: that is the safe side.
    """

    last: Mapping[str, Consent]
    unreadable: int = 0

    def named(self, decision: Decision) -> list[str]:
        """Return the participants whose last fact says this, as it names them."""
        return [one.participant for one in self.last.values() if one.decision == decision]

    def has_granted(self, participant: str) -> bool:
        """Return whether a participant, however their id is written, has granted and not withdrawn."""
        found = self.last.get(normal_participant(participant))
        return found is not None and found.decision == "granted"

    @property
    def is_withdrawn(self) -> bool:
        """Return whether somebody has withdrawn, or may have."""
        return bool(self.unreadable or self.named("withdrawn"))

    @property
    def missing(self) -> str | None:
        """Return what is missing for a start, without naming anybody; None if nothing is."""
        if self.unreadable:
            return f"{self.unreadable} fact(s) of consent can't be parsed, and may say that it was withdrawn"
        if withdrawn := len(self.named("withdrawn")):
            return f"{withdrawn} participant(s) have withdrawn their consent to being recorded"
        return None if self.named("granted") else "no participant has granted consent to being recorded"

    def uncovered(self, participants: Iterable[str]) -> tuple[str, ...]:
        """Return the participants who have not granted, in their order."""
        return tuple(one for one in participants if not self.has_granted(one))


def standing(facts: ConsentFacts) -> Standing:
    """Return what facts say together, in any order of them."""
    last: dict[str, Consent] = {}
    for one in sorted(facts.consents, key=_place):
        last[normal_participant(one.participant)] = one
    return Standing(last, len(facts.unreadable))


def _place(one: Consent) -> tuple[datetime, bool, datetime]:
    return one.at, one.decision == "withdrawn", one.received_at


def counts_from(conversation_id: str, *, since: datetime) -> datetime | None:
    """Return from when on facts count for a call that began at `since`; None if all of the conversation do.

    An id of a conversation URL stands for one call. That of a group or a room may be used again: there a fact counts
    for a day.
    """
    return None if conversation.server_call_id(conversation_id) else max(since, _EARLIEST) - LONGEST_CALL


def counting(facts: ConsentFacts, *, since: datetime) -> ConsentFacts:
    """Return the facts that count for a call that began at `since`, the oldest first."""

    def counts(conversation_id: str, at: datetime) -> bool:
        begin = counts_from(conversation_id, since=since)
        return begin is None or at >= begin

    return ConsentFacts(
        sorted((one for one in facts.consents if counts(one.conversation_id, one.at)), key=_place),
        [one for one in facts.unreadable if counts(*one)],
    )
