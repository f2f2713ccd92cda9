"""Examine what the platform keeps of a blob that is erased: without the role for it, its versions."""

import asyncio
import secrets

from azure.core.exceptions import AzureError

from recording.doctor.finding import Finding
from recording.errors import describe
from recording.model import layout
from recording.storage.blobs import Blobs
from recording.storage.places import Places

_NAME = "erasure"
_FIX = "azd env set ERASE_VERSIONS true && azd provision, if one identity may write, hold and erase (SECURITY.md)"


async def examine_erasure(blobs: Blobs, *, timeout: float = 15.0) -> Finding:
    """Write a blob into the archive, erase it, and look for what is left."""
    name = f"{layout.DOCTOR}/{secrets.token_hex(8)}.json"
    try:
        async with asyncio.timeout(timeout):
            await blobs.create("archive", name, b"{}")
            done = await Places(blobs).empty("archive", [name])
    except (AzureError, TimeoutError) as failed:
        return Finding(_NAME, "skipped", f"a blob of the archive could not be erased ({describe(failed)})")
    if not done.remaining:
        return Finding(_NAME, "ok", "nothing is left of a blob of the archive that is erased")
    why = ", ".join(sorted({one.why for one in done.remaining}))
    until = max((one.until for one in done.remaining if one.until), default=None)
    end = f", until {until:%Y-%m-%d}" if until else ""
    return Finding(_NAME, "warn", f"what is erased in the archive stays as a version ({why}{end})", _FIX)
