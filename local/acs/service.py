"""The state of the emulated service: calls, recordings, documents; independent of HTTP.

Callbacks, events and the media are requested through effects, which are emitted in order.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from local.acs import identifiers
from local.acs.clock import Clock
from local.acs.entities import (
    API_VERSIONS,
    CALL_ENDED,
    INITIATOR_LEFT,
    RETENTION_HOURS,
    Call,
    CallLegChanged,
    Chunk,
    Effect,
    Format,
    Generation,
    Hosts,
    Media,
    Recording,
    RecordingChanged,
    RecordingEnded,
    Settings,
)
from local.acs.errors import BadRequest, Conflict, NotFound
from local.acs.repeats import Repeats
from local.acs.timeline import Participant, Pause

# What can identify a call: the conversation in the 2021 preview API only, the group in both APIs.
Handle = Literal["conversation", "group", "serverCall", "room", "connection"]
# The code of a locator that names no running call (docs/acs-contract.md#preview-errors).
CANNOT_JOIN = "8527"


class Service:
    """Keep the state, and apply the operations of the APIs and the control plane to it."""

    def __init__(self, clock: Clock, *, settings: Settings, emit: Callable[[Effect], None]) -> None:
        self.clock = clock
        self.settings = settings
        self.hosts = Hosts()
        self.calls: dict[str, Call] = {}
        self.recordings: dict[str, Recording] = {}
        self._documents: dict[str, tuple[Recording, Chunk]] = {}
        self.repeats = Repeats()
        self._handles: dict[tuple[Handle, str], Call] = {}
        self._running: dict[str, Recording] = {}
        self.emit = emit

    def place_call(
        self,
        names: list[str],
        *,
        media: Media,
        callback_uri: str | None = None,
        group_id: str | None = None,
        room_id: str | None = None,
    ) -> Call:
        """Start a call; raises Conflict if the group or the room already has one."""
        group = (group_id or identifiers.new_guid()).lower()
        if self._has_call("group", group):
            raise Conflict("The group already has a call.", target="groupId")
        if room_id is not None and self._has_call("room", room_id):
            raise Conflict("The room already has a call.", target="roomId")
        call = self._new_call(names, media=media, group_id=group, started=self.clock.now())
        call.callback_uri, call.room_id = callback_uri, room_id
        if room_id is not None:
            self._handles["room", room_id] = call
        self.emit(CallLegChanged(call, "Establishing"))
        self.emit(CallLegChanged(call, "Established"))
        return call

    def end_call(self, call_id: str) -> Call:
        """End a call and its running recording; ending it again changes nothing."""
        call = self.call(call_id)
        if call.ended is None:
            self.emit(CallLegChanged(call, "Terminating"))
            if recording := self._running.get(call.call_id):
                self._end(recording, CALL_ENDED)
            call.ended = self.clock.now()
            self.emit(CallLegChanged(call, "Terminated"))
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
        """Let a participant leave; the call continues."""
        call = self._running_call(call_id)
        for index, participant in enumerate(call.participants):
            if participant.participant_id == participant_id and participant.left is None:
                call.participants[index] = replace(participant, left=self.clock.now())
                return call.participants[index]
        raise NotFound("There is no such participant in the call.", target="participantId")

    def start(self, conversation: str, *, callback_uri: str | None) -> Recording:
        """Start a recording by conversation id or group GUID, as in 2021."""
        call = self._conversation(conversation)
        recording = Recording(identifiers.new_recording_id(), call, start=self.clock.now(), callback_uri=callback_uri)
        return self.begin(recording)

    def begin(self, recording: Recording) -> Recording:
        """Begin a recording, which may start with a pause.

        A second start while one runs, in either API, is a Conflict: the status in the service is unknown
        (docs/acs-contract.md#states).
        """
        call = recording.call
        if call.call_id in self._running:
            target = "conversationId" if recording.generation == "2021" else "callLocator"
            raise Conflict("Recording is already in progress.", target=target)
        self.recordings[recording.recording_id] = self._running[call.call_id] = recording
        self.emit(RecordingChanged(recording, recording.state))
        return recording

    def locate(self, handle: Handle, value: str) -> Call:
        """Return the running call that a locator of the Call Automation API names.

        See docs/acs-contract.md#preview-errors, #start-request.
        """
        call = self._handles.get((handle, value))
        if call is None or call.ended is not None:
            raise BadRequest("Invalid join identity, cannot join call.", code=CANNOT_JOIN)
        return call

    def running(self, conversation: str, recording_id: str) -> Recording:
        """Return a recording that runs in a conversation; after its end it is NotFound.

        See docs/acs-contract.md#states.
        """
        call = self._conversation(conversation)
        return self._known(self._running.get(call.call_id), recording_id, generation="2021")

    def running_today(self, recording_id: str) -> Recording:
        """Return a running recording of Call Automation; after its end it is NotFound (docs/acs-contract.md#states)."""
        recording = self.recordings.get(recording_id)
        over = recording is None or recording.end is not None
        return self._known(None if over else recording, recording_id, generation="today")

    def pause(self, recording: Recording) -> None:
        """Pause a recording; pausing twice changes nothing."""
        if not recording.paused:
            recording.pauses.append(Pause(self.clock.now()))
            self.emit(RecordingChanged(recording, "inactive"))

    def resume(self, recording: Recording) -> None:
        """Resume a recording; resuming twice changes nothing."""
        if recording.paused:
            recording.pauses[-1] = recording.pauses[-1].closed(self.clock.now())
            self.emit(RecordingChanged(recording, "active"))

    def stop(self, recording: Recording) -> None:
        """End a recording; the call continues."""
        self._end(recording, INITIATOR_LEFT)

    def recorded(
        self, names: list[str], *, media: Media, seconds: float, generation: Generation, format: Format
    ) -> Recording:
        """Create a recording that has just ended, without callbacks and media."""
        end = self.clock.now()
        start = end - timedelta(seconds=seconds)
        call = self._new_call(names, media=media, group_id=identifiers.new_guid(), started=start)
        call.ended = end
        recording = Recording(
            identifiers.new_recording_id(),
            call,
            start=start,
            end=end,
            generation=generation,
            api_version=API_VERSIONS[generation],
            format=format,
        )
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
        recording.reported = datetime.now(UTC)
        if not recording.exported:
            self._documents.update({chunk.document_id: (recording, chunk) for chunk in chunks})

    def announce(self, recording: Recording) -> None:
        """Mark a recording as announced; id and time of its event stay the same if it is published again."""
        if recording.stored is None:
            raise Conflict("The media of the recording is not ready.", target="recordingId")
        recording.announced = recording.announced or self.clock.now()

    def expires(self, recording: Recording) -> datetime | None:
        """Return when the chunks expire: counted from the file event, or from storing if there was none."""
        available = recording.announced or recording.stored
        hours = self.settings.retention_hours or RETENTION_HOURS[recording.generation]
        return available and available + timedelta(hours=hours)

    def document(self, document_id: str, *, generation: Generation) -> Chunk:
        """Return a chunk in temporary storage; raises NotFound if it is unknown, expired or of the other API."""
        recording, chunk = self._documents.get(document_id, (None, None))
        expires = None if recording is None else self.expires(recording)
        if recording is None or chunk is None or expires is None or expires <= self.clock.now():
            raise NotFound("The document does not exist or has expired.", target="documentId")
        if recording.generation != generation:
            raise NotFound("The document belongs to the other API.", target="documentId")
        return chunk

    def delete_document(self, document_id: str) -> None:
        """Remove a chunk and its metadata from temporary storage."""
        del self._documents[document_id]

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
        self._handles["conversation", call.conversation_id] = call
        self._handles["serverCall", call.server_call_id] = call
        self._handles["group", call.group_id] = call
        self._handles["connection", call.call_leg_id] = call
        return call

    def _has_call(self, handle: Handle, value: str) -> bool:
        call = self._handles.get((handle, value))
        return call is not None and call.ended is None

    @staticmethod
    def _known(recording: Recording | None, recording_id: str, *, generation: Generation) -> Recording:
        # A recording belongs to the API that started it; it is unknown in the other one.
        if recording is None or recording.recording_id != recording_id or recording.generation != generation:
            raise NotFound("There is no such recording.", target="recordingId")
        return recording

    def _running_call(self, call_id: str) -> Call:
        call = self.call(call_id)
        if call.ended is not None:
            raise Conflict("The call has ended.", target="callId")
        return call

    def _conversation(self, conversation: str) -> Call:
        # The GUID of a group is case-insensitive; the encoded URL isn't.
        call = self._handles.get(("conversation", conversation)) or self._handles.get(("group", conversation.lower()))
        if call is None or call.ended is not None:
            raise NotFound("There is no such conversation.", target="conversationId")
        return call

    def _end(self, recording: Recording, reason: str) -> None:
        del self._running[recording.call.call_id]
        recording.end = self.clock.now()
        recording.session_end_reason = reason
        self.emit(RecordingChanged(recording, "inactive"))
        self.emit(RecordingEnded(recording))
