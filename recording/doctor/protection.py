"""Examine whether holds and policies can be set on the archive's blobs, as the settings say."""

import asyncio

from azure.core.exceptions import AzureError

from recording.config.settings import Settings
from recording.doctor.finding import Finding
from recording.errors import describe
from recording.storage.blobs import Blobs
from recording.storage.keeping import KeepingStore

_NAME = "holds and policies"


async def examine_protection(
    settings: Settings, blobs: Blobs, keeping: KeepingStore, *, timeout: float = 15.0
) -> Finding:
    """Compare the setting with the archive's container, and look for what the platform has refused."""
    try:
        async with asyncio.timeout(timeout):
            is_immutable, pending = await blobs.is_immutable(), await keeping.pending()
    except (AzureError, TimeoutError) as failed:
        return Finding(_NAME, "skipped", f"the archive or staging can't be read ({describe(failed)})")
    if settings.archive_immutability and not is_immutable:
        return Finding(
            _NAME,
            "fail",
            "ARCHIVE_IMMUTABILITY is true, and the archive container has no version-level immutability",
            "set ARCHIVE_IMMUTABILITY to false, or migrate the container (docs/compliance.md#immutability)",
        )
    if is_immutable and not settings.archive_immutability:
        return Finding(
            _NAME,
            "warn",
            "the archive container has version-level immutability, and the app doesn't use it",
            "set ARCHIVE_IMMUTABILITY to true; azd: ARCHIVE_IMMUTABILITY_SUPPORT",
        )
    if pending:
        return Finding(
            _NAME,
            "warn",
            f"the index or the platform does not yet reflect what keeps {len(pending)} "
            f"recording{'s' * (len(pending) != 1)}, such as {min(pending)}",
            "the log says why: recording.not_protected (docs/runbook.md#recording-not-protected), keeping.not_followed",
        )
    where = "in facts, and on the archive's blobs" if is_immutable else "in facts only: the archive has no immutability"
    return Finding(_NAME, "ok", where)
