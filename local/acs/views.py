"""Calls and recordings as the JSON of the control plane."""

import asyncio
from dataclasses import asdict
from typing import Any

from pydantic.alias_generators import to_camel

from local.acs import locations
from local.acs.clock import timestamp
from local.acs.entities import Call, Chunk, Recording
from local.acs.metadata import intervals
from local.acs.service import Service
from local.acs.timeline import Participant


def participant(person: Participant) -> dict[str, Any]:
    """Return one participant."""
    return {"participantId": person.participant_id, "displayName": person.display_name}


def call(value: Call) -> dict[str, Any]:
    """Return one call with its present participants."""
    return {
        "callId": value.call_id,
        "callLegId": value.call_leg_id,
        "conversationUrl": value.conversation_url,
        "conversationId": value.conversation_id,
        "serverCallId": value.server_call_id,
        "correlationId": value.correlation_id,
        "roomId": value.room_id,
        "groupId": value.group_id,
        "state": "Established" if value.ended is None else "Terminated",
        "participants": [participant(person) for person in value.participants if person.left is None],
    }


async def recording(value: Recording, service: Service) -> dict[str, Any]:
    """Return one recording; it has chunks, with their digests, when the media is ready."""
    expires = service.expires(value)
    digests = await asyncio.gather(*(chunk.digest.value() for chunk in value.chunks))
    return {
        "recordingId": value.recording_id,
        "callId": value.call.call_id,
        "conversationId": value.call.conversation_id,
        "serverCallId": value.call.server_call_id,
        "correlationId": value.call.correlation_id,
        "roomId": value.call.room_id,
        "generation": value.generation,
        "format": {to_camel(name): field for name, field in asdict(value.format).items()},
        "state": value.state,
        "startTime": timestamp(value.start),
        "pauseResumeIntervals": intervals(value.pauses, until=value.end or service.clock.now()),
        "announced": value.announced is not None,
        "chunks": [
            {
                "documentId": chunk.document_id,
                "index": chunk.index,
                "bytes": chunk.content.size,
                "sha256": digest,
                "durationMs": chunk.duration_ms,
                "endReason": chunk.end_reason,
                "expiresAt": None if expires is None else timestamp(expires),
                **_locations(value, chunk, service),
            }
            for chunk, digest in zip(value.chunks, digests, strict=True)
        ],
    }


def _locations(value: Recording, chunk: Chunk, service: Service) -> dict[str, str]:
    """Return the locations of a chunk, which the event of the 2021 preview API doesn't have."""
    return {} if value.generation == "2021" else locations.of(value, chunk, service.hosts).fields()
