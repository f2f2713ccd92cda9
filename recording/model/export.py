"""Pure: an export of what there is about a person: what was asked for, what it has of a recording, and its state."""

import hashlib
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from recording.model.consent import require_text
from recording.model.manifest import Manifest, ManifestChunk
from recording.model.masking import Mask, parse_json
from recording.model.record import Body, Record
from recording.model.trail import TrailEntry

Files = Literal["links", "copies"]
Others = Literal["masked", "shown"]
# Beside a metadata file that is left out; others may be named in it.
WITHHELD = "it can't be read as JSON, so that others could not be hidden in it"
# Members of facts that say who of the staff did something, and from where.
_STAFF = ("who", "objectId", "from", "by", "byObjectId")


class ExportRequest(Body):
    """Body of `POST /v1/exports`: a person by raw id or phone number, and why; `reason` goes into the trail.

    `files` are links, each time it is asked for, or copies beside the export. `others` may ask for less than the
    setting EXPORT_OTHERS allows.
    """

    participant: Annotated[
        str, Field(min_length=1, max_length=1024, examples=["8:acs:ada"]), AfterValidator(require_text)
    ]
    reason: Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(require_text)]
    files: Files = "links"
    others: Others | None = None


class ExportAsked(Record):
    """The fact that an export was asked for; the trail says by whom."""

    export_id: str
    participant: str
    reason: str
    files: Files
    others: Others
    at: datetime
    expires_at: datetime

    def wants_the_same(self, other: "ExportAsked") -> bool:
        """Return whether two requests ask for the same."""
        members = ("participant", "reason", "files", "others")
        return all(getattr(self, name) == getattr(other, name) for name in members)


class ExportAccepted(Body):
    """Answer of `POST /v1/exports`: ask for its state at `GET /v1/exports/{exportId}`."""

    export_id: str
    expires_at: datetime


class Progress(Record):
    """How far the archive was looked through: up to a recording key, which recordings name the person there."""

    last_key: str
    found: tuple[str, ...]
    unreadable: tuple[str, ...] = ()


class Found(Record):
    """The recordings that an export is of; of those that can't be read it is unknown whether they name the person."""

    keys: tuple[str, ...]
    unreadable: tuple[str, ...] = ()


class MetadataText(Record):
    """A metadata file: its text as received, or what it says without others; or why neither is there."""

    document_id: str
    index: int
    bytes: int
    sha256: str | None = None
    text: str | None = None
    said: Any = None
    withheld: str | None = None


class ExportedFile(Record):
    """A chunk of a recording; `copied` is the name of its copy in the export."""

    index: int
    document_id: str
    outcome: str
    file_name: str
    bytes: int
    sha256: str | None = None
    copied: str | None = None


class ExportedRecording(Record):
    """What an export has of one recording; nothing but its key, if it was gone by then."""

    recording_key: str
    taken_at: datetime
    manifest: Any = None
    metadata: tuple[MetadataText, ...] = ()
    trail: tuple[Any, ...] = ()
    files: tuple[ExportedFile, ...] = ()


class About(Record):
    """What else there is about the person: consents, and who searched for them or exported what there is."""

    consents: tuple[Any, ...] = ()
    trail: tuple[Any, ...] = ()


class ExportDone(Record):
    """The fact that an export is ready."""

    at: datetime
    recordings: int
    files: int
    unreadable: int = 0


class ExportLink(Body):
    """A link of five minutes to a file of an export."""

    name: str
    url: str
    expires_at: datetime
    bytes: int


class ExportView(Body):
    """Answer of `GET /v1/exports/{exportId}`.

    `recordings` are known once everything was looked through. `unreadable` counts recordings whose manifest can't be
    read. Links are there when it is ready: `next` is the parameter `after` of the next page.
    """

    export_id: str
    state: Literal["making", "ready"]
    asked_at: datetime
    expires_at: datetime
    files: Files
    others: Others
    looked_up_to: str | None = None
    recordings: int | None = None
    recordings_done: int = 0
    unreadable: int = 0
    links: list[ExportLink] = Field(default_factory=list)
    next: str | None = None


class ExportQuery(Record, populate_by_name=False):
    """Query of `GET /v1/exports/{exportId}`: the name behind which the links go on."""

    after: str | None = Field(default=None, min_length=1, max_length=1024)


def others_in(manifest: Manifest, *said: Any) -> list[str]:
    """List everybody whom a manifest and metadata files name, each once."""
    found = [
        *(one.id for one in manifest.participants),
        *(one for chunk in manifest.chunks for one in chunk.channels),
        *(one.participant for one in manifest.consents),
        *manifest.uncovered,
        *(one for text in said for one in _participant_ids(text)),
    ]
    return list(dict.fromkeys(found))


def _participant_ids(said: Any) -> list[str]:
    """List what stands under a member that is called like a participant's id, wherever in a metadata file."""
    match said:
        case dict():
            named = [one for name, one in said.items() if str(name).lower() in _IDS and isinstance(one, str)]
            return [*named, *(one for value in said.values() for one in _participant_ids(value))]
        case list():
            return [one for value in said for one in _participant_ids(value)]
        case str() if said.lstrip().startswith(("{", "[")):
            try:
                return _participant_ids(parse_json(said.encode(errors="replace")))
            except ValueError:
                return []
        case _:
            return []


_IDS = ("participantid", "rawid", "communicationuserid", "phonenumber", "microsoftteamsuserid", "mri")


def read_metadata(entry: ManifestChunk, body: bytes | None) -> tuple[MetadataText, Any]:
    """Return a metadata file with its text as received, and what it says; None if that can't be read."""
    file = MetadataText(
        document_id=entry.document_id,
        index=entry.index,
        bytes=len(body or b""),
        sha256=entry.metadata.sha256 if entry.metadata else None,
    )
    if body is None:
        return file.model_copy(update={"withheld": "it is not there"}), None
    try:
        text = body.decode()
        said = parse_json(body)
    except ValueError:
        return file.model_copy(update={"text": body.decode(errors="backslashreplace")}), None
    return file.model_copy(update={"text": text}), said


def masked_metadata(file: MetadataText, said: Any, mask: Mask) -> MetadataText:
    """Return a metadata file without others."""
    if file.text is None:
        return file
    if said is None:
        return file.model_copy(update={"text": None, "withheld": WITHHELD})
    return file.model_copy(update={"text": None, "said": mask.value(said)})


def shown_entry(entry: Record, mask: Mask | None) -> Any:
    """Return a fact as an export shows it: without the staff and others, if these are masked."""
    shown = entry.model_dump(mode="json", by_alias=True, exclude_none=True)
    if mask is None:
        return shown
    return mask.value({name: one for name, one in shown.items() if name not in _STAFF})


def shown_manifest(manifest: Manifest, mask: Mask | None) -> Any:
    """Return a manifest as an export shows it."""
    shown = manifest.model_dump(mode="json", by_alias=True)
    if mask is None:
        return shown
    shown["consents"] = [shown_entry(one, mask) for one in manifest.consents]
    if shown.get("absent"):
        shown["absent"]["stoppedBy"] = None
    return mask.value(shown)


def digest_of(entry: TrailEntry) -> str | None:
    """Return the digest of the participant that an entry of the trail is about."""
    found = (entry.details or {}).get("participant")
    return found if isinstance(found, str) else None


def export_id(owner: str, repeat_key: str) -> str:
    """Return the id of the export that a repeatable request asks for: the same each time."""
    return hashlib.sha256(f"{owner}\0{repeat_key}".encode()).hexdigest()[:32]
