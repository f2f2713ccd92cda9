"""Pure: the name of every blob, and the checks that make an id safe to use in one.

staging     {key}/events/{event-id}.json            the event as received
            {key}/chunks/{index:05}-{documentId}.media  the chunk, whatever kind of file it is
            {key}/chunks/{index:05}-{documentId}.{version}.media  another version of it, found by a re-check
            {key}/chunks/{index:05}-{documentId}.json   its metadata file, as received
            {key}/verdicts/{documentId}/{sha256}.json   the verdict on these bytes; none if `complete` without remarks
            {key}/rechecks/{documentId}/{step}.json     that a step of its re-check was queued; `settled`: how it ended
            {key}/attempts/{documentId}.json        what failed and when, and when to try again
            {key}/began/{documentId}/{attempt}.json that an attempt began, until it ended
            {key}/fan-outs/{time}.json              that the chunks that were missing were queued by a fan-out
            {key}/notices/at-risk-{documentId}.json that it was reported as at risk
            {key}/notices/told-{revision}.json      that its archive was published, and staging is yet to be emptied
            {key}/proofs/{documentId}/{copy}.json   what reading a chunk's archive copy has proved
            {key}/hand-overs/{time}.json            that the recording was put on the queue `recording-archive`
            pending-endings/{time}-{sha256}.json    that a recording was stopped, and isn't announced yet
            pending-erasures/{sha256}/{number}-asked.json   which recording is to be erased, until that is done
            pending-erasures/{sha256}/{number}-scope.json   what was found of it before anything of it was removed
            pending-erasures/{sha256}/{number}-settling.json    that it is done, and its places are listed once more
            pending-erasures/{sha256}/{time}-queued.json    that its erasure was put on the queue `recording-erasures`
            pending-pauses/{sha256}.json            that a recording is to be paused, since consent was withdrawn
            pending-live/{sha256}.json              that the index has no row of a recording that was started
            pending-keeping/{key}/{random}.json     that rows and platform are to follow a change of what keeps it
            pending-holds/{id}/asked.json           which recordings a case is to hold: what a search finds
            pending-holds/{id}/progress.json        how far that has come
archive     {yyyy}/{MM}/{dd}/{key}/…                the same, a chunk by its kind, and recording.json, written last
            {yyyy}/{MM}/{dd}/{key}/…/{name}.{copy}.{kind}  the right copy beside a wrong one that can't be replaced
            starts/{sha256}/{number}-claim.json     who claimed a start, and …-outcome.json
            started/{sha256}.json                   in which conversation a recording was started
            endings/{sha256}.json                   that a recording ended
            endings/{key}.json                      which ending was assigned to a recording (2021 preview API)
            calls/{sha256}.json                     the correlation id of a call, named by its server call id
            consents/{sha256}/{time}-{digest}.json  that a participant of a conversation granted or withdrew consent
            keys/index.json                         the key of the digests in the search index
            tombstones/{sha256}.json                that a recording was erased: by its key, its id, those of documents
            erasures/{sha256}/{number}-{step}.json  an erasure that was asked for, called off, refused, begun or done
            exports/{yyyy}/{MM}/{dd}/{key}-{event-id}.json  an event of chunks in the team's own storage
            audit/{yyyy}/{MM}/{dd}/{time}-{action}-{random}.json   the trail: who did what
            holds/{yyyy}/{MM}/{dd}/{key}/{sha256 of the case}/{number}-placed.json   a hold, and …-lifted.json
            retention/{yyyy}/{MM}/{dd}/{key}/{number}.json   the retention class of a recording; the last one counts
            hold-searches/{id}.json                 how many recordings a case holds by a search
derived     exports/{id}/asked.json                 an export that was asked for; deleted first when it ends
            exports/{id}/found/{number}.json        how far the archive was looked through for it, and what was found
            exports/{id}/found.json                 the recordings that it is of
            exports/{id}/recordings/{key}.json      what it has of one of them
            exports/{id}/files/{key}/{file}         a copy of a chunk, where copies are wanted
            exports/{id}/about.json                 what else there is about the person
            exports/{id}/export.json, index.html    all of it, for programs and for people
            exports/{id}/done.json                  that it is ready
            joined/{key}/{revision}-{digest}/asked.json     that the joined file of this manifest was asked for
            joined/{key}/{revision}-{digest}/making-{plan}.json  which files are being made, and their bytes
            joined/{key}/{revision}-{digest}/{plan}-{part}.{kind}  a joined file, or a part of it
            joined/{key}/{revision}-{digest}/file.json      what it consists of, written last
            joined/{key}/{revision}-{digest}/refused.json   why there is none
quarantine  {yyyy}/{MM}/{dd}/sha256-{digest}.json   an event that could not be parsed, named by a digest of its text
            replayed/{the same}                     that it was accepted later
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, get_args

from recording.errors import BadRequest
from recording.formats import media
from recording.formats.media import Kind

# A call id is a GUID in all samples (docs/acs-contract.md#2021-file-event); what matters here is that it is safe in a
# path.
CALL_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}")
# `0-eus-d12-<32 hex>` in all samples (docs/acs-contract.md#2021-file-event). A new form of it must not cost a
# recording, so anything with the same characters and no meaning in a path is accepted.
DOCUMENT_ID = re.compile(r"[0-9A-Za-z]+(?:-[0-9A-Za-z]+){1,11}")
LONGEST_DOCUMENT_ID = 128
# An id of an unknown form can't be part of a name, but it may be one segment of a URL.
LONGEST_SOURCE_ID = 1024
# Characters that stand for themselves in a segment of a URL's path (RFC 3986, 3.3).
_SOURCE_ID = re.compile(r"(?!\.+\Z)[0-9A-Za-z._~:@-]+")
LARGEST_INDEX = 99_999
# Beside the recordings in staging.
PENDING = "pending-endings"
ERASURES = "pending-erasures"
PAUSES = "pending-pauses"
PENDING_LIVE = "pending-live"
PENDING_KEEPING = "pending-keeping"
PENDING_HOLDS = "pending-holds"
# What the timer sees to, by the list of staging alone.
TO_DO = (ERASURES, PAUSES, PENDING_LIVE, PENDING_KEEPING, PENDING_HOLDS)
# The facts of the trail, as its first version named them.
TRAIL = "audit"
# Joined files, in the container of derived files.
JOINED = "joined"
# Test blobs of `python -m recording doctor`, in any container and for seconds only.
DOCTOR = ".doctor"
# The key of the digests in the search index: without it rows can't be found, and those of another key are left behind.
INDEX_KEY = "keys/index.json"
_KEY = re.compile(r"[0-9]{8}T[0-9]{12}Z-[0-9A-Za-z][0-9A-Za-z-]{0,63}")
_MANIFEST = re.compile(r"recording(?:-(?P<revision>[1-9][0-9]{0,5}))?\.json")
_QUARANTINED = re.compile(r"(?P<year>[0-9]{4})(?P<month>[0-9]{2})(?P<day>[0-9]{2})-(?P<digest>sha256-[0-9a-f]{32})")
# The facts of consent, with a slash.
CONSENTS = "consents/"
# Of exports for people, in the container of derived files.
PERSON_EXPORTS = "exports"
_PERSON_EXPORT = re.compile(
    rf"{PERSON_EXPORTS}/(?P<id>[0-9a-f]{{32}})/(?:recordings/(?P<part>[^/]+)\.json|files/(?P<copied>[^/]+)/[^/]+)"
)
_HOLD_SEARCH = re.compile(r"[0-9a-f]{32}")
_EVENT_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,127}")

# What an erasure leaves in the archive: all of it without personal data.
ErasurePart = Literal["asked", "scope", "settling"]
TOMBSTONES, ERASED = "tombstones", "erasures"
_PENDING_ERASURE = re.compile(
    rf"{ERASURES}/(?P<id>[0-9a-f]{{64}})/(?:(?P<number>[0-9]{{5}})-(?P<part>asked|scope|settling)|(?P<time>[^/]+)-queued)\.json"
)
_ERASURE = re.compile(rf"{ERASED}/(?P<id>[0-9a-f]{{64}})/(?P<number>[0-9]{{5}})-(?P<step>[a-z]+(?:-[0-9]+)?)\.json")

StagedKind = Literal[
    "event",
    "content",
    "metadata",
    "verdict",
    "recheck",
    "attempts",
    "began",
    "fan_out",
    "at_risk",
    "published",
    "proof",
    "hand_over",
]
# Used only while a recording is in flight. Everything else is archived, even blobs that a later version may have added.
# Verdicts and proofs are in the manifest then.
TRANSIENT: frozenset[StagedKind | None] = frozenset(get_args(StagedKind)) - {"event", "content", "metadata"}
# The rest of each name, after the key; `parse` checks the parts.
_STAGED: dict[StagedKind, re.Pattern[str]] = {
    "event": re.compile(r"events/(?P<id>[^/]+)\.json"),
    "content": re.compile(
        rf"chunks/(?P<index>[0-9]{{5}})-(?P<id>[^/.]+)(?:\.(?P<part>[0-9a-f]{{16}}))?\.{media.UNKNOWN}"
    ),
    "metadata": re.compile(r"chunks/(?P<index>[0-9]{5})-(?P<id>[^/]+)\.json"),
    "verdict": re.compile(r"verdicts/(?P<id>[^/]+)/(?P<part>[0-9a-f]{64})\.json"),
    "recheck": re.compile(r"rechecks/(?P<id>[^/]+)/(?P<part>[0-9]{1,2}|last|settled)\.json"),
    "attempts": re.compile(r"attempts/(?P<id>[^/]+)\.json"),
    "began": re.compile(r"began/(?P<id>[^/]+)/(?P<attempt>[^/]+)\.json"),
    "fan_out": re.compile(r"fan-outs/(?P<id>[^/]+)\.json"),
    "at_risk": re.compile(r"notices/at-risk-(?P<id>[^/]+)\.json"),
    "published": re.compile(r"notices/told-(?P<id>[1-9][0-9]*)\.json"),
    "proof": re.compile(r"proofs/(?P<id>[^/]+)/(?P<part>[0-9a-f]{16})\.json"),
    "hand_over": re.compile(r"hand-overs/(?P<id>[^/]+)\.json"),
}
# Their id is a time.
_TIMED: tuple[StagedKind, ...] = ("fan_out", "hand_over")


@dataclass(frozen=True)
class StagedName:
    """The parts of the name of a recording's blob in staging.

    `id` is that of the event or of the document, the time of a fan-out or hand-over, or the revision that was
    published. `index` is that of content and metadata, `attempt` names the one that began. `part` is the version of
    content, the SHA-256 that a verdict is on, the step of a re-check, the archive copy that was proved.
    """

    key: str
    kind: StagedKind
    id: str
    index: int | None = None
    attempt: str | None = None
    part: str | None = None


def parse(name: str) -> StagedName | None:
    """Parse the name of a blob in staging; None if it isn't a recording's, or of no known kind."""
    key, _, rest = name.partition("/")
    for kind, pattern in _STAGED.items():
        if found := pattern.fullmatch(rest):
            index, attempt, part = map(found.groupdict().get, ("index", "attempt", "part"))
            began = found["id"] if kind in _TIMED else attempt
            is_known = is_recording_key(key) and (began is None or is_recording_key(began))
            if is_known and (kind in ("event", "published", *_TIMED) or is_document_id(found["id"])):
                return StagedName(key, kind, found["id"], None if index is None else int(index), attempt, part)
    return None


def staged_kind(name: str) -> StagedKind | None:
    """Return the kind of the blob in staging with this name; None where `parse` returns None."""
    staged = parse(name)
    return staged.kind if staged else None


def recording_key(start: datetime, call_id: str) -> str:
    """Name a recording: sorts by time, the same for every event of a recording.

    >>> recording_key(datetime(2021, 7, 27, 15, 20, 23, 608975, UTC), "b7e0")
    '20210727T152023608975Z-b7e0'
    """
    utc = start.astimezone(UTC)
    # %Y does not pad (Python 3.13 on Linux): a year before 1000 would shift every digit behind it.
    return f"{utc.year:04}{utc:%m%dT%H%M%S%f}Z-{call_id}"


# It is called for each of the thousands of blobs of one recording.
@lru_cache(maxsize=1024)
def is_recording_key(text: str) -> bool:
    """Return whether `text` is a recording key with a valid time."""
    if not _KEY.fullmatch(text):
        return False
    try:
        recording_start(text)
    except ValueError:
        return False
    return True


def recording_start(key: str) -> datetime:
    """Return the start of a recording, from its key."""
    return datetime.strptime(key[:22], "%Y%m%dT%H%M%S%fZ").replace(tzinfo=UTC)


def is_document_id(text: str) -> bool:
    """Return whether `text` is a document id that is safe in a path."""
    return len(text) <= LONGEST_DOCUMENT_ID and DOCUMENT_ID.fullmatch(text) is not None


def check_key(text: str) -> None:
    """Raise BadRequest for a malformed recording key."""
    if not is_recording_key(text):
        raise BadRequest("a recording key must have the form 20210727T152023608975Z-<call id>", target="recordingKey")


def read_index(text: str) -> int:
    """Return the index of a chunk in a path; raises BadRequest for a text that is none."""
    if not text.isascii() or not text.isdecimal() or len(text) > len(str(LARGEST_INDEX)):
        raise BadRequest(f"index must be a number from 0 to {LARGEST_INDEX}", target="index")
    return int(text)


def is_source_id(text: str) -> bool:
    """Return whether `text` can be the id of a document at ACS: one segment of a URL's path, and of that path only."""
    return len(text) <= LONGEST_SOURCE_ID and _SOURCE_ID.fullmatch(text) is not None


