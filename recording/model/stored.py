"""A blob as the service lists it, and the containers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Container = Literal["staging", "archive", "quarantine", "dead_letter", "derived"]


@dataclass(frozen=True)
class StoredBlob:
    """A blob as the service lists it: name in its container, bytes, ETag, metadata, when it was written last.

    `version_id` is known where it was asked for itself, and its account keeps versions.
    """

    name: str
    size: int
    etag: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    copy_status: str | None = None
    written_at: datetime | None = None
    content_type: str | None = None
    version_id: str | None = None

    @property
    def sha256(self) -> str | None:
        """The SHA-256 of the content in hex; of a chunk only if an older version proved it."""
        return self.metadata.get("sha256")

    @property
    def crc64(self) -> str | None:
        """The CRC64 of a chunk in 16 hex digits, if it was proved as it was written."""
        return self.metadata.get("crc64")

    @property
    def digest(self) -> str | None:
        """What was proved of its bytes: equal digests and lengths mean equal bytes; None if nothing was."""
        return self.sha256 or self.crc64


@dataclass(frozen=True)
class StoredVersion:
    """A blob, a version or a snapshot of one, as a list of everything has it.

    `version_id` is None where the account keeps no versions, `snapshot` a time in the service's own form. `is_deleted`
    is soft-deleted, until `gone_at` as far as the service says. `kept_until` is the end of a policy, locked or not.
    """

    name: str
    size: int = 0
    version_id: str | None = None
    snapshot: str | None = None
    is_current: bool = True
    is_deleted: bool = False
    gone_at: datetime | None = None
    kept_until: datetime | None = None
    is_locked: bool = False
    has_hold: bool = False


@dataclass(frozen=True)
class ProtectedBlob:
    """How the platform protects a version of a blob; `version_id` is None where the account keeps no versions."""

    name: str
    version_id: str | None
    is_current: bool
    hold: bool
    until: datetime | None
