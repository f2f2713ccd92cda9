"""File events that the soak test makes itself: late, partly invalid and invalid ones."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from local.acs.filler import FileType

FILE_STATUS = "Microsoft.Communication.RecordingFileStatusUpdated"
CALL_LEG = "Microsoft.Communication.CallLegStateChanged"
OTHER = "Microsoft.Communication.ChatMessageReceived"
# The members of a chunk; the 2021 preview API has no locations (docs/acs-contract.md#2021-file-event, #file-event).
MEMBERS = ("documentId", "index", "endReason", "contentLocation", "metadataLocation", "deleteLocation")
DOCUMENT = "0-eus-d12-801b3f3fc462fe8a01e6810cbff729b8"
CALL = "7f3e1b52-8c0d-4f4e-9a51-0d4f2c6b9e10"


def file_event(
    recording: dict[str, Any],
    *,
    event_id: str,
    hours_ago: float = 0.0,
    marker: str | None = None,
    year: int | None = None,
    label: FileType | None = None,
) -> dict[str, Any]:
    """Return the event of a recording as the emulator would have published it so many hours ago.

    With a `marker` it has an additional, invalid chunk; the marker is in the event's data. A `year` is that of the
    time that it claims, a `label` the type of file that it names.
    """
    chunks = [{name: chunk[name] for name in MEMBERS if name in chunk} for chunk in recording["chunks"]]
    more: dict[str, Any] = {}
    subject = f"/recording/call/{recording['callId']}"
    if recording["generation"] == "today":
        subject += f"/serverCallId/{recording['serverCallId']}/recordingId/{recording['recordingId']}"
        # Pascal case in events only (docs/acs-contract.md#file-event).
        asked = recording["format"]
        more = {
            f"recording{name[0].upper()}{name[1:]}": asked[name][0].upper() + asked[name][1:]
            for name in ("contentType", "channelType", "formatType")
        }
        more["recordingFormatType"] = (label or asked["formatType"]).capitalize()
    if marker is not None:
        chunks.append({"documentId": "../../etc/passwd", "index": len(chunks), "endReason": "SessionEnded"})
        more["soak"] = marker
    time = datetime.now(UTC) - timedelta(hours=hours_ago)
    return {
        "id": event_id,
        "subject": subject,
        "eventType": FILE_STATUS,
        "eventTime": _time(time.replace(month=3, day=1, year=year) if year else time),
        "dataVersion": "1.0",
        "metadataVersion": "1",
        "data": {
            "recordingStorageInfo": {"recordingChunks": chunks},
            "recordingStartTime": recording["startTime"],
            "recordingDurationMs": round(sum(chunk["durationMs"] for chunk in recording["chunks"])),
            "sessionEndReason": "CallEnded",
            **more,
        },
    }


def odd_event(event: dict[str, Any], kind: int) -> dict[str, Any]:
    """Return the event of a recording in another form, in which it announces the same; `kind` selects the form."""
    return _ODD[kind % len(_ODD)](event)


def bad_event(kind: int, *, marker: str) -> dict[str, Any]:
    """Return an invalid event; `kind` selects what is wrong, and the marker is somewhere in its text."""
    return _WAYS[kind % len(_WAYS)](marker)


def other_event(marker: str) -> dict[str, Any]:
    """Return an event of a type that the app ignores, which must not be quarantined."""
    return {**_envelope(marker), "eventType": OTHER, "data": {"text": "hello"}}


def _envelope(marker: str) -> dict[str, Any]:
    return {
        "id": marker,
        "subject": f"/recording/call/{CALL}",
        "eventType": FILE_STATUS,
        "eventTime": _time(datetime.now(UTC)),
        "dataVersion": "1.0",
        "metadataVersion": "1",
    }


def _data(*chunks: Any, **changes: Any) -> dict[str, Any]:
    return {
        "recordingStorageInfo": {"recordingChunks": list(chunks)},
        "recordingStartTime": "2021-07-27T15:20:23.6089755Z",
        "recordingDurationMs": 6620,
        "sessionEndReason": "CallEnded",
        **changes,
    }


def _chunk(**changes: Any) -> dict[str, Any]:
    return {"documentId": DOCUMENT, "index": 0, "endReason": "SessionEnded", **changes}


def _with(marker: str, **changes: Any) -> dict[str, Any]:
    event = {**_envelope(marker), "data": _data(_chunk()), **changes}
    return {name: value for name, value in event.items() if value is not None}


def _without(members: dict[str, Any], name: str) -> dict[str, Any]:
    return {other: value for other, value in members.items() if other != name}


def _with_chunks(event: dict[str, Any], change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    chunks = event["data"]["recordingStorageInfo"]["recordingChunks"]
    info = {"recordingChunks": [change(chunk) for chunk in chunks]}
    return {**event, "data": {**event["data"], "recordingStorageInfo": info}}


_ODD: tuple[Callable[[dict[str, Any]], dict[str, Any]], ...] = (
    lambda event: {**event, "data": json.dumps(event["data"])},
    lambda event: {**event, "eventType": event["eventType"].upper()},
    lambda event: {**event, "eventType": "Microsoft.Communication.RecordingFileStatusChanged"},
    lambda event: _without(event, "eventTime"),
    lambda event: {**event, "eventTime": "now"},
    lambda event: {**event, "data": {**event["data"], "storageType": "ACS"}},
    lambda event: _with_chunks(event, lambda chunk: _without(chunk, "index")),
    lambda event: _with_chunks(event, lambda chunk: {**chunk, "index": "first"}),
    lambda event: _with_chunks(event, lambda chunk: {name.upper(): value for name, value in chunk.items()}),
)
_WAYS: tuple[Callable[[str], dict[str, Any]], ...] = (
    lambda marker: _with(marker, data=_data()),
    lambda marker: _with(marker, data=_data(_chunk(documentId="../../etc/passwd"))),
    lambda marker: _with(marker, data=_data(_chunk(documentId=None))),
    lambda marker: _with(marker, data={"recordingStorageInfo": None}),
    lambda marker: _with(marker, data="{"),
    lambda marker: _with(marker, data=_data("a chunk", 7)),
    lambda marker: _with(marker, eventType=CALL_LEG, data={"callLegId": "x", "callState": "Exploded"}),
)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}0Z"