def derive_id(text: str) -> str:
    """Return an id that is safe in a path, in place of one that isn't; the same text gets the same id."""
    return f"derived-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def event_id(given: str | None, text: str) -> str:
    """Name an event: its own id if that is safe in a path, else a digest of its text.

    The 2021 callbacks have `id: null` (docs/acs-contract.md#2021-callbacks); the same text gets the same name.
    """
    if given and _EVENT_ID.fullmatch(given):
        return given
    return f"sha256-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def event_blob(key: str, event: str) -> str:
    """Name the fact that an event was received."""
    return f"{key}/events/{event}.json"


def chunk_blob(key: str, index: int, document_id: str, version: str | None = None) -> str:
    """Name a chunk's content in staging; each version after the first has a name of its own, in the archive too."""
    return f"{key}/chunks/{index:05}-{document_id}{f'.{version}' if version else ''}.{media.UNKNOWN}"


def version_tag(version: str) -> str:
    """Return the part of a name that distinguishes a version of a document from others."""
    return hashlib.sha256(version.encode(errors="surrogateescape")).hexdigest()[:16]


def metadata_blob(key: str, index: int, document_id: str) -> str:
    """Name a chunk's metadata file."""
    return f"{key}/chunks/{index:05}-{document_id}.json"


def recheck_blob(key: str, document_id: str, step: str) -> str:
    """Name the fact that a step of a chunk's re-check was queued, or that the re-check settled it."""
    return f"{key}/rechecks/{document_id}/{step}.json"


