"""What the app asks of storage and of a source: counted at its HTTP clients, by class, with bytes."""

import re
from collections import Counter
from typing import Any

import pytest
from azure.core.pipeline.transport import AioHttpTransport

# Classes of https://learn.microsoft.com/azure/storage/blobs/map-rest-apis-transaction-categories; deletions are free.
CLASSES = {
    ("DELETE", ""): "delete",
    ("POST", "batch"): "batch",
    ("PUT", ""): "write",
    ("PUT", "block"): "write",
    ("PUT", "blocklist"): "write",
    ("GET", ""): "read",
    ("GET", "list"): "list",
    ("GET", "container"): "other",
    ("GET", "blocklist"): "other",
    ("HEAD", ""): "other",
    ("PUT", "metadata"): "other",
}
_STORAGE = re.compile(r"/devstoreaccount1/(?P<container>[^/?]+)")


class Counted:
    """Requests by class: of Blob Storage as in CLASSES, `table`, `message` for each that is sent to a queue, `source`.

    `containers` has those of Blob Storage by container and class, and `bytes` how many were sent to a container (`to`),
    copied into one by the service (`copied`) and read from one (`from`).
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: Counter[str] = Counter()
        self.containers: Counter[tuple[str, str]] = Counter()
        self.bytes: Counter[tuple[str, str]] = Counter()
        send = AioHttpTransport.send

        async def counting(transport: Any, request: Any, **options: Any) -> Any:
            answer = await send(transport, request, **options)
            self._count(request, answer)
            return answer

        monkeypatch.setattr(AioHttpTransport, "send", counting)

    def take(self) -> Counter[str]:
        """Return what was asked since the last time."""
        asked, self.asked = self.asked, Counter()
        return asked

    def _count(self, request: Any, answer: Any) -> None:
        found = _STORAGE.search(request.url)
        if found is None:
            # A redirect leads to the request that is counted.
            self.asked["source"] += not 300 <= answer.status_code < 400
            return
        if "/messages" in request.url:
            # Messages are operations of a queue, and have a price of their own; the host makes those of its triggers.
            self.asked["message"] += request.method == "POST"
            return
        if "DataServiceVersion" in request.headers:
            self.asked["table"] += 1
            return
        part = re.search(r"[?&]comp=(\w+)", request.url) or re.search(r"[?&]restype=(\w+)", request.url)
        kind = CLASSES[request.method, part[1] if part else ""]
        container, headers = found["container"], {name.lower(): value for name, value in request.headers.items()}
        self.asked[kind] += 1
        self.containers[container, kind] += 1
        if "x-ms-source-range" in headers:
            self.bytes[container, "copied"] += _length(headers["x-ms-source-range"])
        elif kind == "write":
            self.bytes[container, "to"] += int(headers.get("content-length", 0))
        elif kind == "read" and answer.status_code in (200, 206):
            self.bytes[container, "from"] += int(answer.headers["Content-Length"])


def _length(part: str) -> int:
    """Return the length of a range in a header."""
    first, last = re.findall(r"\d+", part)
    return int(last) - int(first) + 1
