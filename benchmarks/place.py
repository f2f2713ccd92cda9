"""Where a contender copies from and to."""

from dataclasses import dataclass
from urllib.parse import quote

from recording.model import layout

KEY = "20210727T152023608975Z-bench"
CONTAINER = "bench"
# The source doesn't check signatures, but the clients make them.
_ACCESS_KEY = "YmVuY2htYXJr"


@dataclass(frozen=True)
class Place:
    """The source's URL, and the sink's connection string with a container that exists."""

    source_url: str
    storage_connection_string: str
    container: str = CONTAINER

    @property
    def acs_connection_string(self) -> str:
        """The connection string of the source."""
        return f"endpoint={self.source_url};accesskey={_ACCESS_KEY}"

    def content_url(self, document: str) -> str:
        """Return the address of a document in the 2021 preview API (docs/acs-contract.md#2021-download)."""
        return f"{self.source_url}/recording/download/{quote(document)}?api-version=2021-04-15-preview1"

    def blob(self, document: str) -> str:
        """Name the blob that a document is copied to, the same for every contender."""
        return layout.chunk_blob(KEY, 0, document)
