"""The domain events of the app, as the emulator's custom topic got them: one fact, one id."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from local.soak.checker import Findings, Sent
from local.soak.watch import key_of

_KEY = re.compile(r"\d{8}T\d{12}Z-[0-9a-f-]{36}")
ARCHIVED, LOST, QUARANTINED = "Recording.Archived", "Recording.Lost", "Recording.Quarantined"


def check(published: Sequence[dict[str, Any]], sent: Sent, findings: Findings) -> dict[str, int]:
    """Check that every recording was told of and no fact under two ids; count what was published by type.

    Repeats of one id are as allowed as the service's own.
    """
    about = _about(published)
    for recording in sent.recordings:
        kind = LOST if recording["recordingId"] in sent.expired else ARCHIVED
        key = key_of(recording)
        ids = about[kind, key]
        wanted = len(recording["chunks"]) if kind == LOST else 1
        if not ids:
            findings.unexplained.append(f"nobody was told of {key}: {kind}")
        elif len(ids) > wanted:
            findings.duplicated.append(f"{kind} of {key} was published under {len(ids)} ids")
    return dict(sorted(Counter(str(event.get("type")) for event in published).items()))


def _about(published: Iterable[dict[str, Any]]) -> defaultdict[tuple[str, str], set[str]]:
    """Collect the ids of the events of each type about each recording."""
    about: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for event in published:
        # By value, not by member name: the names are the app's own business.
        for key in _KEY.findall(json.dumps(event)):
            about[str(event.get("type")), key].add(event["id"])
    return about