def attempts_blob(key: str, document_id: str) -> str:
    """Name the attempts record of a chunk."""
    return f"{key}/attempts/{document_id}.json"


def attempt_id(began: datetime, random: str) -> str:
    """Name an attempt at a chunk, a fan-out or a hand-over by its time; `random` distinguishes two of one moment."""
    return recording_key(began, random)


def began_blob(key: str, document_id: str, attempt: str) -> str:
    """Name the fact that an attempt began."""
    return f"{key}/began/{document_id}/{attempt}.json"


def fan_out_blob(key: str, fan_out: str) -> str:
    """Name the fact that the missing chunks of a recording were queued by a fan-out."""
    return f"{key}/fan-outs/{fan_out}.json"


def hand_over_blob(key: str, hand_over: str) -> str:
    """Name the fact that a recording was put on the queue `recording-archive`."""
    return f"{key}/hand-overs/{hand_over}.json"


def copy_tag(archived_blob: str, etag: str) -> str:
    """Return the part of a name that distinguishes an archive copy from others, also of its own name."""
    return version_tag(f"{archived_blob} {etag}")


def proof_blob(key: str, document_id: str, copy: str) -> str:
    """Name what reading an archive copy has proved; `copy` is its tag."""
    return f"{key}/proofs/{document_id}/{copy}.json"


