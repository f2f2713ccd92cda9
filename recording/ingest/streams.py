"""The streams of all chunks of a process: which chunk gets one next, and from which it is taken.

Slow sources must not starve the others. A recording gets a stream before those that hold more, a slow chunk after all
others. A chunk whose streams are below the pace is given up while others wait, or its blocks are cut smaller; so are
blocks that an attempt would not bring to their end. A recording that holds all streams gives one back. Only the
source's time counts: not storage's, and no pause.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal

from recording.acs.content import pausing
from recording.errors import SourceSlow

# The longest transfer of a block from a slow source, as a share of `Pace.seconds`.
_SHARE = 1 / 3
# The longest transfer of a block from any source, as a share of an attempt: what takes twice as long is cut. Of blocks
# that take longer than an attempt none would ever be staged, however many attempts there are.
_OF_ATTEMPT = 1 / 4
# How often the pace of a chunk is measured within `Pace.seconds`.
_LOOKS = 6


@dataclass(frozen=True)
class Pace:
    """What counts as slow: less than `floor` bytes a second and stream, over `seconds`.

    A recording that holds all streams keeps them for `patience_seconds` while another waits. While a process works on
    more than `crowd` chunks, the host fetches no messages (`newBatchThreshold` in host.json): other chunks may be
    waiting in the queue.
    """

    floor: float = 64 * 1024
    seconds: float = 30.0
    patience_seconds: float = 5.0
    crowd: int = 4


type WaitsFor = Literal["answer", "body", "others"]


class Taken(Exception):
    """A stream was taken from a chunk, which fetches the block again as soon as it has a stream."""


@dataclass(eq=False)
class _Held:
    """A request to the source that is in progress; its time-out ends it when it is `taken`.

    It waits for an answer, for more of a body, or not for the source (`others`).
    """

    limit: asyncio.Timeout
    is_stream: bool
    waits_for: WaitsFor = "answer"
    taken: Taken | SourceSlow | None = None

    def take(self, why: Taken | SourceSlow) -> None:
        if self.taken is None:
            self.taken = why
            self.limit.reschedule(asyncio.get_running_loop().time())


# The request of this task, and of those that it has begun: who sends a body to storage is one.
_current: ContextVar[_Held | None] = ContextVar("_current", default=None)


@dataclass(eq=False)
class Line:
    """One chunk's requests and its pace.

    The blocks of its next requests have at most `longest` bytes; those of a slow source are cut to `shortest` at least.
    It `has_turn` if it has one of the turns for which others may wait before they are in line at all.
    """

    streams: "Streams"
    recording: str
    may_be_given_up: Callable[[], bool]
    has_turn: bool = False
    longest: int = 1
    shortest: int = 1
    slow_rate: float | None = None
    held: list[_Held] = field(default_factory=list)
    _at: float = 0.0
    _busy: float = 0.0
    _held_seconds: float = 0.0
    _bytes: int = 0
    _body_seconds: float = 0.0
    _body_bytes: int = 0

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Hold one of the process's streams; raises Taken if it is taken away, SourceSlow if the chunk is given up."""
        await self.streams.acquire(self)
        try:
            async with self._request(is_stream=True):
                yield
        finally:
            self.streams.release()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Read a few bytes from the source, without a stream; raises SourceSlow if it is given up."""
        async with self._request(is_stream=False):
            yield

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Exclude from the pace what isn't the source's time: storage's, or a pause, which the source may ask for."""
        held = _current.get()
        before = held.waits_for if held else "others"
        self._wait(held, "others")
        try:
            yield
        finally:
            self._wait(held, before)

    async def counted(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the pieces of a body; the source's time is that until each comes, not what is done with it then."""
        held = _current.get()
        before = held.waits_for if held else "others"
        waits_for: WaitsFor = "answer"
        try:
            while True:
                self._wait(held, waits_for)
                if (piece := await anext(body, None)) is None:
                    return
                self._wait(held, before)
                self._bytes += len(piece)
                self._body_bytes += len(piece) if waits_for == "body" else 0
                waits_for = "body"
                yield piece
        finally:
            self._wait(held, before)

    def cut(self, wanted: int, *, largest: float = math.inf) -> bool:
        """Cut the next blocks to the bytes that arrive in time; False if they hardly get shorter.

        A block that takes longer would never be staged. No block has more than `largest` bytes.
        """
        length = max(wanted, self.shortest)
        if 2 * length > min(self.longest, largest):
            return False
        self.longest = length
        return True

    def rates(self, now: float, *, over: float) -> tuple[float, float] | None:
        """Return the bytes a second and stream since the last call; None if too little was waited for the source.

        First those of all its time, then those of bodies that had begun to come, 0 if none had.
        """
        self._tick(now)
        if self._busy < over:
            return None
        rates = self._bytes / self._held_seconds, self._body_bytes / (self._body_seconds or 1)
        self._busy = self._held_seconds = self._body_seconds = 0.0
        self._bytes = self._body_bytes = 0
        return rates

    def _wait(self, held: _Held | None, what: WaitsFor) -> None:
        # Called twice for each piece of a body: nothing here may take long.
        if held:
            self._tick(asyncio.get_running_loop().time())
            held.waits_for = what

    @asynccontextmanager
    async def _request(self, *, is_stream: bool) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        mine: _Held | None = None
        try:
            async with asyncio.timeout(None) as limit:
                mine = _Held(limit, is_stream)
                self._tick(loop.time())
                self.held.append(mine)
                _current.set(mine)
                pausing.set(self.aside)
                yield
        except TimeoutError:
            if mine is None or mine.taken is None:
                raise
            raise mine.taken from None
        finally:
            if mine is not None:
                self._tick(loop.time())
                self.held.remove(mine)

    def _tick(self, now: float) -> None:
        passed, self._at = now - self._at, now
        if waiting := [held.waits_for for held in self.held if held.waits_for != "others"]:
            self._busy += passed
            self._held_seconds += passed * len(waiting)
            self._body_seconds += passed * waiting.count("body")


class Streams:
    """The `count` streams of a process.

    A block has `largest_block` bytes at most, an attempt at a chunk `attempt_seconds`.
    """

    def __init__(
        self, count: int, pace: Pace, *, largest_block: float = math.inf, attempt_seconds: float = math.inf
    ) -> None:
        self.pace = pace
        self._largest_block = largest_block
        self._block_seconds = attempt_seconds * _OF_ATTEMPT
        self._count = self._free = count
        self._lines: list[Line] = []
        self._waiting: list[tuple[Line, asyncio.Future[None]]] = []
        # How many chunks wait for a turn, and aren't in line yet.
        self._before = 0

    @contextmanager
    def line(self, recording: str, *, may_be_given_up: Callable[[], bool], has_turn: bool = False) -> Iterator[Line]:
        """Register a chunk of a recording; it is given up only if `may_be_given_up` returns True."""
        line = Line(self, recording, may_be_given_up, has_turn)
        self._lines.append(line)
        looking = asyncio.get_running_loop().create_task(self._look(line))
        try:
            yield line
        finally:
            looking.cancel()
            self._lines.remove(line)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Register a chunk that waits for a turn: those that have one, and are slow, are given up for it."""
        self._before += 1
        for line in self._lines:
            self._give_up_if_slow(line)
        try:
            yield
        finally:
            self._before -= 1

    async def acquire(self, line: Line) -> None:
        """Wait for a stream."""
        granted = asyncio.get_running_loop().create_future()
        self._waiting.append((line, granted))
        self._grant()
        if not granted.done():
            asyncio.get_running_loop().call_later(self.pace.patience_seconds, self._share)
            for other in self._lines:
                self._give_up_if_slow(other)
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.release()
            raise
        finally:
            self._waiting = [one for one in self._waiting if one[1] is not granted]

    def release(self) -> None:
        """Free a stream for the next in line."""
        self._free += 1
        self._grant()

    @property
    def are_busy(self) -> bool:
        """Whether a chunk has to wait for a stream."""
        return not self._free

    def _grant(self) -> None:
        while self._free and (left := [one for one in self._waiting if not one[1].done()]):
            _, granted = min(left, key=lambda one: (self._yields(one[0]), self._held_by(one[0].recording)))
            self._free -= 1
            granted.set_result(None)

    def _held_by(self, recording: str) -> int:
        granted = sum(1 for line, future in self._waiting if line.recording == recording and future.done())
        return granted + sum(held.is_stream for one in self._lines if one.recording == recording for held in one.held)

    def _yields(self, line: Line) -> bool:
        return line.slow_rate is not None and line.may_be_given_up()

    def _others_wait(self, line: Line) -> bool:
        waiting = any(one is not line and not granted.done() for one, granted in self._waiting)
        return waiting or (line.has_turn and self._before > 0) or len(self._lines) > self.pace.crowd

    async def _look(self, line: Line) -> None:
        """Measure the pace of a chunk until it ends."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self.pace.seconds / _LOOKS)
            rates = line.rates(loop.time(), over=self.pace.seconds)
            if rates is None:
                continue
            rate, of_bodies = rates
            line.slow_rate = rate if rate < self.pace.floor else None
            # Shorter blocks don't make a source answer sooner, or go on that has stopped: they are only more requests.
            if not of_bodies:
                is_too_long = False
            elif of_bodies < self.pace.floor and line.slow_rate is not None:
                is_too_long = line.cut(int(of_bodies * self.pace.seconds * _SHARE))
            else:
                is_too_long = self._cut_if_endless(line, of_bodies)
            self._give_up_if_slow(line)
            for held in line.held:
                if held.is_stream and is_too_long:
                    held.take(Taken())

    def _cut_if_endless(self, line: Line, rate: float) -> bool:
        """Cut the blocks of a chunk if one takes longer than half of an attempt, as large ones do above the floor."""
        if math.isinf(self._block_seconds):
            return False
        return line.cut(int(rate * self._block_seconds), largest=self._largest_block)

    def _give_up_if_slow(self, line: Line) -> None:
        if self._yields(line) and self._others_wait(line):
            rate = f"{line.slow_rate or 0:.0f} bytes a second and stream"
            for held in line.held:
                held.take(SourceSlow(f"the source sent {rate} while other chunks waited"))

    def _share(self) -> None:
        """Take one stream of a recording that holds all of them while another waits: that of its last request."""
        for line, granted in self._waiting:
            if granted.done() or self._count == 1:
                continue
            for other in {one.recording for one in self._lines} - {line.recording}:
                streams = [h for one in self._lines if one.recording == other for h in one.held if h.is_stream]
                if len(streams) == self._count and not any(held.taken for held in streams):
                    streams[-1].take(Taken())
