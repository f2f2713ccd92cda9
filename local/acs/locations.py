"""The locations of the files of the Call Automation API, as in its event.

See docs/acs-contract.md#file-event, #storage-host, #own-storage.
"""

import uuid
from dataclasses import dataclass

from yarl import URL

from local.acs.entities import Chunk, Hosts, Recording

OBJECTS = "/v1/objects"
METADATA_VIEW = "acsmetadata"
# The name of audio on the service's storage host is unknown (docs/acs-contract.md#not-found): clients copy the
# location.
_VIEWS = {"mp4": "video", "mp3": "audio", "wav": "audio"}
# In the customer's container only `audiomp3` is documented; the other two are inferred.
_EXPORTED_VIEWS = {"mp4": "video", "mp3": "audiomp3", "wav": "audiowav"}


@dataclass(frozen=True)
class Locations:
    """The locations of one chunk; one in the customer's container can't be deleted through the service."""

    content: str
    metadata: str
    delete: str | None

    def fields(self) -> dict[str, str]:
        """Return the fields of an event's chunk."""
        found = {"contentLocation": self.content, "metadataLocation": self.metadata}
        return found if self.delete is None else found | {"deleteLocation": self.delete}


def view(chunk: Chunk) -> str:
    """Return the last segment of the URL of a chunk's content."""
    return _VIEWS[chunk.format_type]


def of(recording: Recording, chunk: Chunk, hosts: Hosts) -> Locations:
    """Return the locations of a chunk, on the storage host or in the container that it was exported to."""
    if recording.exported and recording.format.destination is not None:
        return _exported(recording, chunk, URL(recording.format.destination))
    path = f"{OBJECTS}/{chunk.document_id}"
    content = f"{hosts.storage}{path}/content/"
    # As in the service's own example, files are deleted at the host of the region.
    return Locations(content + view(chunk), content + METADATA_VIEW, hosts.region + path)


def _exported(recording: Recording, chunk: Chunk, container: URL) -> Locations:
    guid = uuid.uuid5(uuid.NAMESPACE_OID, recording.recording_id)
    folder = container / f"{recording.start:%Y%m%d}" / recording.call.call_id / f"{recording.recording_id[:8]}-{guid}"
    kind, identity = chunk.format_type, chunk.document_id
    content = folder / f"{chunk.index}-{_EXPORTED_VIEWS[kind]}.{identity}.{kind}"
    return Locations(str(content), str(folder / f"{chunk.index}-{METADATA_VIEW}.{identity}.json"), None)
