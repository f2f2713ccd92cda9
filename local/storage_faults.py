"""Faults of storage: operations, rules, random faults, error answers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from xml.sax.saxutils import escape

from aiohttp import web
from pydantic import Field

from local.faults.chaos import ChaosBody
from local.faults.rules import Call, FaultRule, globs

Service = Literal["blob", "queue", "table"]
Kind = Literal[
    "status",
    "refuse",
    "reset",
    "lostAnswer",
    "cutBody",
    "slow",
    "hang",
    "lateAnswer",
    "corrupt",
    "wrongCrc",
    "noCrc",
    "otherBytes",
    "repeat",
    "visible",
    "poison",
]
MESSAGE_KINDS = ("repeat", "visible", "poison")
VERSION = "2021-12-02"
_REDELIVERIES = 10
# Error codes of Blob and Queue Storage, as the service's reference lists them.
_CODES = {
    400: ("InvalidInput", "One of the request inputs is not valid."),
    403: ("AuthenticationFailed", "Server failed to authenticate the request."),
    404: ("ResourceNotFound", "The specified resource does not exist."),
    412: ("ConditionNotMet", "The condition specified using HTTP conditional header(s) is not met."),
    429: ("TooManyRequests", "Too many requests."),
    500: ("InternalError", "The server encountered an internal error. Please retry the request."),
    503: ("ServerBusy", "The server is currently unable to receive requests. Please retry your request."),
    504: ("OperationTimedOut", "The operation could not be completed within the permitted time."),
}


@dataclass(frozen=True)
class StorageCall(Call):
    """What a request asks of storage; its path starts with the account."""

    service: Service


class StorageRule(FaultRule):
    """One rule as the control plane accepts it, for Blob, Queue and Table Storage.

    ``operation`` is a glob on the operation's name as the service's reference has it (PutBlock, PutBlockList,
    CopyBlob, GetBlob, PutMessage, QueryEntities, ...). ``query`` has globs by parameter; null: the parameter must be
    absent. Fields by kind: status (status, code, retryAfter), cutBody (afterBytes, default half), slow (bytesPerSecond;
    seconds, after which it continues at full speed), hang (seconds, then the request is carried out), lateAnswer (it is
    carried out, the answer comes after seconds), corrupt (offset of the byte, default the middle one; of a block from a
    URL: between source and block), wrongCrc and noCrc (in the answer), otherBytes (storage keeps another byte at offset
    than it says). Of messages: repeat (a message that is put comes again, copies times, over seconds), visible
    (messages that are received stay visible), poison (a message that is put lands on the poison queue).
    """

    kind: Kind
    operation: Annotated[str, Field(min_length=1)] = "*"
    query: dict[str, str | None] = Field(default_factory=dict)
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    code: str | None = None
    offset: Annotated[int, Field(ge=0)] | None = None
    copies: Annotated[int, Field(ge=1, le=100)] = 1

    def matches(self, call: Call) -> bool:
        """Return whether the rule is for a request; case doesn't matter."""
        return (
            (self.kind not in _APPLIES or call.operation in _APPLIES[self.kind])
            and super().matches(call)
            and globs(self.operation, call.operation)
            and all(_suits(call.query.get(name), wanted) for name, wanted in self.query.items())
        )


def _suits(found: str | None, wanted: str | None) -> bool:
    if wanted is None or found is None:
        return wanted is found
    return globs(wanted, found)


def read_call(service: Service, request: web.BaseRequest) -> StorageCall:
    """Return what a request asks for."""
    name = operation(service, request.method, request.path, query=request.query, headers=request.headers)
    return StorageCall(request.method, request.path, name, request.query, service)


