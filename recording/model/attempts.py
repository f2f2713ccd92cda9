"""The attempts record of a chunk: what failed and when, how often, and when the timer tries again.

An attempt whose process is killed writes no failure (a worker that is ended for scale-in or a deployment gets no
chance to). So each attempt begins with a fact, which is deleted when it has succeeded or its failure is on record:
a fact that remains belongs to an attempt that did neither.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Self

from pydantic import ValidationError

from recording.model import layout
from recording.model.record import Record, to_header

# The queue tries a message five times, half a minute apart, and a message of a process that died comes
# back after ten minutes (docs/functions-host.md#queue): the timer requeues a chunk only after that.
QUEUE_TRIES = 5
FIRST_RESCUE = timedelta(minutes=15)  # the default of RESCUE_MINUTES
# The share of a chunk's time at ACS after which the rest is its last quarter: a slow source keeps its streams even
# while others wait, a chunk waits for no fan-out, and the timer archives its recording itself.
LAST_QUARTER = 0.75
# An attempt every hour for two days, five times each as the queue does, would be more: the oldest are of least use.
KEPT = 100
# Addresses of one document: of more nearly all are false, and each of them costs a try.
MOST_ADDRESSES = 10
# Characters of the last failure's message: the metadata of a blob has 8 KiB, and each character may become twelve.
_SUMMARY = 400


class Failure(Record):
    """One attempt that failed, and why; `attempt` is which one, where that is known."""

    at: datetime
    code: str
    message: str
    attempt: str | None = None

    @property
    def began(self) -> datetime:
        """Return when the attempt began; where that is unknown, when it failed."""
        known = self.attempt is not None and layout.is_recording_key(self.attempt)
        return layout.recording_start(self.attempt or "") if known else self.at


class Attempts(Record):
    """The attempts at a chunk so far; its blob is overwritten.

    `failures` are the newest `KEPT` of `count`, oldest first. `queued_at` is when the timer, or an operator, put it on
    the queue last.
    """

    count: int = 0
    failures: tuple[Failure, ...] = ()
    next_at: datetime
    queued_at: datetime | None = None

    @property
    def is_summary(self) -> bool:
        """Return whether failures that were kept are missing, or their messages: it is from the blob's metadata."""
        messages = [failure.message for failure in self.failures]
        is_cut = not all(messages) or any(len(message) == _SUMMARY for message in messages[-1:])
        return is_cut or len(messages) < min(self.count, KEPT)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Self | None:
        """Read the record with its last failures only, from the metadata of its blob; None if it isn't there."""
        return cls.parse(metadata.get("summary", "").encode())

    def to_metadata(self) -> dict[str, str]:
        """Return the record with its last failures only: a list of blobs has it without a request for each.

        As many as there may be addresses, since each needs its evidence; of those before the last without the message.
        """
        last = [one.model_copy(update={"message": ""}) for one in self.failures[-MOST_ADDRESSES:-1]]
        last += [one.model_copy(update={"message": one.message[:_SUMMARY]}) for one in self.failures[-1:]]
        summary = self.model_copy(update={"failures": tuple(last)}).model_dump(mode="json", by_alias=True)
        return {"summary": to_header(summary)}

    @property
    def last(self) -> Failure | None:
        """Return the newest failure, if any."""
        return self.failures[-1] if self.failures else None

    @classmethod
    def parse(cls, text: bytes | None) -> Self | None:
        """Read a record; one that can't be parsed counts as none: it must not cost the chunk."""
        try:
            return cls.model_validate_json(text) if text else None
        except ValidationError:
            return None

    def with_failure(self, failure: Failure, *, first: timedelta = FIRST_RESCUE) -> Self:
        """Add a failure; one that is already there, because the answer to its write was lost, is not added again."""
        if failure in self.failures:
            return self
        count = self.count + 1
        return self.model_copy(
            update={
                "count": count,
                "failures": (*self.failures, failure)[-KEPT:],
                "next_at": failure.at + backoff(count, first=first),
            }
        )

    def with_requeue(self, now: datetime, *, first: timedelta = FIRST_RESCUE) -> Self:
        """Add that the timer put the chunk on the queue again, so that its next run doesn't."""
        pause = max(first, backoff(self.count, first=first))
        return self.model_copy(update={"next_at": now + pause, "queued_at": now})


def unfinished(begun: Iterable[str], record: Attempts | None, *, succeeded: str | None) -> tuple[str, ...]:
    """Return the attempts that began and neither failed nor succeeded, oldest first: each is running, or was killed."""
    ended = {succeeded, *(failure.attempt for failure in record.failures)} if record else {succeeded}
    return tuple(sorted(attempt for attempt in begun if attempt not in ended))


def backoff(count: int, *, first: timedelta = FIRST_RESCUE) -> timedelta:
    """Return the pause after `count` failures: 5 minutes, doubling to an hour once the queue has given up.

    These are a third of RESCUE_MINUTES and four times it.
    """
    doublings = max(0, min(count - QUEUE_TRIES, 10))
    return min(first * 4, first / 3 * (1 << doublings))