def day(key: str) -> str:
    """Name the day on which a recording started: `2021/07/27`."""
    return f"{key[:4]}/{key[4:6]}/{key[6:8]}"


def archive_folder(key: str) -> str:
    """Name the folder of a recording in the archive: `2021/07/27/{key}`."""
    return f"{day(key)}/{key}"


def archived(blob: str, kind: Kind | None = None) -> str:
    """Name the archive copy of a staging blob; `kind` is the detected kind of a chunk's content."""
    key, _, name = blob.partition("/")
    content = name.removesuffix(f".{media.UNKNOWN}")
    return f"{archive_folder(key)}/{f'{content}.{kind}' if kind and content != name else name}"


def another_copy(archived_blob: str, etag: str) -> str:
    """Name the copy that is made beside one with this ETag, which is wrong and can't be replaced."""
    content, _, extension = archived_blob.rpartition(".")
    return f"{content}.{copy_tag(archived_blob, etag)}.{extension}"


def staged_content(archived_blob: str) -> str:
    """Return the name in staging of a chunk's content, by that of its archive copy, whatever kind that has."""
    folder, _, name = archived_blob.rpartition("/")
    return f"{folder.split('/', 3)[-1]}/{name.rpartition('.')[0]}.{media.UNKNOWN}"


def manifest_blob(key: str, revision: int = 1) -> str:
    """Name a recording's manifest: `recording.json`, then `recording-2.json` and so on.

    A manifest is never changed. One with a successor was superseded: an event came after the
    recording had been archived.
    """
    return f"{archive_folder(key)}/recording{'' if revision == 1 else f'-{revision}'}.json"