def operation(service: Service, method: str, path: str, *, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """Return the operation's name in the service's reference, "Other" for one that isn't used here."""
    depth = len(path.strip("/").split("/", 3))
    comp = query.get("comp", "")
    if service == "table":
        return _table(method, path, headers)
    if service == "queue":
        if depth == 3 and method == "GET" and "peekonly" in query:
            return "PeekMessages"
        return _QUEUE.get((method, min(depth, 4), comp), "Other")
    if depth >= 3 and method == "PUT" and "x-ms-copy-source" in headers:
        return {"": "CopyBlob", "block": "PutBlockFromURL"}.get(comp, "Other")
    if depth == 2 and query.get("restype") != "container":
        depth = 3  # a blob of the root container
    return _BLOB.get((method, min(depth, 3), comp), "Other")


# By method, depth of the path (1 account, 2 container or queue, 3 blob or messages, 4 one message) and comp.
_BLOB = {
    ("GET", 1, "list"): "ListContainers",
    ("POST", 1, "userdelegationkey"): "GetUserDelegationKey",
    ("POST", 1, "batch"): "BlobBatch",
    ("POST", 2, "batch"): "BlobBatch",
    ("PUT", 2, ""): "CreateContainer",
    ("GET", 2, ""): "GetContainerProperties",
    ("HEAD", 2, ""): "GetContainerProperties",
    ("DELETE", 2, ""): "DeleteContainer",
    ("GET", 2, "list"): "ListBlobs",
    ("PUT", 3, ""): "PutBlob",
    ("PUT", 3, "block"): "PutBlock",
    ("PUT", 3, "blocklist"): "PutBlockList",
    ("PUT", 3, "metadata"): "SetBlobMetadata",
    ("PUT", 3, "properties"): "SetBlobProperties",
    ("PUT", 3, "lease"): "LeaseBlob",
    ("PUT", 3, "legalhold"): "SetBlobLegalHold",
    ("PUT", 3, "immutabilityPolicies"): "SetBlobImmutabilityPolicy",
    ("DELETE", 3, "immutabilityPolicies"): "DeleteBlobImmutabilityPolicy",
    ("GET", 3, ""): "GetBlob",
    ("GET", 3, "blocklist"): "GetBlockList",
    ("HEAD", 3, ""): "GetBlobProperties",
    ("DELETE", 3, ""): "DeleteBlob",
}
_QUEUE = {
    ("GET", 1, "list"): "ListQueues",
    ("PUT", 2, ""): "CreateQueue",
    ("GET", 2, "metadata"): "GetQueueProperties",
    ("HEAD", 2, "metadata"): "GetQueueProperties",
    ("DELETE", 2, ""): "DeleteQueue",
    ("POST", 3, ""): "PutMessage",
    ("GET", 3, ""): "GetMessages",
    ("DELETE", 3, ""): "ClearMessages",
    ("PUT", 4, ""): "UpdateMessage",
    ("DELETE", 4, ""): "DeleteMessage",
}
# Tables and entities are segments of one length: what tells them apart is their form (`Tables`, `name(…)`).
_ENTITY = {
    "GET": "GetEntity",
    "PUT": "UpdateEntity",
    "PATCH": "MergeEntity",
    "MERGE": "MergeEntity",
    "DELETE": "DeleteEntity",
}


def _table(method: str, path: str, headers: Mapping[str, str]) -> str:
    name = path.strip("/").partition("/")[2]
    if name == "$batch":
        return "EntityGroupTransaction"
    if name.startswith("Tables"):
        return {"GET": "QueryTables", "POST": "CreateTable", "DELETE": "DeleteTable"}.get(method, "Other")
    if name.endswith(")") and not name.endswith("()"):
        found = _ENTITY.get(method, "Other")
        is_upsert = found in ("UpdateEntity", "MergeEntity") and "If-Match" not in headers
        return f"InsertOr{found.replace('Update', 'Replace')}" if is_upsert else found
    return {"GET": "QueryEntities", "POST": "InsertEntity"}.get(method, "Other")


_TABLE = frozenset(
    {
        *("QueryTables", "CreateTable", "DeleteTable", "QueryEntities", "InsertEntity", "EntityGroupTransaction"),
        *(*_ENTITY.values(), "InsertOrReplaceEntity", "InsertOrMergeEntity"),
    }
)
_ALL = frozenset({*_BLOB.values(), *_QUEUE.values(), *_TABLE, "CopyBlob", "PutBlockFromURL", "PeekMessages"})
_WITH_BODY = frozenset(
    {"GetBlob", "GetBlockList", "ListBlobs", "GetMessages", "BlobBatch", "GetEntity", "QueryEntities"}
)
_CONTENT = frozenset({"PutBlock", "PutBlob", "GetBlob"})
_CHANGES = frozenset(name for name in _ALL if not name.startswith(("Get", "List", "Peek", "Query")))
_BLOCKS = frozenset({"PutBlock", "PutBlockFromURL"})
_COMMITS = frozenset({"PutBlob", "PutBlockList"})
_PUTS = frozenset({"PutMessage"})
# The operations to which a kind applies, if it has no meaning for others.
_APPLIES: Mapping[str, frozenset[str]] = {
    "wrongCrc": _BLOCKS,
    "noCrc": _BLOCKS,
    "otherBytes": _COMMITS,
    "repeat": _PUTS,
    "visible": frozenset({"GetMessages"}),
    "poison": _PUTS,
}
# The operations to which a random fault applies. A corrupt block is found by the CRC64 in its answer; a corrupt answer
# can be found only by a reader that knows the digest.
KINDS: Mapping[str, frozenset[str]] = {
    "status503": _ALL,
    "status503RetryAfter": _ALL,
    "status500": _ALL,
    "refuse": _ALL,
    "reset": _ALL,
    "lostAnswer": _CHANGES,
    "cutBody": _WITH_BODY,
    "slow": _CONTENT,
    "hang": _ALL,
    "lateAnswer": _ALL,
    "corrupt": _CONTENT | {"PutBlockFromURL"},
    "changedCopy": _COMMITS,
    "redeliver": _PUTS,
    **_APPLIES,
}
# The paths to which a random fault applies, if not to all: nothing can find another byte in a blob without a checksum.
PATHS: Mapping[str, re.Pattern[str]] = {
    "otherBytes": re.compile(r".*-staging/.*/chunks/[^/]+\.media"),
    "changedCopy": re.compile(r".*-archive/.*/chunks/[^/]+\.(?!json$)[^./]+"),
    # What is on a poison queue can't be poisoned.
    "poison": re.compile(r".*(?<!-poison)/messages"),
}


def rule_fields(kind: str, settings: ChaosBody) -> dict[str, Any]:
    """Return a random fault as the fields of a rule."""
    fields: dict[str, dict[str, Any]] = {
        "lateAnswer": {"kind": "lateAnswer", "seconds": settings.hang_seconds},
        "changedCopy": {"kind": "otherBytes"},
        "redeliver": {"kind": "repeat", "copies": _REDELIVERIES, "seconds": settings.redelivery_seconds},
    }
    return fields.get(kind) or settings.rule_fields(kind)


def error_answer(
    status: int,
    *,
    code: str | None = None,
    retry_after: str | int | None = None,
    method: str = "GET",
    service: Service = "blob",
) -> web.Response:
    """Return an error as storage sends it: an XML body (of tables: JSON), and the code in a header.

    A HEAD has only the header.
    """
    usual, message = _CODES.get(status, ("InternalError", "An injected fault."))
    name = code or usual
    headers = {"x-ms-error-code": name, "x-ms-version": VERSION}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    body = (
        '<?xml version="1.0" encoding="utf-8"?>'
        f"<Error><Code>{escape(name)}</Code><Message>{escape(message)}</Message></Error>"
    )
    if service == "table":
        error = {"odata.error": {"code": name, "message": {"lang": "en-US", "value": message}}}
        return web.json_response(error, status=status, headers=headers)
    text = None if method == "HEAD" else body
    return web.Response(status=status, text=text, content_type="application/xml", headers=headers)
