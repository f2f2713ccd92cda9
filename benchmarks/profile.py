"""Say where each CPU-second of a copy goes: `python -m benchmarks.profile [--size 75MB] [--secure]`.

py-spy looks at all threads of the process that copies, native frames too, a hundred times a second; a sample belongs
to the innermost frame that is of a known kind. The process says itself how much CPU its copies took, which py-spy adds
nothing to. The samples are kept in the format of flame graphs.
"""

import argparse
import asyncio
import re
import statistics
import sys
from collections import Counter
from pathlib import Path

from benchmarks import pump
from benchmarks.cases import SIZES
from benchmarks.contender import ARCHIVED, OURS, TUNED, Contender
from benchmarks.shaping import NONE
from local import interrupt
from local.report import columns
from local.stack import ROOT

FOLDER = ROOT / ".local" / "benchmarks"
_RATE = 100
_COPIED_BYTES = 6_000_000_000
# Counted is what the event loop and other threads do, and neither imports at the start nor threads that wait, which
# py-spy can't always tell.
_THREADS = {"loop": re.compile(r"\brun \(asyncio/runners\.py"), "others": re.compile(r"Thread\._bootstrap")}
_LEFT_OUT = re.compile(r"importlib|SimpleQueue_get|cond_(timed)?wait|acquire_lock|take_gil|epoll_p?wait")
_OTHER = "the rest"
# A frame is `function (file:line)`, or `function (library)` where it is native. libcrypto serves both TLS and SHA-256:
# who called it says which.
_KINDS = (
    ("CRC64", r"awscrt|crc64"),
    ("SHA-256", r"hashopenssl|sha256"),
    ("TLS", r"libssl|\b_ssl\b|_ssl\.c|sslproto"),
    ("sockets: receiving", r"\b(__libc_)?recv|sock_recv|uv__read"),
    ("sockets: sending", r"\b(__libc_)?send|sock_send|uv__(try_)?write|UVStream__\w+_write"),
    ("structure of the file", r"recording/formats"),
    ("HTTP (aiohttp)", r"aiohttp|_http_(parser|writer)"),
    # Below `azure`, which is no package of its own.
    ("clients of Azure", r"\((blob|queue|core|_shared)/"),
    ("this app", r"\brecording/"),
    ("garbage collection", r"\bgc_"),
    ("work for threads", r"concurrent/futures"),
    ("event loop", r"asyncio/|selectors\.py|epoll|uvloop|libuv|\buv__"),
)


def kind(stack: str) -> str:
    """Return the kind of a sample, whose frames are separated by `;`, the innermost last."""
    for frame in reversed(stack.split(";")):
        for name, pattern in _KINDS:
            if re.search(pattern, frame):
                return name
    return _OTHER


def shares(samples: str, thread: str) -> dict[str, float]:
    """Return the share of each kind in what a thread does, the `loop` or the `others`.

    `samples` is what py-spy has written: a stack and its number of samples per line.
    """
    counts: Counter[str] = Counter()
    for line in samples.splitlines():
        stack, _, count = line.rpartition(" ")
        if _THREADS[thread].search(stack) and not _LEFT_OUT.search(stack):
            counts[kind(stack)] += int(count)
    return {name: count / counts.total() for name, count in counts.items()}


async def profile(contender: Contender, size: int, *, secure: bool, samples: Path) -> Counter[str]:
    """Make copies under py-spy; return the CPU-seconds per GiB of each kind, and of `all`."""
    copies = max(1, _COPIED_BYTES // size)
    command = [str(Path(sys.executable).with_name("py-spy")), "record", "--native", "--rate", str(_RATE)]
    command += ["--format", "raw", "--output", str(samples), "--"]
    async with pump.sides(NONE, secure=secure) as both:
        process = await pump.start(contender, size, both, copies=copies, under=command)
        costs = [one[-1] for one in await pump.finish(process, contender, copies * size)]
    text = await asyncio.to_thread(samples.read_text)
    every, loop = (
        statistics.mean(cost[name] for cost in costs) / (size / pump.GIB)
        for name in ("cpu_seconds", "loop_cpu_seconds")
    )
    # A busy machine lets the loop wait more often than the others, and who waits for a core counts as working: so the
    # shares are those within a thread.
    found = Counter({"all": every})
    for thread, seconds in (("loop", loop), ("others", every - loop)):
        for name, share in shares(text, thread).items():
            found[name] += share * seconds
    return found


async def _run(size: str, *, secure: bool) -> int:
    await asyncio.to_thread(FOLDER.mkdir, parents=True, exist_ok=True)
    heads, found = [], []
    for contender in (TUNED, OURS, ARCHIVED):
        samples = FOLDER / f"profile-{contender.name}-{size}{'-tls' if secure else ''}.txt"
        heads.append(contender.name)
        found.append(await profile(contender, SIZES[size], secure=secure, samples=samples))
    names = sorted({name for kinds in found for name in kinds}, key=lambda name: -found[-1][name])
    rows = [[name, *(f"{kinds[name]:.2f}" for kinds in found)] for name in names]
    print(f"CPU-seconds per GiB, {size}, no shaping{', TLS and uvloop' if secure else ''}\n")
    print(columns(["", *heads], rows))
    print(f"\nThe samples are in {FOLDER.relative_to(ROOT)}/profile-*.txt, for any viewer of flame graphs.")
    return 0


def main(argv: list[str]) -> int:
    """Profile the hand-tuned pieces, and ours until safe and until archived; print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description="Say where the CPU goes.")
    parser.add_argument("--size", choices=tuple(SIZES), default="75MB", help="of a chunk (default: %(default)s)")
    parser.add_argument("--secure", action="store_true", help="by TLS, and with the event loop of Azure's worker")
    arguments = parser.parse_args(argv)
    try:
        return interrupt.run(_run(arguments.size, secure=arguments.secure))
    except pump.CopyFailed as failed:
        print(failed, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
