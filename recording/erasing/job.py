"""Use case: an erasure that was asked for is done, by a message of the queue `recording-erasures`.

A process may be killed anywhere: the next one finds what is done and goes on. Until it has begun, nothing is changed.
It looks for holds after it has said that it begins, and whoever places one looks after his fact is there whether an
erasure has begun: so one of them sees the other, and nothing on hold is removed. Two processes may do one erasure, and
one be killed and leave the rest to the next: what is found is a fact that is written once, before anything else is, and
all of them follow it.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from recording.clock import Clock, utc_now
from recording.erasing.blocked import Blocked, Reason
from recording.erasing.removal import Removal
from recording.erasing.scope import ScopeFinder
from recording.model import layout
from recording.model.caller import Caller
from recording.model.erasure import (
    Certificate,
    ErasureChecked,
    ErasureDecided,
    ErasureScope,
    ErasureSummary,
    Left,
    PendingErasure,
    answers,
)
from recording.model.tombstone import Tombstone
from recording.model.trail import TrailEntry
from recording.storage.erasures import ErasureStore, Steps
from recording.storage.index import Index
from recording.storage.places import NOT_REMOVED, Places
from recording.storage.tombstones import Tombstones
from recording.storage.trail import Trail
from recording.telemetry import log, traces
from recording.workers import Turns

# Below `functionTimeout` (host.json).
BUDGET_SECONDS = 25 * 60.0
# After it every job has ended that began before the tombstone (half an hour at most, `functionTimeout`), and the timer
# has written the rows of the trail whose facts came without: then all places are listed once more.
SETTLES = timedelta(hours=2)
_TURN_SECONDS = 15.0
# Of removals, until a list has nothing that is there for no reason.
_ROUNDS = 3


@dataclass(frozen=True)
class Erase:
    """Does erasures."""

    store: ErasureStore
    tombstones: Tombstones
    scopes: ScopeFinder
    removal: Removal
    blocked: Blocked
    places: Places
    index: Index
    trail: Trail
    clock: Clock = utc_now
    budget_seconds: float = BUDGET_SECONDS
    settles: timedelta = SETTLES
    turns: Turns = field(default_factory=Turns)

    async def run(self, key: str) -> None:
        """Do the erasure of a recording that is due; what it raises makes the queue try again, then the timer.

        Raises azure-core's errors and TimeoutError.
        """
        erasure = layout.key_digest(key)
        async with asyncio.timeout(self.budget_seconds), self.turns.take(key, seconds=_TURN_SECONDS) as is_mine:
            if is_mine and (pending := await self.store.pending(erasure)):
                with traces.span("recording.erase", key):
                    await self._run(pending)

    async def _run(self, pending: PendingErasure) -> None:
        asked, key = pending.asked, pending.recording_key
        steps = await self.store.steps(asked.erasure, asked.number)
        if steps.certificate:
            await self._settle(pending, steps.certificate)
            return
        if steps.decided and not steps.has_begun:
            # It was called off or refused, by a process that was killed before its last step.
            await self._forget(pending)
            return
        now = self.clock()
        if steps.decided is None:
            if now < asked.happens_at:
                return
            # Who asked may have been killed in between.
            await self.store.ask(pending)
            decided = await self.store.decide(asked.erasure, asked.number, await self._decision(pending, now))
            if decided.decision == "refused":
                _log_refused(pending, decided.reasons)
            if decided.decision != "begun":
                await self._forget(pending)
                return
            steps = Steps(asked, decided)
        assert steps.decided is not None  # noqa: S101 - it was decided a moment ago, or before
        if not await self._goes_on(pending, steps.checked, now):
            return
        if await self.tombstones.read(asked.erasure) is None:
            await self._bury(pending, await self.scopes.ids(key), now)
        scope = await self._scope(pending)
        left = await self._remove(scope, asked.erasure)
        await self._certify(pending, scope, begun_at=steps.decided.at, revision=1, left=left)
        await self.store.settle(asked.erasure, asked.number, self.clock() + self.settles)
        await self.store.forget_queued(asked.erasure)

    async def _decision(self, pending: PendingErasure, now: datetime) -> ErasureDecided:
        """Begin, or refuse what is forbidden: it must be asked for again."""
        if reasons := await self.blocked.by(pending.recording_key, now, pending.asked.reason):
            return ErasureDecided(decision="refused", at=now, by=None, reasons=_codes(reasons))
        return ErasureDecided(decision="begun", at=now, by=pending.asked.by)

    async def _goes_on(self, pending: PendingErasure, checked: ErasureChecked | None, now: datetime) -> bool:
        """Look for what forbids an erasure that has begun, unless that is decided; end it if it stops."""
        asked = pending.asked
        if checked is None:
            stone = await self.tombstones.read(asked.erasure)
            # An earlier version has looked before it wrote that.
            is_buried = stone is not None and stone.erasure == asked.erasure
            reasons = [] if is_buried else await self.blocked.by(pending.recording_key, now, asked.reason)
            mine = ErasureChecked(decision="stop" if reasons else "go", at=now, reasons=_codes(reasons))
            checked = await self.store.check(asked.erasure, asked.number, mine)
        if checked is None:
            # Neither may be assumed of what can't be read: somebody has to look at it.
            return False
        if checked.decision == "stop":
            _log_refused(pending, checked.reasons)
            await self._forget(pending)
        return checked.decision == "go"

    async def _bury(self, pending: PendingErasure, scope: ErasureScope, now: datetime) -> None:
        """Write the tombstone: from here on nothing of the recording is accepted."""
        asked = pending.asked
        await self.tombstones.write(
            Tombstone(
                erasure=asked.erasure,
                at=now,
                by=asked.by,
                reason=asked.reason,
                recordings=tuple(layout.recording_digest(one) for one in scope.recording_ids),
                documents=tuple(layout.document_digest(one) for one in scope.document_ids),
            )
        )

    async def _scope(self, pending: PendingErasure) -> ErasureScope:
        """Return what there was before anything was removed; an event may have come before the tombstone was there."""
        asked = pending.asked
        scope = await self.store.scope(asked.erasure, asked.number)
        if scope is None:
            scope = await self.scopes.find(pending.recording_key)
            # What is there stays, and what has come since the tombstone was written is added.
            await self._bury(pending, scope, self.clock())
            scope = await self.store.keep_scope(asked.erasure, asked.number, scope)
        return scope

    async def _remove(self, scope: ErasureScope, erasure: str) -> tuple[Left, ...]:
        """Remove everything; return what is left by a list of all places.

        What is there for no reason has come meanwhile, as the fact of a hold that is withdrawn: it is removed, too.
        """
        for _ in range(_ROUNDS):
            refused = await self.removal.run(scope, erasure, self.clock())
            left = _merged(refused, await self.removal.remaining(scope))
            if NOT_REMOVED not in {one.why for one in left}:
                break
        return tuple(left)

    async def _certify(
        self,
        pending: PendingErasure,
        scope: ErasureScope,
        *,
        begun_at: datetime,
        revision: int,
        left: tuple[Left, ...],
        found: dict[str, int] | None = None,
    ) -> None:
        """Write what was removed, and what is left."""
        asked = pending.asked
        found = found or scope.found
        kept_back = Counter(one.kind for one in left if one.why != "soft-deleted" and one.place != "ACS")
        kept, expires = answers()
        certificate = Certificate(
            erasure=asked.erasure,
            revision=revision,
            reason=asked.reason,
            asked_at=asked.at,
            asked_by=asked.by,
            begun_at=begun_at,
            checked_at=self.clock(),
            found=found,
            removed={kind: max(count - kept_back[kind], 0) for kind, count in found.items()},
            digests=tuple(
                sorted(
                    {
                        asked.erasure,
                        *(layout.recording_digest(one) for one in scope.recording_ids),
                        *(layout.document_digest(one) for one in scope.document_ids),
                    }
                )
            ),
            left=left,
            kept=kept,
            expires=expires,
        )
        await self.store.certify(asked.number, certificate)
        await self.index.note_erasure(ErasureSummary.of(asked, certificate))
        write = log.info if certificate.is_whole else log.warning
        write(
            "recording.erased",
            erasure=asked.erasure,
            revision=revision,
            removed=sum(certificate.removed.values()),
            left=len(left),
            reasons=sorted({one.why for one in left}),
        )

    async def _settle(self, pending: PendingErasure, certificate: Certificate) -> None:
        """Empty all places once more, when nothing can come any more, and forget which recording it was."""
        asked = pending.asked
        listed = await self.store.settling_at(asked.erasure, asked.number)
        if listed is None:
            # It was killed behind its certificate.
            await self.store.settle(asked.erasure, asked.number, self.clock() + self.settles)
            await self.store.forget_queued(asked.erasure)
            return
        if self.clock() < listed:
            return
        scope = await self._scope(pending)
        late = await self.scopes.find(pending.recording_key, known=scope)
        scope = scope.with_places(late)
        left = await self._remove(scope, asked.erasure)
        if late.found or [*left] != [*certificate.left]:
            found = dict(Counter(certificate.found) + Counter(late.found))
            await self._certify(
                pending,
                scope,
                begun_at=certificate.begun_at,
                revision=certificate.revision + 1,
                left=left,
                found=found,
            )
        await self._note_done(pending)
        await self._forget(pending)

    async def _note_done(self, pending: PendingErasure) -> None:
        """Put on the trail that it is done; if that can't be written, the log has it."""
        entry = TrailEntry.of(Caller(origin="timer"), "erased", self.clock())
        entry.erasure, entry.reason = pending.asked.erasure, pending.asked.reason
        async with self.trail.record(entry):
            pass

    async def _forget(self, pending: PendingErasure) -> None:
        """Remove what staging has of the erasure: the last step of each."""
        asked = pending.asked
        steps = await self.store.steps(asked.erasure, asked.number)
        # Nothing else would: while the row can't be written, the erasure isn't forgotten, and this is done again.
        await self.index.write_erasure(ErasureSummary.of(asked, steps.certificate, steps.decided, steps.checked))
        await self.places.empty("staging", [layout.pending_erasure_prefix(asked.erasure, asked.number)])
        await self.store.forget_queued(asked.erasure)


def _log_refused(pending: PendingErasure, reasons: tuple[str, ...]) -> None:
    log.error(
        "erasure.refused",
        recordingKey=pending.recording_key,
        erasure=pending.asked.erasure,
        reason="; ".join(reasons),
        next="nothing was removed; ask for it again when the hold is lifted",
    )


def _codes(reasons: list[Reason]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.code for one in reasons))


def _merged(refused: list[Left], listed: list[Left]) -> list[Left]:
    """Return what is left: why it was refused is known from the removal, what is there from the list."""
    why = {(one.place, one.digest): one for one in refused}
    found = []
    for one in listed:
        known = why.get((one.place, one.digest))
        found.append(known if known and one.why == NOT_REMOVED else one)
    return [*found, *(one for one in refused if one.place == "ACS")]
