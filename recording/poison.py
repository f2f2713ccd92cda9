"""Drain the poison queue: what the queue gave up, the timer takes over.

A message there was tried five times. Whether its chunk still needs work is told by the facts in
staging, and `archive` puts it on the queue again from them; the message itself adds nothing and
is deleted. One that isn't ours is kept in quarantine.
"""

import asyncio
import base64
from datetime import datetime

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient
from pydantic import ValidationError

from recording import intake, job, logs
from recording.notices import Notices
from recording.storage import Storage

# As many as one run takes: more would cost the archive its time.
_MOST = 320
_SECONDS = 30.0


async def drain(queue: QueueClient, storage: Storage, notices: Notices, *, now: datetime) -> int:
    """Take messages off the poison queue; the answer is how many there were.

    Raises nothing that storage or the topic says: the archive's run comes next, and must not wait for them.
    """
    count = 0
    try:
        async with asyncio.timeout(_SECONDS):
            async for message in queue.receive_messages(
                messages_per_page=32, visibility_timeout=60, max_messages=_MOST
            ):
                await _take(message, storage, notices, now=now)
                await queue.delete_message(message)
                count += 1
    except ResourceNotFoundError:
        pass  # the host makes the queue when it first needs it
    except (AzureError, TimeoutError) as failed:
        logs.warning("poison.not_drained", reason=type(failed).__name__, next="the next run tries again")
    return count


async def _take(message: QueueMessage, storage: Storage, notices: Notices, *, now: datetime) -> None:
    text = _text(str(message.content))
    try:
        chunk = job.read(text)
    except ValidationError:
        await intake.quarantine(
            text, ["not a chunk job, on the poison queue"], storage=storage, notices=notices, now=now
        )
        return
    logs.warning(
        "chunk.poisoned",
        recordingKey=chunk.recording_key,
        documentId=chunk.document_id,
        next="the timer tries it until its deadline",
    )


def _text(content: str) -> str:
    """Read what the host wrote in base64 (host.json); a message of anyone else's is taken as it is."""
    try:
        return base64.b64decode(content, validate=True).decode()
    except ValueError:
        return content