def parse_manifest(blob: str) -> tuple[str, int] | None:
    """Return the recording key and the revision of a manifest, by its name; None for any other blob."""
    folder, _, name = blob.rpartition("/")
    key = folder.rpartition("/")[2]
    found = _MANIFEST.fullmatch(name)
    if not found or not is_recording_key(key) or folder != archive_folder(key):
        return None
    return key, int(found["revision"] or 1)


def joined_prefix(key: str) -> str:
    """Return how the names of all joined files of a recording begin."""
    return f"{JOINED}/{key}/"


def joined_folder(key: str, revision: int, digest: str) -> str:
    """Name the folder of the joined file of one revision of a manifest; `digest` is of what it is made from."""
    return f"{joined_prefix(key)}{revision}-{digest}"


def claim_blob(subject: str, number: int) -> str:
    """Name the claim of the `number`-th try to start what `subject` says."""
    return f"starts/{hashlib.sha256(subject.encode()).hexdigest()}/{number:05}-claim.json"


def outcome_blob(subject: str, number: int) -> str:
    """Name the outcome of that try."""
    return f"starts/{hashlib.sha256(subject.encode()).hexdigest()}/{number:05}-outcome.json"


def holds_folder(key: str) -> str:
    """Name the folder of the facts about holds on a recording, with its slash."""
    return f"{holds_of_day(key)}{key}/"


def holds_of_day(key: str) -> str:
    """Name the folder of the facts about holds on recordings of the same day, with its slash."""
    return f"holds/{day(key)}/"


def hold_blob(key: str, case: str, number: int) -> str:
    """Name the fact that a case placed its `number`-th hold on a recording."""
    return f"{holds_folder(key)}{hashlib.sha256(case.encode()).hexdigest()}/{number:05}-placed.json"


def lift_blob(key: str, case: str, number: int) -> str:
    """Name the fact that it lifted that hold."""
    return f"{holds_folder(key)}{hashlib.sha256(case.encode()).hexdigest()}/{number:05}-lifted.json"


def open_holds(blobs: Iterable[str]) -> dict[str, list[str]]:
    """Return the facts of the holds in force, by recording key, from the names of all facts about holds."""
    names = set(blobs)
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        if name.endswith("-placed.json") and f"{name.removesuffix('placed.json')}lifted.json" not in names:
            found.setdefault(name.split("/")[4], []).append(name)
    return found


