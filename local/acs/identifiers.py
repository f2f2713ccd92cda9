"""Ids in the formats of the real service.

See docs/acs-contract.md#2021-conversation-id, #2021-recording-id, #2021-file-event.
"""

import base64
import json
import secrets
import uuid

RESOURCE_ID = "29bd5ea9-e0fc-4d00-8f6f-339b1f0ee2e2"
TOPIC = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/emulator"
    "/providers/microsoft.communication/communicationservices/emulator"
)
_DATA_CENTRES = ("eus-d12", "wus-d4", "sa-d2", "neu-d7")


def unpadded_base64url(raw: bytes) -> str:
    """Encode bytes as Base64Url without ``=``."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def new_guid() -> str:
    """Make a random GUID in lower case."""
    return str(uuid.uuid4())


def new_conversation_url() -> str:
    """Make a conversation URL like ``https://conv-ussc-02.conv.skype.com/conv/...?i=8&e=...``."""
    tail = unpadded_base64url(secrets.token_bytes(16))
    ticks = 637_000_000_000_000_000 + secrets.randbelow(10**15)
    return f"https://conv-ussc-02.conv.skype.com/conv/{tail}?i=8&e={ticks}"


def conversation_id(conversation_url: str) -> str:
    """Encode a conversation URL for paths of the 2021 preview API (docs/acs-contract.md#2021-conversation-id)."""
    return unpadded_base64url(conversation_url.encode("utf-8"))


def server_call_id(conversation_url: str) -> str:
    """Encode a conversation URL as the Call Automation API does (docs/acs-contract.md#server-call-id)."""
    return base64.b64encode(conversation_url.encode("utf-8")).decode("ascii")


def new_recording_id() -> str:
    """Make a recording id: 162 characters, Base64Url of compact JSON (docs/acs-contract.md#2021-recording-id)."""
    parts = {"PlatformEndpointId": new_guid(), "ResourceSpecificId": new_guid()}
    return unpadded_base64url(json.dumps(parts, separators=(",", ":")).encode("ascii"))


def recorder_leg(recording_id: str) -> str:
    """Return the id of the recorder's call leg, which is part of the recording id (docs/acs-contract.md#callbacks)."""
    parts = json.loads(base64.urlsafe_b64decode(recording_id + "=" * (-len(recording_id) % 4)))
    return str(parts["PlatformEndpointId"])


def new_document_id() -> str:
    """Make a document id ``0-<region>-d<n>-<32 hex>`` (docs/acs-contract.md#2021-file-event)."""
    return f"0-{secrets.choice(_DATA_CENTRES)}-{secrets.token_hex(16)}"


def new_participant_id() -> str:
    """Make an ACS user id whose first GUID is the resource id (docs/acs-contract.md#2021-metadata-file)."""
    return f"8:acs:{RESOURCE_ID}_{new_guid()}"
