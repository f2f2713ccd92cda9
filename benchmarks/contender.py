"""One contender makes one copy, in a process of its own, and says what it cost.

`python -m benchmarks.contender NAME --source URL --sink CONNECTION-STRING --bytes N` prints a line of JSON. What is
measured begins with warm clients, as in a Functions worker that has been busy: imports and connections are there.
Memory is compared with what it was before anything of size had passed.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks import ours, sdk
from benchmarks.document import document_id
from benchmarks.meter import Cost, Meter, idle_kib
from benchmarks.place import Place
from benchmarks.serving import Running

Copy = Callable[[str], Awaitable[None]]
Maker = Callable[[Place], AbstractAsyncContextManager[Copy]]

# Just large enough for the filler's boxes: it imports what is imported late.
_FIRST_BYTES = 1024
# Opens the connections, and lets the allocator learn what sizes are asked for: without it `bytes +=` in the SDK's
# stream takes seven times as long for the first megabytes.
_WARM_UP_BYTES = 8_000_000
_OFFSET = 1_000_000


@dataclass(frozen=True)
class Contender:
    """A way to copy: its name in the results, what it is, and what makes it; a variant shows where a cost is."""

    name: str
    title: str
    make: Maker
    holds_everything: bool = False
    is_variant: bool = False


_laps: list[Cost] = []
_meter: Meter | None = None


@asynccontextmanager
async def _pump_and_proof(place: Place) -> AsyncIterator[Copy]:
    def lap() -> None:
        if _meter is not None:
            _laps.append(_meter.read())

    async with ours.pump_and_proof(place, lap) as copy:
        yield copy


CONTENDERS = (
    Contender("sdk_read", "(a) SDK read(), then upload_blob", sdk.read_then_upload, holds_everything=True),
    Contender("sdk_stream", "(b) SDK stream into upload_blob", sdk.stream_into_upload),
    Contender("sdk_stream_large_reads", "(b) the same, reads of 1 MiB", sdk.large_stream_into_upload, is_variant=True),
    Contender("sdk_tuned", "(c) SDK pieces tuned", sdk.tuned_pieces),
    Contender("ours", "(d) ours", ours.pump),
    Contender("ours_without_hash", "(d) ours, no hash in flight", ours.pump_without_hash, is_variant=True),
    Contender("ours_with_proof", "(d) ours, then proved by read-back", _pump_and_proof),
)
NAMES = tuple(one.name for one in CONTENDERS)


async def measure(
    contender: Contender, place: Place, *, size: int, number: int, counting: Sequence[Running] = ()
) -> dict[str, Any]:
    """Copy one document of `size` bytes; the answer has the costs until committed and until the end.

    The servers that are `counting` are reset once the clients are warm.
    """
    global _meter
    async with contender.make(place) as copy:
        # Ids of their own: the copy that is measured may be of one of these sizes.
        await copy(document_id(_FIRST_BYTES, number=_OFFSET + number))
        idle = idle_kib()
        await copy(document_id(_WARM_UP_BYTES, number=_OFFSET + number))
        for server in counting:
            await server.reset()
        _laps.clear()
        _meter = Meter(idle)
        await copy(document_id(size, number=number))
        whole = _meter.read()
    return {"pump": asdict(_laps[0] if _laps else whole), "whole": asdict(whole)}


def main(argv: list[str]) -> int:
    """Run one contender; give the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.contender", description="Make one copy.")
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--source", required=True, help="URL of the source")
    parser.add_argument("--sink", required=True, help="connection string of the sink; its containers exist")
    parser.add_argument("--bytes", type=int, required=True)
    parser.add_argument("--number", type=int, default=1, help="a new one per sink and run: blobs are never replaced")
    parser.add_argument("--counting", action="append", default=[], help="URL of a server that counts requests")
    arguments = parser.parse_args(argv)
    sdk.allow_any_host()
    contender = CONTENDERS[NAMES.index(arguments.name)]
    place = Place(arguments.source, arguments.sink)
    counting = [Running(url) for url in arguments.counting]
    work = measure(contender, place, size=arguments.bytes, number=arguments.number, counting=counting)
    print(json.dumps(asyncio.run(work)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
