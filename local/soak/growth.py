"""What a run's figures do while the archive grows: read by tenths of the run, in the order of the events."""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local.soak.watch import Archived

TENTHS = 10
# A recording with more chunks than this would be most of its tenth.
MOST_CHUNKS = 100


@dataclass(frozen=True)
class Sample:
    """How many recordings were settled when so many requests to storage had named no recording."""

    settled: int
    others: int


def read(archived: Sequence[Archived], requests: Mapping[str, int], *, samples: Sequence[Sample]) -> dict[str, Any]:
    """Return the figures of each tenth of the run, and how much higher they are in its second half than in its first.

    `requests` has the number of requests to storage for each recording by its key. `secondsToArchived` is the median
    from event to archived, `requestsPerRecording` the mean; `otherRequestsPerRecording` counts those that name no
    recording, for queues and lists for example, per recording that was settled meanwhile.
    """
    usual = sorted((one for one in archived if one.chunks <= MOST_CHUNKS), key=lambda one: one.published)
    others = _others(samples)
    tenths = [
        {
            "recordings": len(part),
            "secondsToArchived": round(statistics.median(one.seconds for one in part), 2),
            "requestsPerRecording": round(statistics.fmean(requests.get(one.key, 0) for one in part), 1),
            "otherRequestsPerRecording": others[number],
        }
        for number, part in enumerate(_parts(usual))
        if part
    ]
    names = [name for name in (tenths[0] if tenths else {}) if name != "recordings"]
    return {"tenths": tenths, "secondHalfToFirst": {name: _ratio([one[name] for one in tenths]) for name in names}}


def _parts[Item](items: Sequence[Item]) -> list[Sequence[Item]]:
    """Cut a sequence into tenths, which differ by one item at most."""
    ends = [len(items) * number // TENTHS for number in range(TENTHS + 1)]
    return [items[start:end] for start, end in itertools.pairwise(ends)]


def _others(samples: Sequence[Sample]) -> list[float | None]:
    """Return the requests that name no recording, per recording settled in each tenth; None if there is no sample."""
    last = samples[-1].settled if samples else 0
    ends = [
        next((one for one in samples if one.settled >= last * number / TENTHS), None) for number in range(TENTHS + 1)
    ]
    return [
        round((end.others - start.others) / (end.settled - start.settled), 1)
        if start and end and end.settled > start.settled
        else None
        for start, end in itertools.pairwise(ends)
    ]


def _ratio(values: Sequence[float | None]) -> float | None:
    """Return by which factor the median of the second half is above that of the first; None if it can't be said."""
    known = [value for value in values if value is not None]
    first, second = known[: len(known) // 2], known[len(known) // 2 :]
    if not first or not statistics.median(first):
        return None
    return round(statistics.median(second) / statistics.median(first), 2)
