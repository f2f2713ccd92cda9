"""Events of calls and callbacks, as the service sends them, right and wrong."""

import json
from typing import Any

from hypothesis import strategies as st

from recording.model import events
from tests.support.samples import CALL, DOCUMENT, RECORDING, file_status

SERVER_CALL = "aHR0cHM6Ly9hcGkuZmxpZ2h0cHJveHkuc2t5cGUuY29t/L2FwaS92Mi9jcA=="
GROUP = "3f2b0e4c-1111-4000-8000-000000000001"
CORRELATION = "dba00566-c94d-4912-8087-3f54101e0aa4"


def call_event(name: str, **more: Any) -> dict[str, Any]:
    """Write a CallStarted or CallEnded event (docs/acs-contract.md#file-event)."""
    return {
        "id": "a8f5f015-1db8-410e-b50c-8f37a55f5350",
        "topic": "/subscriptions/0",
        "subject": f"call/{SERVER_CALL}/startedBy/8:acs:r_u",
        "data": {
            "startedBy": {"communicationIdentifier": {"rawId": "8:acs:r_u"}, "role": "{role}"},
            "serverCallId": SERVER_CALL,
            "group": {"id": GROUP},
            "room": {"id": ""},
            "isTwoParty": False,
            "correlationId": CORRELATION,
            "isRoomsCall": False,
            **more,
        },
        "eventType": f"Microsoft.Communication.{name}",
        "dataVersion": "1.0",
        "metadataVersion": "1",
        "eventTime": "2025-06-13T19:03:17.8132826Z",
    }


def callback(name: str, **more: Any) -> str:
    """Write a callback of the Call Automation API, as recorded from the service (docs/acs-contract.md#callbacks)."""
    subject = f"calling/recordings/{SERVER_CALL}/{RECORDING}/{name}"
    return json.dumps(
        {
            "id": "a8f5f015-1db8-410e-b50c-8f37a55f5350",
            "source": subject,
            "type": f"Microsoft.Communication.{name}",
            "data": {
                "recordingId": RECORDING,
                "resultInformation": {"code": 200, "subCode": 0, "message": ""},
                "version": "2025-05-15",
                "callConnectionId": "00006680-7460-4e6c-a5c5-a8f23a6ca2cf",
                "serverCallId": SERVER_CALL,
                "correlationId": CORRELATION,
                "publicEventType": f"Microsoft.Communication.{name}",
                **more,
            },
            "time": "2025-06-13T19:03:17.8132826+00:00",
            "specversion": "1.0",
            "datacontenttype": "application/json",
            "subject": subject,
        }
    )


KINDS = (
    events.FILE_STATUS_UPDATED,
    events.CALL_LEG_STATE_CHANGED,
    events.CALL_RECORDING_STATE_CHANGED,
    events.RECORDING_STATE_CHANGED,
    events.START_RECORDING_FAILED,
    events.CALL_STARTED,
    events.CALL_ENDED,
)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from([DOCUMENT, CALL]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


TIMES = st.sampled_from(["2021-07-27T15:20:34Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-01:00"]) | JSON
ADDRESSES = st.sampled_from(["https://a.asm.skype.com/v1/objects/x", "http://[", "\ud800", "a" * 9000]) | JSON
CHUNKS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "documentId": JSON,
            "index": JSON,
            "endReason": JSON,
            "contentLocation": ADDRESSES,
            "metadataLocation": ADDRESSES,
            "deleteLocation": ADDRESSES,
        },
    )
    | JSON
)


EVENTS = st.fixed_dictionaries(
    {"eventType": st.sampled_from(KINDS) | JSON, "eventTime": TIMES},
    optional={
        "id": JSON,
        "subject": st.sampled_from([f"/recording/call/{CALL}", f"/recording/call/{CALL}/recordingId/\ud800", ""])
        | JSON,
        "data": st.fixed_dictionaries(
            {},
            optional={
                "recordingStorageInfo": st.fixed_dictionaries({}, optional={"recordingChunks": CHUNKS | JSON}) | JSON,
                "recordingStartTime": TIMES,
                "recordingDurationMs": JSON,
                "sessionEndReason": JSON,
                "CallLegId": JSON,
                "CallState": st.sampled_from(["Establishing", "Established"]) | JSON,
                "ConversationId": JSON,
                "recordingId": JSON,
                "state": JSON,
                "serverCallId": JSON,
                "correlationId": JSON,
                "group": JSON,
                "resultInformation": st.fixed_dictionaries({}, optional={"code": JSON, "message": JSON}) | JSON,
                "storageType": st.sampled_from(["AzureBlob"]) | JSON,
                "recordingContentType": st.sampled_from(["Audio", "mixed"]) | JSON,
                "recordingFormatType": JSON,
            },
        )
        | JSON,
    },
)


# Of events that are nearly right, some are accepted, some in part.
NEARLY_CHUNK = st.fixed_dictionaries(
    {"documentId": st.sampled_from([DOCUMENT, f"{DOCUMENT}0"]), "index": st.integers(0, 3)},
    optional={"contentLocation": ADDRESSES, "deleteLocation": ADDRESSES},
)


NEARLY = st.builds(
    file_status,
    chunks=st.none() | st.lists(NEARLY_CHUNK | NEARLY_CHUNK | JSON, max_size=4),
    recordingDurationMs=st.just(6620) | JSON,
    recordingStartTime=st.just("2021-07-27T15:20:23Z") | TIMES,
    sessionEndReason=JSON,
).map(json.loads)


# Chunks where no version of the service has them.
MOVED = st.builds(
    lambda kind, data: {"id": "1", "eventType": kind, "data": data},
    st.sampled_from(["Microsoft.Communication.RecordingFilesReady", events.FILE_STATUS_UPDATED, None]),
    st.recursive(
        st.lists(NEARLY_CHUNK, min_size=1, max_size=2),
        lambda inner: (
            st.lists(inner, min_size=1, max_size=2)
            | st.dictionaries(st.sampled_from(["recordingStorageInfo", "recordingChunks", "files"]), inner, min_size=1)
        ),
        max_leaves=4,
    ),
)
