"""Carry out the effects of the service: callbacks, Event Grid events, media."""

import asyncio
import logging
from collections.abc import Coroutine
from datetime import timedelta
from functools import partial
from typing import Any, Protocol

from local.acs import cloudevents, events, tokens
from local.acs.callbacks import Callbacks
from local.acs.entities import CallLegChanged, Effect, Recording, RecordingChanged, RecordingEnded, StartFailed
from local.acs.errors import Conflict
from local.acs.media import Cancelled
from local.acs.production import Studio
from local.acs.service import Service
from local.acs.timeline import Pause

_log = logging.getLogger(__name__)


class Publisher(Protocol):
    """A receiver of Event Grid events."""

    def publish(self, event: dict[str, Any], /) -> None:
        """Queue an event for every subscription and return at once."""


class Announcer:
    """React to effects; long work runs in tasks of this object."""

    def __init__(self, service: Service, *, topic: Publisher, callbacks: Callbacks, studio: Studio) -> None:
        self._service = service
        self._topic = topic
        self._callbacks = callbacks
        self._studio = studio
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, effect: Effect) -> None:
        """Carry out one effect."""
        now = self._service.clock.now()
        match effect:
            case CallLegChanged(call=call, state=state):
                _log.info("call.changed call_id=%s state=%s", call.call_id, state)
                payload = events.call_leg_changed(effect, now)
                self._topic.publish(events.as_event_grid(payload))
                if state == "Established":
                    self._topic.publish(events.call_started(call))
                elif state == "Terminated":
                    self._topic.publish(events.call_ended(call, now))
                if call.callback_uri is not None:
                    self._callbacks.send(call.callback_uri, payload)
            case RecordingChanged(recording=recording, state=state):
                _log.info("recording.changed recording_id=%s state=%s", recording.recording_id, state)
                if recording.generation == "today":
                    self._send_signed(recording.callback_uri, cloudevents.recording_changed(effect, now))
                elif recording.callback_uri is not None:
                    self._callbacks.send(recording.callback_uri, events.recording_changed(effect, now))
            case StartFailed():
                self._send_signed(effect.callback_uri, cloudevents.start_failed(effect, now))
            case RecordingEnded(recording=recording) if _never_ran(recording):
                _log.info("recording.empty recording_id=%s", recording.recording_id)
            case RecordingEnded(recording=recording):
                self._run(self._finish(recording))

    async def produce(self, recording: Recording) -> None:
        """Make and store the media of an ended recording; raises Conflict if it is cancelled."""
        settings = self._service.settings
        try:
            chunks = await self._studio.produce(recording, maximum_bytes=settings.chunk_maximum_bytes)
        except Cancelled:
            raise Conflict("The emulator stopped before the media was ready.") from None
        # Nothing is written into the customer's container: an exported file is only missing here.
        recording.exported = recording.format.destination is not None and not settings.export_fails
        self._service.store(recording, chunks)

    def announce(self, recording: Recording, *, times: int = 1) -> None:
        """Publish the file event of a recording; raises Conflict before it has media."""
        self._service.announce(recording)
        event = events.file_status_updated(recording, self._service.hosts)
        for _ in range(times):
            self._topic.publish(event)
        _log.info("recording.announced recording_id=%s chunks=%d", recording.recording_id, len(recording.chunks))

    async def cancel(self) -> None:
        """Cancel all work in progress."""
        self._studio.cancel()
        await self._callbacks.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _finish(self, recording: Recording) -> None:
        try:
            await self.produce(recording)
            delay = timedelta(seconds=self._service.settings.announce_delay_seconds)
            await self._service.clock.sleep_until((recording.end or self._service.clock.now()) + delay)
            self.announce(recording)
        except Conflict:
            _log.info("recording.dropped recording_id=%s", recording.recording_id)
        except Exception:
            _log.exception("recording.failed recording_id=%s", recording.recording_id)

    def _send_signed(self, uri: str | None, event: dict[str, Any]) -> None:
        settings = self._service.settings
        if uri is not None:
            authorize = partial(tokens.authorization, settings.callback_token, issuer=settings.issuer)
            self._callbacks.send(uri, [event], authorization=authorize)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _never_ran(recording: Recording) -> bool:
    """Return whether a recording began with a pause that never ended: it has no file.

    See docs/acs-contract.md#start-request.
    """
    first = recording.pauses[0] if recording.pauses else None
    return recording.generation == "today" and first == Pause(recording.start)
