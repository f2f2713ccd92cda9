"""Check the domain events that the app published to the emulator's custom topic: one fact, one id."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from local.soak.checker import Findings, Sent
from local.soak.watch import QUARANTINE, key_of

# The key of a recording, the blob of a quarantined event.
_NAMED = re.compile(r"\d{8}T\d{12}Z-[0-9a-f-]{36}|\d{4}/\d{2}/\d{2}/sha256-[0-9a-f]{32}\.json")
# Of the text of an event about which something is wrong.
_SHOWN = 600
# An invalid event, and the form in which the second host gets it.
_MARKER, _SECOND_FORM = re.compile(r"soak-bad-\d{6}"), "specversion"
ARCHIVED, LOST, QUARANTINED = "Recording.Archived", "Recording.Lost", "Recording.Quarantined"


def check(published: Sequence[dict[str, Any]], sent: Sent, findings: Findings) -> dict[str, int]:
    """Check what was published about every recording and quarantined event; return the number of events by type.

    Each manifest and each quarantined event is published under one id. An event may be repeated under the same id, as
    Event Grid itself does. Of the two forms of one event, which two hosts get, that of the first is published.
    """
    about = _about(published)
    for recording in sent.recordings:
        key = key_of(recording)
        kind = LOST if recording["recordingId"] in sent.expired or findings.spoiled[key] else ARCHIVED
        if not about[kind, key]:
            findings.unexplained.append(f"{kind} was not published for {key}")
        ids = about[ARCHIVED, key] | about[LOST, key]
        # Of what was erased no manifest says how many there were.
        if key not in sent.gone and len(ids) > findings.manifests.get(key, 1):
            findings.duplicated.append(f"the result of {key} was published under {len(ids)} ids")
    told = {
        marker for name, text in findings.quarantined.items() if about[QUARANTINED, name] for marker in _marks(text)
    }
    for name, text in findings.quarantined.items():
        count = len(about[QUARANTINED, name])
        # A second host that is killed before it has published gets nothing again: its subscription ends with its shift.
        is_told_by_first = not count and _SECOND_FORM in text and _marks(text) <= told
        if count != 1 and not is_told_by_first:
            wrong = findings.duplicated if count else findings.unexplained
            wrong.append(f"{QUARANTINE}/{name} was published under {count} ids: {text[:_SHOWN]}")
    return dict(sorted(Counter(str(event.get("type")) for event in published).items()))


def _marks(text: str) -> set[str]:
    return set(_MARKER.findall(text))


def _about(published: Iterable[dict[str, Any]]) -> defaultdict[tuple[str, str], set[str]]:
    """Return the ids of the events of each type about each recording and each quarantined event."""
    about: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for event in published:
        # Found by value, not by member name: this check doesn't depend on the app's names.
        for key in _NAMED.findall(json.dumps(event)):
            about[str(event.get("type")), key].add(event["id"])
    return about
