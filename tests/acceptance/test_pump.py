"""benchmarks/pump.py: a quick run without TLS; `make test` has one with it."""

from tests.benchmarks.quick import run_quickly


async def test_a_quick_plain_run_gives_rows() -> None:
    """On asyncio's own loop, by HTTP."""
    await run_quickly(secure=False)
