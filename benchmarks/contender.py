"""One contender makes copies, in a process of its own, and says what each cost.

`python -m benchmarks.contender NAME --source URL --sink CONNECTION-STRING --bytes N` prints `warm`, then JSON: a line
each. What is measured begins with warm clients, as in a Functions worker that has been busy: imports and connections
are there. Memory is compared with what it was before anything of size had passed.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass

import uvloop

from benchmarks import ours, sdk
from benchmarks.document import document_id
from benchmarks.meter import Cost, Meter, idle_kib
from benchmarks.place import Place
from benchmarks.serving import Running

Step = Callable[[str], Awaitable[None]]
Maker = Callable[[Place], AbstractAsyncContextManager[Sequence[Step]]]

# Just large enough for the filler's boxes: it imports what is imported late.
_FIRST_BYTES = 1024
# Opens the connections, and lets the allocator learn what sizes are asked for: without it `bytes +=` in the SDK's
# stream takes seven times as long for the first megabytes. A larger chunk has more streams.
_WARM_UP_BYTES, _MOST_WARM_UP_BYTES = 8_000_000, 64_000_000
_OFFSET = 1_000_000
# What it says when the copies begin.
WARM = "warm"


@dataclass(frozen=True)
class Contender:
    """A way to copy: its name in the results, what it is, and what makes it; `make` gives its steps, one or two."""

    name: str
    title: str
    make: Maker


READ = Contender("sdk_read", "(a) SDK read(), then upload_blob", sdk.read_then_upload)
STREAM = Contender("sdk_stream", "(b) SDK stream into upload_blob", sdk.stream_into_upload)
TUNED = Contender("sdk_tuned", "(c) SDK pieces tuned", sdk.tuned_pieces)
OURS = Contender("ours", "(d) ours", ours.ingest)
ARCHIVED = Contender("ours_archived", "(d) ours, then archived", ours.ingest_and_archive)
CONTENDERS = (READ, STREAM, TUNED, OURS, ARCHIVED)
_BY_NAME = {one.name: one for one in CONTENDERS}


async def measure(
    contender: Contender, place: Place, *, size: int, number: int, copies: int, counting: Sequence[Running] = ()
) -> list[list[Cost]]:
    """Copy documents of `size` bytes, one after the other; the answer has what each cost until the end of each step.

    The servers that are `counting` are reset once the clients are warm.
    """
    async with contender.make(place) as steps:

        async def copy(document: str, meter: Meter | None = None) -> list[Cost]:
            costs: list[Cost] = []
            for step in steps:
                await step(document)
                costs += [meter.read()] if meter else []
            return costs

        # Ids of their own: the copy that is measured may be of one of these sizes.
        await copy(document_id(_FIRST_BYTES, number=_OFFSET + number))
        idle = idle_kib()
        warm_up = max(_WARM_UP_BYTES, min(size, _MOST_WARM_UP_BYTES))
        await copy(document_id(warm_up, number=2 * _OFFSET + number))
        for server in counting:
            await server.reset()
        print(WARM, flush=True)
        return [await copy(document_id(size, number=one), Meter(idle)) for one in range(number, number + copies)]


def main(argv: list[str]) -> int:
    """Run one contender; give the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.contender", description="Make copies.")
    parser.add_argument("name", choices=tuple(_BY_NAME))
    parser.add_argument("--source", required=True, help="URL of the source")
    parser.add_argument("--sink", required=True, help="connection string of the sink; its containers exist")
    parser.add_argument("--bytes", type=int, required=True)
    parser.add_argument("--number", type=int, default=1, help="a new one per sink and run: blobs are never replaced")
    parser.add_argument("--copies", type=int, default=1, help="of documents with this number and the following ones")
    parser.add_argument("--counting", action="append", default=[], help="URL of a server that counts requests")
    parser.add_argument("--uvloop", action="store_true", help="use the event loop of Azure's Python worker")
    arguments = parser.parse_args(argv)
    sdk.allow_any_host()
    work = measure(
        _BY_NAME[arguments.name],
        Place(arguments.source, arguments.sink),
        size=arguments.bytes,
        number=arguments.number,
        copies=arguments.copies,
        counting=[Running(url) for url in arguments.counting],
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if arguments.uvloop else None) as runner:
        print(json.dumps([[asdict(cost) for cost in costs] for costs in runner.run(work)]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
