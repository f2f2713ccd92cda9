"""`python -m recording verify`: read archived recordings again and compare them with their manifests."""

import argparse

from recording.catalogue.verify import RecordingVerification
from recording.clock import utc_now
from recording.commands.arguments import add_settings, opened, utc_time
from recording.errors import BadRequest
from recording.model import layout
from recording.model.caller import Caller
from recording.model.trail import TrailEntry


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    reread = commands.add_parser("verify", help="re-read archived recordings and compare them with their manifests")
    reread.add_argument("keys", nargs="*", type=_key, metavar="KEY", help="only the recordings of these keys")
    reread.add_argument("--from", dest="since", type=utc_time, help="recordings that started at or after (ISO 8601)")
    reread.add_argument("--to", dest="until", type=utc_time, help="recordings that started before (ISO 8601)")
    reread.add_argument("--joined", metavar="KEY", help="prove the joined file of this recording instead, by one read")
    reread.add_argument("--concurrency", type=_count, default=2, help="recordings read at a time")
    reread.set_defaults(command=run)
    add_settings(reread)


async def run(arguments: argparse.Namespace) -> int:
    """Verify what is in the archive; 1 if a recording doesn't match its manifest."""
    if arguments.joined:
        return await _joined(arguments)
    bad = count = size = 0
    async with opened(arguments) as app:
        keys = arguments.keys or [key async for key in app.recordings.archived_keys(arguments.since, arguments.until)]
        print(f"{len(keys)} recordings in the archive" if not arguments.keys else f"{len(keys)} to verify", flush=True)
        async with app.trail.record(TrailEntry.of(Caller(origin="command"), "verify", utc_now())) as entry:
            async for result in app.verifier.verify_all(keys, concurrency=arguments.concurrency):
                count, size = count + 1, size + sum(chunk.bytes for chunk in result.chunks)
                bad += not result.ok
                print(f"{count}/{len(keys)}  {_line(result)}", flush=True)
            entry.details = {"recordings": count, "damaged": bad}
    print(_sum(count, bad, size))
    return 1 if bad else 0


async def _joined(arguments: argparse.Namespace) -> int:
    """Prove one joined file; 1 if its bytes are not those of the archive. Raises NotFound if there is none."""
    entry = TrailEntry.of(Caller(origin="command"), "verify", utc_now())
    entry.recording_key = arguments.joined
    async with opened(arguments) as app, app.trail.record(entry):
        found = await app.joining.verify(arguments.joined)
        entry.details = {"joined": True, "ok": found.ok}
    for part in found.parts:
        chunks = len(part.chunks)
        proved = f"{chunks} chunk{'s' * (chunks != 1)} proved by SHA-256" if chunks else "no chunk has a SHA-256"
        print("\n         ".join([f"{part.file_name}  {part.bytes:,} bytes read, {proved}", *part.problems]))
    print("ok" if found.ok else "DAMAGED: the joined file was deleted; the next request makes a new one")
    return 0 if found.ok else 1


def _sum(count: int, bad: int, size: int) -> str:
    """Return a sentence on whether what was read is what the manifests list."""
    if bad:
        found = f"{bad} of {count} recordings do not match their manifest: see DAMAGED above"
    else:
        found = f"All {count} recordings match their manifest"
    return f"{found}. {size:,} bytes were read again."


def _line(result: RecordingVerification) -> str:
    verdict = "ok" if result.ok else "DAMAGED"
    note = "" if result.complete else " (incomplete: its manifest says what is lost)"
    odd = sum(chunk.verdict not in (None, "complete") for chunk in result.chunks)
    note += f" ({odd} not complete media: the manifest says what is missing)" if odd else ""
    problems = [*result.problems, *(problem for chunk in result.chunks for problem in chunk.problems)]
    chunks = len(result.chunks)
    first = f"{verdict:8} {result.recording_key}  {chunks} chunk{'s' * (chunks != 1)}{note}"
    return "\n         ".join([first, *problems])


def _key(text: str) -> str:
    try:
        layout.check_key(text)
    except BadRequest as malformed:
        raise argparse.ArgumentTypeError(malformed.message) from malformed
    return text


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("1 or more")
    return int(text)
