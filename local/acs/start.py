"""The body of a start with Call Automation: which call, and how to record it (docs/acs-contract.md#start-request)."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field
from pydantic.alias_generators import to_camel

from local.acs.bodies import ServiceBody, absolute_uri, parse
from local.acs.entities import MAXIMUM_CHANNELS, ChannelType, ContentType, Format, formats
from local.acs.errors import BadRequest
from local.acs.filler import FileType
from local.acs.service import Handle

StorageKind = Literal["azureCommunicationServices", "azureBlobStorage"]
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
# The version that introduced a field.
_SINCE = {"room_id": "2024-09-15", "pause_on_start": "2024-04-15", "external_storage": "2024-04-15"}
CONNECTION_SINCE = "2025-06-15"


def _spelling(choices: Any) -> BeforeValidator:
    """Accept an enumeration in any case, because clients differ (docs/acs-contract.md#start-request)."""
    known = {choice.lower(): choice for choice in get_args(choices)}
    return BeforeValidator(lambda value: known.get(value.lower(), value) if isinstance(value, str) else value)


class Locator(ServiceBody):
    """Which call; the kind says which of the ids is used."""

    kind: Literal["serverCallLocator", "groupCallLocator", "roomCallLocator"]
    server_call_id: str | None = None
    group_call_id: str | None = None
    room_id: str | None = None


class _WithId(ServiceBody):
    id: Annotated[str, Field(min_length=1)]


class Identifier(ServiceBody):
    """A participant, by raw id or as an ACS user."""

    raw_id: Annotated[str, Field(min_length=1)] | None = None
    communication_user: _WithId | None = None

    def value(self) -> str:
        """Return the raw id; raises BadRequest if there is none."""
        found = self.raw_id or (self.communication_user and self.communication_user.id)
        if not found:
            raise BadRequest("A participant needs a rawId.", target="participant")
        return found


class Affinity(ServiceBody):
    """Who is in which channel."""

    channel: Annotated[int, Field(ge=0, lt=MAXIMUM_CHANNELS)]
    participant: Identifier


class ExternalStorage(ServiceBody):
    """Where the files go instead of temporary storage."""

    recording_storage_kind: Annotated[StorageKind, _spelling(StorageKind)]
    recording_destination_container_url: str | None = None


class StartBody(ServiceBody):
    """The body as sent; null and absent are the same."""

    call_locator: Locator | None = None
    call_connection_id: str | None = None
    recording_state_callback_uri: str | None = None
    recording_content_type: Annotated[ContentType | None, _spelling(ContentType)] = None
    recording_channel_type: Annotated[ChannelType | None, _spelling(ChannelType)] = None
    recording_format_type: Annotated[FileType | None, _spelling(FileType)] = None
    audio_channel_participant_ordering: list[Identifier] | None = None
    channel_affinity: list[Affinity] | None = None
    pause_on_start: bool | None = None
    external_storage: ExternalStorage | None = None


@dataclass(frozen=True)
class Start:
    """A valid start."""

    handle: Handle
    value: str
    callback_uri: str | None
    format: Format
    paused: bool


def read(raw: bytes, *, version: str) -> Start:
    """Parse and check a body as the given api-version has it; raises BadRequest with the reason."""
    body = parse(raw, StartBody)
    for name in ("pause_on_start", "external_storage"):
        if getattr(body, name) is not None and version < _SINCE[name]:
            raise BadRequest(f"{to_camel(name)} needs api-version {_SINCE[name]} or later.", target=to_camel(name))
    handle, value = _call(body, version)
    return Start(handle, value, _callback_uri(body), _format(body), bool(body.pause_on_start))


def _call(body: StartBody, version: str) -> tuple[Handle, str]:
    connection = body.call_connection_id if version >= CONNECTION_SINCE else None
    if (body.call_locator is None) == (connection is None):
        either = " or callConnectionId, and only one of them," if version >= CONNECTION_SINCE else ""
        raise BadRequest(f"The request contains invalid data: callLocator{either} is required.", target="callLocator")
    if body.call_locator is None:
        return "connection", (connection or "").lower()
    locator = body.call_locator
    handle: Handle = "serverCall"
    value = locator.server_call_id
    if locator.kind == "groupCallLocator":
        handle, value = "group", locator.group_call_id and locator.group_call_id.lower()
    if locator.kind == "roomCallLocator":
        if version < _SINCE["room_id"]:
            raise BadRequest(f"A room needs api-version {_SINCE['room_id']} or later.", target="callLocator.kind")
        handle, value = "room", locator.room_id
    if not value:
        raise BadRequest(f"The request contains invalid data: a {locator.kind} needs its id.", target="callLocator")
    return handle, value


def _callback_uri(body: StartBody) -> str | None:
    uri = body.recording_state_callback_uri
    if uri is None:
        return None
    try:
        absolute_uri(uri)
    except ValueError:
        # As captured, with an empty message (docs/acs-contract.md#preview-errors).
        raise BadRequest("", code="BadRequest") from None
    if not _is_private(uri):
        raise BadRequest("The field CallbackUri is invalid.", code="BadRequest", target="recordingStateCallbackUri")
    return uri


def _is_private(uri: str) -> bool:
    """Return whether a URI is encrypted or doesn't leave this machine."""
    parts = urlsplit(uri)
    return parts.scheme.lower() == "https" or parts.hostname in _LOOPBACK


def _format(body: StartBody) -> Format:
    asked = (body.recording_content_type, body.recording_channel_type, body.recording_format_type)
    # What isn't given is that of the first format that matches: the service's defaults are unknown.
    fitting = formats(*asked)
    if not fitting:
        wanted = " ".join(part for part in asked if part is not None)
        raise BadRequest(
            f"Recording {wanted} is not supported: audioVideo is mixed mp4, mixed audio is mp3 or wav, "
            "unmixed audio is wav.",
            target="recordingFormatType",
        )
    content, channel, kind = fitting[0]
    channels = _channels(body)
    if channels and channel != "unmixed":
        raise BadRequest("Only an unmixed recording has a channel for each participant.", target="recordingChannelType")
    return Format(content, channel, kind, channels, _destination(body.external_storage))


def _channels(body: StartBody) -> tuple[str, ...]:
    """Return the raw ids in the order of their channels, empty for a channel that isn't assigned."""
    ordering = [person.value() for person in body.audio_channel_participant_ordering or []]
    affinity = {one.channel: one.participant.value() for one in body.channel_affinity or []}
    if ordering and affinity:
        raise BadRequest("Channels must be given either by ordering or by affinity.", target="channelAffinity")
    if len(ordering) > MAXIMUM_CHANNELS:
        raise BadRequest("An unmixed recording has at most 5 channels.", target="audioChannelParticipantOrdering")
    if len(affinity) < len(body.channel_affinity or []):
        raise BadRequest("A channel is assigned twice.", target="channelAffinity")
    found = [*ordering, *affinity.values()]
    if len(set(found)) < len(found):
        target = "channelAffinity" if affinity else "audioChannelParticipantOrdering"
        raise BadRequest("A participant is assigned two channels.", target=target)
    return tuple(ordering) or tuple(affinity.get(channel, "") for channel in range(max(affinity, default=-1) + 1))


def _destination(storage: ExternalStorage | None) -> str | None:
    if storage is None or storage.recording_storage_kind == "azureCommunicationServices":
        return None
    url = storage.recording_destination_container_url or ""
    try:
        absolute_uri(url)
    except ValueError:
        usable = False
    else:
        usable = _is_private(url) and bool(urlsplit(url).path.strip("/"))
    if not usable:
        raise BadRequest(
            "recordingDestinationContainerUrl must be the https URL of a container.",
            target="externalStorage.recordingDestinationContainerUrl",
        )
    return url