def last_number(blobs: Iterable[str], case: str) -> tuple[int, bool]:
    """Return the number of a case's last hold, 0 if there was none, and whether it is in force."""
    digest = hashlib.sha256(case.encode()).hexdigest()
    mine = [name.rpartition("/")[2] for name in blobs if f"/{digest}/" in name]
    number = max((int(name[:5]) for name in mine), default=0)
    return number, bool(number) and f"{number:05}-lifted.json" not in mine


def retention_of_day(key: str) -> str:
    """Name the folder of the facts about the retention class of recordings of the same day, with its slash."""
    return f"retention/{day(key)}/"


def retention_folder(key: str) -> str:
    """Name the folder of the facts about the retention class of a recording, with its slash."""
    return f"{retention_of_day(key)}{key}/"


def retention_number(blob: str) -> int:
    """Return the number of a fact about a retention class, by its name."""
    return int(blob.rpartition("/")[2].removesuffix(".json"))


def retention_blob(key: str, number: int) -> str:
    """Name the `number`-th fact about the retention class of a recording."""
    return f"{retention_folder(key)}{number:05}.json"


def pending_keeping_blob(key: str, random: str) -> str:
    """Name the marker that rows and platform are to follow a change of what keeps a recording."""
    return f"{PENDING_KEEPING}/{key}/{random}.json"


def is_hold_search(text: str) -> bool:
    """Return whether `text` can be the id of a hold on what a search finds."""
    return _HOLD_SEARCH.fullmatch(text) is not None


def hold_search_blob(search: str) -> str:
    """Name the fact how many recordings a case holds by a search."""
    return f"hold-searches/{search}.json"


def asked_hold_blob(search: str) -> str:
    """Name what staging has of such a search until it is done: with what was searched for."""
    return f"{PENDING_HOLDS}/{search}/asked.json"


def hold_progress_blob(search: str) -> str:
    """Name how far it has come."""
    return f"{PENDING_HOLDS}/{search}/progress.json"


def call_blob(server_call_id: str) -> str:
    """Name the blob with a call's correlation id; a server call id has either alphabet of base64, padded or not.

    See docs/acs-contract.md#server-call-id.
    """
    plain = server_call_id.rstrip("=").translate(str.maketrans("+/", "-_"))
    return f"calls/{hashlib.sha256(plain.encode(errors='backslashreplace')).hexdigest()}.json"


def run_name(since: datetime | None, until: datetime | None) -> str:
    """Name a run over a time, so that another one over the same time continues it."""
    return "-".join(recording_key(one, "x") if one else "" for one in (since, until))


def trail_blob(at: datetime, action: str, distinct: str) -> str:
    """Name the fact of the trail that something was done; `distinct` tells apart what was done at one moment."""
    return f"{trail_folder(at)}{at.astimezone(UTC):%H%M%S%f}-{action}-{distinct}.json"


def trail_hour_prefix(hour: datetime) -> str:
    """Return how the facts of an hour begin."""
    return f"{trail_folder(hour)}{hour.astimezone(UTC):%H}"


def trail_hour(fact: str) -> datetime | None:
    """Return the hour of a fact of the trail, by the beginning of its name; None if it is none."""
    try:
        return datetime.strptime(fact[: len("audit/2026/11/24/14")], f"{TRAIL}/%Y/%m/%d/%H").replace(tzinfo=UTC)
    except ValueError:
        return None


def trail_folder(day: datetime) -> str:
    """Name the folder of a day in the trail, with its slash; the facts in it sort by time."""
    return f"{TRAIL}/{day.astimezone(UTC):%Y/%m/%d}/"


def recording_digest(recording_id: str) -> str:
    """Return the digest of a recording id, which is safe in a path; the id may have padding or not.

    See docs/acs-contract.md#2021-recording-id.
    """
    return hashlib.sha256(recording_id.rstrip("=").encode()).hexdigest()


def key_digest(key: str) -> str:
    """Return the digest of a recording key: the id of its erasure."""
    return hashlib.sha256(key.encode()).hexdigest()


