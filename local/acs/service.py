"""The state of the emulated service: calls, recordings, documents. It knows nothing of HTTP.

What others must hear of (callbacks, events, making the media) leaves as effects, in order.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from local.acs import identifiers
from local.acs.clock import Clock
from local.acs.entities import (
    CALL_ENDED,
    INITIATOR_LEFT,
    Call,
    CallLegChanged,
    Chunk,
    Effect,
    Media,
    Recording,
    RecordingChanged,
    RecordingEnded,
    Settings,
)
from local.acs.errors import Conflict, NotFound
from local.acs.timeline import Participant, Pause


class Service:
    """Hold all state and apply every operation of the API and the control plane to it."""

    def __init__(self, clock: Clock, *, settings: Settings, emit: Callable[[Effect], None]) -> None:
        self.clock = clock
        self.settings = settings
        self.calls: dict[str, Call] = {}
        self.recordings: dict[str, Recording] = {}
        self._documents: dict[str, tuple[Recording, Chunk]] = {}
        self._conversations: dict[str, Call] = {}
        self._running: dict[str, Recording] = {}
        self._emit = emit

    def place_call(
        self, names: list[str], *, media: Media, callback_uri: str | None = None, group_id: str | None = None
    ) -> Call:
        """Start a call; raises Conflict if the group already has one."""
        group = (group_id or identifiers.new_guid()).lower()
        previous = self._conversations.get(group)
        if previous is not None and previous.ended is None:
            raise Conflict("The group already has a call.", target="groupId")
        call = self._new_call(names, media=media, group_id=group, started=self.clock.now())
        call.callback_uri = callback_uri
        self._emit(CallLegChanged(call, "Establishing"))
        self._emit(CallLegChanged(call, "Established"))
        return call

    def end_call(self, call_id: str) -> Call:
        """End a call and with it an active recording; ending it again changes nothing."""
        call = self.call(call_id)
        if call.ended is None:
            self._emit(CallLegChanged(call, "Terminating"))
            if recording := self._running.get(call.call_id):
                self._end(recording, CALL_ENDED)
            call.ended = self.clock.now()
            self._emit(CallLegChanged(call, "Terminated"))
        return call

    def call(self, call_id: str) -> Call:
        """Return a call or raise NotFound."""
        try:
            return self.calls[call_id.lower()]
        except KeyError:
            raise NotFound("There is no such call.", target="callId") from None

    def join(self, call_id: str, display_name: str) -> Participant:
        """Add a participant to a running call."""
        call = self._running_call(call_id)
        participant = Participant(identifiers.new_participant_id(), display_name, joined=self.clock.now())
        call.participants.append(participant)
        return participant

    def leave(self, call_id: str, participant_id: str) -> Participant:
        """Let a participant leave; the call goes on."""
        call = self._running_call(call_id)
        for index, participant in enumerate(call.participants):
            if participant.participant_id == participant_id and participant.left is None:
                call.participants[index] = replace(participant, left=self.clock.now())
                return call.participants[index]
        raise NotFound("There is no such participant in the call.", target="participantId")

    def start(self, conversation: str, *, callback_uri: str | None) -> Recording:
        """Start a recording by conversation id or group GUID.

        A second start while one runs is a Conflict: acs-contract 4.6 leaves the status open.
        """
        call = self._conversation(conversation)
        if call.call_id in self._running:
            raise Conflict("Recording is already in progress.", target="conversationId")
        recording = Recording(identifiers.new_recording_id(), call, start=self.clock.now(), callback_uri=callback_uri)
        self.recordings[recording.recording_id] = self._running[call.call_id] = recording
        self._emit(RecordingChanged(recording, "active"))
        return recording

    def running(self, conversation: str, recording_id: str) -> Recording:
        """Return a recording that runs in a conversation; after its end it is NotFound (acs-contract 4.6)."""
        call = self._conversation(conversation)
        recording = self._running.get(call.call_id)
        if recording is None or recording.recording_id != recording_id:
            raise NotFound("There is no such recording.", target="recordingId")
        return recording

    def pause(self, conversation: str, recording_id: str) -> Recording:
        """Pause a recording; pausing twice changes nothing."""
        recording = self.running(conversation, recording_id)
        if not recording.paused:
            recording.pauses.append(Pause(self.clock.now()))
            self._emit(RecordingChanged(recording, "inactive"))
        return recording

    def resume(self, conversation: str, recording_id: str) -> Recording:
        """Resume a recording; resuming twice changes nothing."""
        recording = self.running(conversation, recording_id)
        if recording.paused:
            recording.pauses[-1] = recording.pauses[-1].closed(self.clock.now())
            self._emit(RecordingChanged(recording, "active"))
        return recording

    def stop(self, conversation: str, recording_id: str) -> Recording:
        """End a recording; the call goes on."""
        recording = self.running(conversation, recording_id)
        self._end(recording, INITIATOR_LEFT)
        return recording

    def recorded(self, names: list[str], *, media: Media, seconds: float) -> Recording:
        """Make a recording that ended just now, without callbacks and without its media."""
        end = self.clock.now()
        start = end - timedelta(seconds=seconds)
        call = self._new_call(names, media=media, group_id=identifiers.new_guid(), started=start)
        call.ended = end
        recording = Recording(identifiers.new_recording_id(), call, start=start, end=end)
        self.recordings[recording.recording_id] = recording
        return recording

    def recording(self, recording_id: str) -> Recording:
        """Return a recording, ended or not, or raise NotFound."""
        try:
            return self.recordings[recording_id]
        except KeyError:
            raise NotFound("There is no such recording.", target="recordingId") from None

    def store(self, recording: Recording, chunks: list[Chunk]) -> None:
        """Put the finished media of a recording into temporary storage."""
        recording.chunks = chunks
        recording.stored = self.clock.now()
        self._documents.update({chunk.document_id: (recording, chunk) for chunk in chunks})

    def announce(self, recording: Recording) -> None:
        """Note that the file event goes out; its id and time stay the same however often it does."""
        if recording.stored is None:
            raise Conflict("The media of the recording is not ready.", target="recordingId")
        recording.announced = recording.announced or self.clock.now()

    def expires(self, recording: Recording) -> datetime | None:
        """Return when the chunks are deleted: retention after the event, or after storing if there was none."""
        available = recording.announced or recording.stored
        return available and available + timedelta(hours=self.settings.retention_hours)

    def document(self, document_id: str) -> Chunk:
        """Return a chunk in temporary storage; unknown and expired ones are NotFound alike."""
        recording, chunk = self._documents.get(document_id, (None, None))
        expires = None if recording is None else self.expires(recording)
        if chunk is None or expires is None or expires <= self.clock.now():
            raise NotFound("The document does not exist or has expired.", target="documentId")
        return chunk

    def reset(self, settings: Settings) -> None:
        """Forget everything."""
        self.calls.clear()
        self.recordings.clear()
        self._documents.clear()
        self._conversations.clear()
        self._running.clear()
        self.settings = settings
        self.clock.reset()

    def _new_call(self, names: list[str], *, media: Media, group_id: str, started: datetime) -> Call:
        call = Call(
            call_id=identifiers.new_guid(),
            call_leg_id=identifiers.new_guid(),
            conversation_url=identifiers.new_conversation_url(),
            group_id=group_id,
            callback_uri=None,
            media=media,
            started=started,
            participants=[Participant(identifiers.new_participant_id(), name, joined=started) for name in names],
        )
        self.calls[call.call_id] = call
        self._conversations[call.conversation_id] = self._conversations[call.group_id] = call
        return call

    def _running_call(self, call_id: str) -> Call:
        call = self.call(call_id)
        if call.ended is not None:
            raise Conflict("The call has ended.", target="callId")
        return call

    def _conversation(self, conversation: str) -> Call:
        # A group's GUID knows no case; the encoded URL does.
        call = self._conversations.get(conversation) or self._conversations.get(conversation.lower())
        if call is None or call.ended is not None:
            raise NotFound("There is no such conversation.", target="conversationId")
        return call

    def _end(self, recording: Recording, reason: str) -> None:
        del self._running[recording.call.call_id]
        recording.end = self.clock.now()
        recording.session_end_reason = reason
        self._emit(RecordingChanged(recording, "inactive"))
        self._emit(RecordingEnded(recording))
