"""The official sample payloads, and variations of them.

See docs/acs-contract.md#2021-callbacks, #2021-file-event, #file-event.
"""

import json
from pathlib import Path
from typing import Any

from recording.model import event_parser
from recording.model.events import FileStatusUpdated

DATA = Path(__file__).parents[1] / "data"
CONVERSATION = (
    "aHR0cHM6Ly9jb252LXVzc2MtMDIuY29udi5za3lwZS5jb20vY29udi92RFNa"
    "cTFyTEIwdVotM0dQdjBabUpnP2k9OCZlPTYzNzU1NzQzNzg4NTgzMTgxMQ"
)
LEG = "531f3600-481f-41c8-8a75-3e8b2e8e6200"
CALL = "43563209-4ec6-4119-be5b-88398cda2caf"
DOCUMENT = "0-eus-d12-801b3f3fc462fe8a01e6810cbff729b8"
RECORDING = "eyJQbGF0Zm9ybUVuZHBvaW50SWQiOiI3ZjQy"
KEY = f"20210727T152023608975Z-{CALL}"
GOOD_CHUNK = {"documentId": DOCUMENT, "index": 0, "endReason": "SessionEnded"}


def sample(name: str) -> Any:
    """Load a sample payload; of an array, its one event."""
    body = json.loads((DATA / f"{name}.json").read_text())
    return body[0] if isinstance(body, list) else body


def as_cloud_event(event: dict[str, Any]) -> dict[str, Any]:
    """Write an event of the Event Grid schema as Event Grid delivers it in the CloudEvents schema."""
    renamed = {"eventType": "type", "eventTime": "time", "topic": "source"}
    kept = {renamed.get(name, name): value for name, value in event.items() if not name.endswith("Version")}
    return {**kept, "specversion": "1.0"}


def with_case(value: Any, *, pascal: bool) -> Any:
    """Change the case of the first letter of every member name."""
    if isinstance(value, list):
        return [with_case(one, pascal=pascal) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        (name[0].upper() if pascal else name[0].lower()) + name[1:]: with_case(one, pascal=pascal)
        for name, one in value.items()
    }


def file_status(*, chunks: Any = None, **changes: Any) -> str:
    """Write the 2021 file event with other chunks, and with other members of the envelope or of `data`."""
    event = sample("file-status-2021")
    if chunks is not None:
        event["data"]["recordingStorageInfo"]["recordingChunks"] = chunks
    for name, value in changes.items():
        (event["data"] if name in event["data"] else event)[name] = value
    return json.dumps(event)


def parse_file_status(text: str) -> FileStatusUpdated:
    """Read a file event."""
    event = event_parser.parse_event(text)
    assert isinstance(event, FileStatusUpdated)
    return event
