"""Where a contender copies from and to."""

from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from recording.model import layout

START = datetime(2021, 7, 27, 15, 20, 23, 608975, UTC)
CONTAINER = "bench"
# The source doesn't check signatures, but the clients make them.
_ACCESS_KEY = "YmVuY2htYXJr"


@dataclass(frozen=True)
class Place:
    """The source's URL, and the sink's connection string with two containers that exist."""

    source_url: str
    storage_connection_string: str
    container: str = CONTAINER

    @property
    def archive(self) -> str:
        """The container of what is archived."""
        return f"{self.container}-archive"

    @property
    def acs_connection_string(self) -> str:
        """The connection string of the source."""
        return f"endpoint={self.source_url};accesskey={_ACCESS_KEY}"

    def content_url(self, document: str) -> str:
        """Return the address of a document in the 2021 preview API (docs/acs-contract.md#2021-download)."""
        return f"{self.source_url}/recording/download/{quote(document)}?api-version=2021-04-15-preview1"

    def key(self, document: str) -> str:
        """Return the key of the recording of which a document is the only chunk."""
        return layout.recording_key(START, document)

    def blob(self, document: str) -> str:
        """Name the blob that a document is copied to, the same for every contender."""
        return layout.chunk_blob(self.key(document), 0, document)

    def archived(self, document: str) -> str:
        """Name the copy of that blob in the archive."""
        return layout.archived(self.blob(document), "mp4")