def document_digest(document_id: str) -> str:
    """Return the digest of a document id."""
    return hashlib.sha256(document_id.encode()).hexdigest()


def tombstone_blob(digest: str) -> str:
    """Name the tombstone that is found by the digest of a recording key, a document id or a recording id."""
    return f"{TOMBSTONES}/{digest}.json"


def erasure_blob(erasure: str, number: int, step: str) -> str:
    """Name the fact of a step of an erasure; `number` counts how often it was asked for."""
    return f"{ERASED}/{erasure}/{number:05}-{step}.json"


def parse_erasure(blob: str) -> tuple[str, int, str] | None:
    """Return the id, the number and the step of an erasure's fact, by its name; None for another blob."""
    found = _ERASURE.fullmatch(blob)
    return (found["id"], int(found["number"]), found["step"]) if found else None


def pending_erasure_blob(erasure: str, number: int, part: ErasurePart) -> str:
    """Name what staging has of an erasure until it is done: with the recording key, as nothing has afterwards."""
    return f"{ERASURES}/{erasure}/{number:05}-{part}.json"


def pending_erasure_prefix(erasure: str, number: int) -> str:
    """Return how the names of what staging has of one asking begin: it may be asked for again at any time."""
    return f"{ERASURES}/{erasure}/{number:05}-"


def queued_erasure_blob(erasure: str, queued: str) -> str:
    """Name the note that an erasure was put on the queue; `queued` is the name of a time."""
    return f"{ERASURES}/{erasure}/{queued}-queued.json"


@dataclass(frozen=True)
class PendingErasureName:
    """The parts of the name of what staging has of an erasure: `number` of what was asked, or `queued` when."""

    erasure: str
    part: ErasurePart | Literal["queued"]
    number: int | None = None
    queued: datetime | None = None


def parse_pending_erasure(blob: str) -> PendingErasureName | None:
    """Parse the name of what staging has of an erasure; None for another blob."""
    found = _PENDING_ERASURE.fullmatch(blob)
    if found is None:
        return None
    if (time := found["time"]) is not None:
        queued = recording_start(time) if is_recording_key(time) else None
        return PendingErasureName(found["id"], "queued", queued=queued) if queued else None
    part: ErasurePart = next(one for one in get_args(ErasurePart) if one == found["part"])
    return PendingErasureName(found["id"], part, int(found["number"]))


def started_blob(recording_id: str) -> str:
    """Name the fact in which conversation a recording was started."""
    return started_blob_of(recording_digest(recording_id))


def started_blob_of(digest: str) -> str:
    """Name the same fact by the digest of the recording id."""
    return f"started/{digest}.json"


def ending_blob(recording_id: str) -> str:
    """Name the fact that a recording ended."""
    return f"endings/{recording_digest(recording_id)}.json"


def assigned_ending_blob(key: str) -> str:
    """Name the fact which ending was assigned to a recording whose event names only its call.

    See docs/acs-contract.md#2021-file-event.
    """
    return f"endings/{key}.json"


def pending_blob(stopped: datetime, recording_id: str) -> str:
    """Name the marker of a recording that was stopped and is to be announced: sorts by time."""
    return f"{PENDING}/{recording_key(stopped, recording_digest(recording_id))}.json"


def absent_key(start: datetime, digest: str) -> str:
    """Name a recording that was never announced, so that its call is unknown; `digest` is its recording_digest."""
    return recording_key(start, f"absent-{digest[:16]}")


def pause_blob(recording_id: str) -> str:
    """Name the marker of a recording that is to be paused."""
    return f"{PAUSES}/{recording_digest(recording_id)}.json"


def pending_live_blob(recording_id: str) -> str:
    """Name the marker of a recording that was started, and whose row is missing."""
    return f"{PENDING_LIVE}/{recording_digest(recording_id)}.json"


def consent_folder(conversation: str) -> str:
    """Name the folder of a conversation's consents, with its slash; `conversation` is what its ids have in common."""
    return f"{CONSENTS}{hashlib.sha256(conversation.encode(errors='backslashreplace')).hexdigest()}/"


