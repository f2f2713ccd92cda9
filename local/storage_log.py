"""The log of requests through the storage proxy, and their totals by operation and by recording."""

import re
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from local.storage_faults import StorageCall
from local.storage_relay import Exchange

_CAPACITY = 50_000
# In the name of every blob of a recording; other requests are for queues, for lists, or for the host.
_KEY = re.compile(r"\d{8}T\d{12}Z-[0-9A-Za-z-]+")
# The folder of a recording in the archive begins with its day.
_DATED = re.compile(r"\d{4}/\d{2}/\d{2}/")


@dataclass
class Entry:
    """One request and its state; ``fault`` is the kind of the injected fault."""

    call: StorageCall
    range: str | None
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    fault: str | None = None
    exchange: Exchange = field(default_factory=Exchange)

    def view(self) -> dict[str, Any]:
        """Return the entry as JSON shows it, without a signature; ``status`` is null if the client got no answer."""
        return {
            "time": self.time.isoformat().replace("+00:00", "Z"),
            "service": self.call.service,
            "operation": self.call.operation,
            "method": self.call.method,
            "path": self.call.path,
            "query": {name: value for name, value in self.call.query.items() if name != "sig"},
            "range": self.range,
            "fault": self.fault,
            "status": self.exchange.status,
            "upstreamStatus": self.exchange.upstream_status,
            "bytesReceived": self.exchange.bytes_received,
            "bytesSent": self.exchange.bytes_sent,
        }


class Log:
    """Keep the latest requests in order of arrival, and totals.

    A request counts when it arrives, its fault and its bytes when it has ended: that is later than its client may know.
    """

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=_CAPACITY)
        self._totals: dict[str, Counter[str]] = {}
        self._recordings: Counter[str] = Counter()
        self._for_none = 0
        # By container, the keys of recordings of which a blob was deleted.
        self._deletions: defaultdict[str, set[str]] = defaultdict(set)

    def begin(self, entry: Entry) -> None:
        """Record a request that has arrived."""
        self._entries.append(entry)
        self._total(entry)["requests"] += 1
        if key := _key(entry):
            self._recordings[key] += 1
        else:
            self._for_none += 1

    def end(self, entry: Entry) -> None:
        """Add a request that has ended to the totals."""
        total = self._total(entry)
        total["faults"] += entry.fault is not None
        total["bytesReceived"] += entry.exchange.bytes_received
        total["bytesSent"] += entry.exchange.bytes_sent
        is_deleted = (entry.exchange.upstream_status or entry.exchange.status) == 202
        if entry.call.operation == "DeleteBlob" and is_deleted and (key := _key(entry)):
            _, container, folder = entry.call.path.strip("/").split("/", 2)
            if _DATED.match(folder):
                self._deletions[container].add(key)

    def _total(self, entry: Entry) -> Counter[str]:
        return self._totals.setdefault(entry.call.operation, Counter())

    def view(self, limit: int) -> dict[str, Any]:
        """Return the last ``limit`` requests, the totals by operation, and how many were for no recording, as JSON."""
        latest = [entry.view() for entry in islice(reversed(self._entries), limit)]
        return {
            "requests": latest[::-1],
            "totals": dict(sorted(self._totals.items())),
            "forNone": self._for_none,
        }

    def view_recordings(self) -> dict[str, int]:
        """Return how many requests were for each recording, by its key."""
        return dict(self._recordings)

    def view_deletions(self, container: str) -> list[str]:
        """Return the keys of the recordings of which a blob in their folder of the container was deleted."""
        return sorted(self._deletions[container])

    def clear(self) -> None:
        """Forget all requests and totals."""
        self._entries.clear()
        self._totals.clear()
        self._recordings.clear()
        self._deletions.clear()
        self._for_none = 0


def _key(entry: Entry) -> str | None:
    found = _KEY.search(entry.call.query.get("prefix") or entry.call.path)
    return found[0] if found else None
