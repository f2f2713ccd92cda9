"""Pure: the start options of the Call Automation API, by their names there, and which can be combined.

What the service is known to refuse is rejected first, with a reason (docs/acs-contract.md#start-request).
"""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from recording import urls
from recording.model.record import Body

ContentType = Literal["audio", "audioVideo"]
ChannelType = Literal["mixed", "unmixed"]
FormatType = Literal["mp4", "mp3", "wav"]

MOST_CHANNELS = 5
_MEMBERS_OF_2021 = {"operationContext", "recordingStateCallbackUri", "conversationUrl", "retentionClass"}


def _raw_id(participant: Any) -> Any:
    return participant.get("rawId") if isinstance(participant, dict) else participant


# A raw id, or an identifier object with one (docs/acs-contract.md#start-request): `8:acs:…`, `4:+4912345`.
Participant = Annotated[str, Field(min_length=1, max_length=512), BeforeValidator(_raw_id)]


class ChannelAffinity(Body):
    """Which participant is on which channel of an unmixed recording."""

    channel: int = Field(ge=0, lt=MOST_CHANNELS)
    participant: Participant


def _check_container(url: str) -> str:
    if urlsplit(urls.require_https(url)).query or urlsplit(url).fragment:
        raise ValueError("must be a container's URL without a query: ACS writes there with its own identity")
    return url


class ExternalStorage(Body):
    """Where ACS puts the files, instead of into its temporary storage (docs/acs-contract.md#own-storage)."""

    recording_storage_kind: Literal["azureCommunicationServices", "azureBlobStorage"]
    recording_destination_container_url: Annotated[str | None, Field(max_length=2048, validate_default=True)] = None

    @field_validator("recording_destination_container_url")
    @classmethod
    def _fits(cls, url: str | None, given: ValidationInfo) -> str | None:
        if (url is None) == (given.data.get("recording_storage_kind") == "azureBlobStorage"):
            raise ValueError("must be given with azureBlobStorage, and only then")
        return url if url is None else _check_container(url)


class StartOptions(Body):
    """Options of a start with the Call Automation API; the 2021 preview API has none of them.

    See docs/acs-contract.md#start-request.
    """

    recording_content_type: ContentType | None = None
    recording_channel_type: ChannelType | None = None
    recording_format_type: FormatType | None = None
    audio_channel_participant_ordering: Annotated[list[Participant], Field(max_length=MOST_CHANNELS)] | None = None
    channel_affinity: Annotated[list[ChannelAffinity], Field(max_length=MOST_CHANNELS)] | None = None
    pause_on_start: bool | None = None
    external_storage: ExternalStorage | None = None

    @field_validator("recording_channel_type")
    @classmethod
    def _check_channel_type(cls, value: str | None, given: ValidationInfo) -> str | None:
        if value == "unmixed" and given.data.get("recording_content_type") == "audioVideo":
            raise ValueError("an unmixed recording has audio only")
        return value

    @field_validator("recording_format_type")
    @classmethod
    def _check_format(cls, value: str | None, given: ValidationInfo) -> str | None:
        if given.data.get("recording_channel_type") == "unmixed" and value in ("mp3", "mp4"):
            raise ValueError("an unmixed recording is a wav")
        if given.data.get("recording_content_type") == "audioVideo" and value in ("mp3", "wav"):
            raise ValueError("a recording with video is an mp4")
        return value

    @field_validator("audio_channel_participant_ordering", "channel_affinity")
    @classmethod
    def _check_channels(cls, value: list[Any] | None, given: ValidationInfo) -> list[Any] | None:
        if value and given.data.get("recording_channel_type") != "unmixed":
            raise ValueError("needs recordingChannelType unmixed")
        people = [getattr(one, "participant", one) for one in value or ()]
        channels = [getattr(one, "channel", number) for number, one in enumerate(value or ())]
        if len(set(people)) < len(people) or len(set(channels)) < len(channels):
            raise ValueError("has a participant or a channel twice")
        return value

    def of_today(self) -> list[str]:
        """List the given members that the 2021 preview API doesn't have."""
        given = self.model_dump(by_alias=True, exclude_none=True)
        return [name for name in given if name not in _MEMBERS_OF_2021]