def consent_blob(conversation: str, at: datetime, digest: str) -> str:
    """Name the fact that a participant granted or withdrew consent at a time; it sorts by that."""
    return f"{consent_folder(conversation)}{recording_key(at, digest)}.json"


def consent_day_prefix(conversation: str, day: datetime) -> str:
    """Return how the names of the facts of consent of a day begin."""
    return consent_folder(conversation) + recording_key(day, "")[: len("20261124T")]


def consent_time(name: str) -> datetime:
    """Return the time in the name of a fact of consent; the latest there is for a name that has none."""
    key = name.rpartition("/")[2].removesuffix(".json")
    return recording_start(key) if is_recording_key(key) else datetime.max.replace(tzinfo=UTC)


def export_blob(key: str, event: str) -> str:
    """Name the fact that chunks are in the team's own storage (docs/acs-contract.md#own-storage)."""
    return f"exports/{day(key)}/{key}-{event}.json"


def notice_blob(key: str, document_id: str) -> str:
    """Name the fact that a chunk was reported as at risk."""
    return f"{key}/notices/at-risk-{document_id}.json"


def published_blob(key: str, revision: int) -> str:
    """Name the fact that the notice for a manifest was published."""
    return f"{key}/notices/told-{revision}.json"


def quarantine_blob(received: datetime, event: str) -> str:
    """Name a quarantined event."""
    return f"{received.astimezone(UTC):%Y/%m/%d}/{event}.json"


def quarantine_key(blob: str) -> str | None:
    """Return the key of a quarantined event, by the name of its blob; None for another blob.

    >>> quarantine_key("2026/03/01/sha256-0123456789abcdef0123456789abcdef.json")
    '20260301-sha256-0123456789abcdef0123456789abcdef'
    """
    key = blob.removesuffix(".json").replace("/", "", 2).replace("/", "-", 1)
    return key if quarantined_blob(key) == blob else None


def quarantined_blob(key: str) -> str | None:
    """Return the name of a quarantined event's blob, by its key; None for a text that is no key."""
    found = _QUARANTINED.fullmatch(key)
    return f"{found['year']}/{found['month']}/{found['day']}/{found['digest']}.json" if found else None


def replayed_blob(quarantined: str) -> str:
    """Name the fact that a quarantined event was accepted."""
    return f"replayed/{quarantined}"


def person_export_folder(export: str) -> str:
    """Name the folder of an export for a person, with its slash; `export` is its id."""
    return f"{PERSON_EXPORTS}/{export}/"


def person_export_blob(export: str, name: str) -> str:
    """Name a blob of an export for a person: `asked`, `found`, `about`, `export` or `done`, without its extension."""
    return f"{person_export_folder(export)}{name}.json"


def person_export_page_blob(export: str) -> str:
    """Name the page of an export for a person."""
    return f"{person_export_folder(export)}index.html"


def person_export_progress_blob(export: str, number: int) -> str:
    """Name how far the archive was looked through for an export, after `number` parts of it."""
    return f"{person_export_folder(export)}found/{number:06}.json"


def person_export_part_blob(export: str, key: str) -> str:
    """Name what an export has of a recording."""
    return f"{person_export_folder(export)}recordings/{key}.json"


def person_export_file_blob(export: str, key: str, file: str) -> str:
    """Name the copy of a chunk in an export; `file` is the name under which it is saved."""
    return f"{person_export_folder(export)}files/{key}/{file}"


def exports_with(names: Iterable[str], key: str) -> set[str]:
    """Return the exports that have something of a recording, by the names of blobs."""
    found = (_PERSON_EXPORT.fullmatch(name) for name in names)
    return {one["id"] for one in found if one and key in (one["part"], one["copied"])}


def export_of(name: str) -> str | None:
    """Return the export that a blob belongs to, by its name; None for another blob."""
    folder, _, rest = name.removeprefix(f"{PERSON_EXPORTS}/").partition("/")
    return folder if rest and name.startswith(f"{PERSON_EXPORTS}/") and is_export_id(folder) else None


def is_export_id(text: str) -> bool:
    """Return whether `text` can be the id of an export for a person."""
    return re.fullmatch("[0-9a-f]{32}", text) is not None
