"""Which random faults the service API can have, in which operations, and what they are as rules.

"Redirect" leads to the other name of the server (localhost or 127.0.0.1), which a client has to allow;
"redirectRefused" leads to a host that no client allows, under a name that never resolves (RFC 2606).
"""

import re
from collections.abc import Mapping
from typing import Any

from local.acs import errors
from local.acs.auth import MESSAGE
from local.faults.chaos import ChaosBody

_DOWNLOADS = frozenset({"content", "metadata"})
_OPERATIONS = frozenset({"start", "state", "stop", "pause", "resume", "delete"})
_ALL = _DOWNLOADS | _OPERATIONS
_PATTERNS = (
    ("content", re.compile(r"GET /recording/download/[^/]+", re.IGNORECASE)),
    ("metadata", re.compile(r"GET /recording/download/[^/]+/metadata", re.IGNORECASE)),
    # Call Automation: docs/acs-contract.md#operations and #storage-host. Every view but the metadata is content.
    ("metadata", re.compile(r"GET /v1/objects/[^/]+/content/acsmetadata", re.IGNORECASE)),
    ("content", re.compile(r"GET /v1/objects/[^/]+/content/[^/]+", re.IGNORECASE)),
    ("delete", re.compile(r"DELETE /v1/objects/[^/]+", re.IGNORECASE)),
    ("start", re.compile(r"POST /calling/recordings", re.IGNORECASE)),
    ("pause", re.compile(r"POST /calling/recordings/[^/]+:pause", re.IGNORECASE)),
    ("resume", re.compile(r"POST /calling/recordings/[^/]+:resume", re.IGNORECASE)),
    ("state", re.compile(r"GET /calling/recordings/[^/]+", re.IGNORECASE)),
    ("stop", re.compile(r"DELETE /calling/recordings/[^/]+", re.IGNORECASE)),
    ("start", re.compile(r"POST /conversations/[^/]+/recordings", re.IGNORECASE)),
    ("state", re.compile(r"GET /conversations/[^/]+/recordings/[^/]+", re.IGNORECASE)),
    ("stop", re.compile(r"DELETE /conversations/[^/]+/recordings/[^/]+", re.IGNORECASE)),
    ("pause", re.compile(r"POST /conversations/[^/]+/recordings/[^/]+/pause", re.IGNORECASE)),
    ("resume", re.compile(r"POST /conversations/[^/]+/recordings/[^/]+/resume", re.IGNORECASE)),
)
KINDS: Mapping[str, frozenset[str]] = {
    "status401": _ALL,
    "status429": _ALL,
    "status429RetryAfter": _ALL,
    "status500": _ALL,
    "status503": _ALL,
    "status503RetryAfter": _ALL,
    "refuse": _ALL,
    "reset": _ALL,
    "lostAnswer": _OPERATIONS,
    "cut": _ALL,
    "short": _ALL,
    "empty": _ALL,
    "html200": _ALL,
    "html400": _ALL,
    "hang": _ALL,
    "slow": _DOWNLOADS,
    "redirect": _DOWNLOADS,
    "redirectRefused": _DOWNLOADS,
    "status416": frozenset({"content"}),
    "ignoreRange": frozenset({"content"}),
    "etag": frozenset({"content"}),
    "trickle": frozenset({"content"}),
    "labelHtml": frozenset({"content"}),
    "labelJson": frozenset({"content"}),
    "expired": frozenset({"content"}),
    "metadataMissing": frozenset({"metadata"}),
    "metadataMalformed": frozenset({"metadata"}),
}


def operation(method: str, path: str) -> str:
    """Return the operation that a request to the service API asks for, "other" if there is none."""
    line = f"{method} {path}"
    return next((name for name, pattern in _PATTERNS if pattern.fullmatch(line)), "other")


def rule_fields(kind: str, settings: ChaosBody) -> dict[str, Any]:
    """Return a random fault as the fields of a rule."""
    fields: dict[str, dict[str, Any]] = {
        # The answer to a client whose clock is wrong by more than 15 minutes (docs/acs-contract.md#hmac).
        "status401": {"kind": "status", "status": 401, "body": errors.body("401", MESSAGE)},
        # docs/acs-contract.md#preview-errors.
        "status500": {"kind": "status", "status": 500, "body": errors.body("9999", "Unknown internal server error.")},
        "html200": {"kind": "html", "status": 200},
        "html400": {"kind": "html", "status": 400},
        "redirect": {"kind": "redirect", "location": "{other}{path}"},
        "redirectRefused": {"kind": "redirect", "location": "http://refused.invalid{path}"},
        "status416": {
            "kind": "status",
            "status": 416,
            "body": errors.body("416", "The range cannot be satisfied.", "Range"),
        },
        "trickle": {"kind": "slow", "bytesPerSecond": 32, "seconds": settings.trickle_seconds},
        "labelHtml": {"kind": "label", "contentType": "text/html"},
        "labelJson": {"kind": "label", "contentType": "application/json"},
        "metadataMissing": {"kind": "expired"},
        "metadataMalformed": {"kind": "malformed"},
    }
    return fields.get(kind) or settings.rule_fields(kind)
