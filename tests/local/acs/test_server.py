"""Tests of the emulator as a program and as a context manager."""

import asyncio
import signal
import socket
import sys
from pathlib import Path

import aiohttp
import pytest

from local.acs.server import DEVELOPMENT_KEY, Emulator, Options, main

ROOT = Path(__file__).parents[3]
ISSUER = ("--issuer", "https://issuer.example")
PROGRAM = "import sys; from local.acs.server import main; sys.exit(main(sys.argv[1:]))"


async def _program(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        *arguments,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_program() -> None:
    """The program says where it listens, serves with its options, and ends with 0 on SIGTERM."""
    process = await _program("--port", "0", "--retention-hours", "24", "--chunk-maximum-bytes", "700000", *ISSUER)
    assert process.stdout is not None
    async with asyncio.timeout(20):
        first = (await process.stdout.readline()).decode()
        second = (await process.stdout.readline()).decode()
        third = (await process.stdout.readline()).decode()
        endpoint = first.split()[-1]
        async with aiohttp.ClientSession() as session, session.get(f"{endpoint}/emulator/settings") as response:
            settings = await response.json()
        process.send_signal(signal.SIGTERM)
        await process.communicate()

    assert first == f"ACS emulator ready on {endpoint}\n"
    assert second == f"ACS_CONNECTION_STRING=endpoint={endpoint};accesskey={DEVELOPMENT_KEY}\n"
    storage, region = settings["storageUrl"], settings["regionUrl"]
    assert third == f"ACS storage host ready on {storage}, its region's on {region}\n"
    assert len({endpoint, storage, region}) == 3
    assert (settings["chunkMaximumBytes"], settings["retentionHours"]) == (700000, 24.0)
    assert (settings["announceDelaySeconds"], settings["issuer"]) == (1.0, "https://issuer.example")
    assert process.returncode == 0


async def test_port_taken() -> None:
    """A port that is in use is reported in one sentence, with exit status 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = await _program("--port", str(taken.getsockname()[1]))
        async with asyncio.timeout(20):
            _, errors = await process.communicate()

    assert process.returncode == 1
    assert errors.decode().startswith("The emulator couldn't start: cannot listen on 127.0.0.1:")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--port", "70000"),
        ("--storage-port", "70000"),
        ("--region-port", "-1"),
        ("--chunk-maximum-bytes", "5"),
        ("--retention-hours", "0"),
        ("--access-key", "?"),
    ],
)
def test_bad_options(arguments: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """An option that could never work is reported in one sentence, with exit status 1."""
    assert main([*arguments]) == 1
    assert capsys.readouterr().err.startswith("The emulator couldn't start: ")


async def test_two_at_once() -> None:
    """Two emulators run side by side, each on a port of its own, and can be stopped under way."""
    async with Emulator() as one, Emulator(Options(access_key="c2VjcmV0")) as two:
        assert one.endpoint != two.endpoint
        assert two.connection_string == f"endpoint={two.endpoint};accesskey=c2VjcmV0"
        async with aiohttp.ClientSession() as session:
            body = {"media": {"kind": "video"}, "durationSeconds": 3600}
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5), session.post(f"{one.endpoint}/emulator/recordings", json=body):
                    pass


async def test_storage_ports() -> None:
    """The storage hosts have ports of their own; if one is in use, nothing keeps listening on the others."""
    async with Emulator() as one:
        taken = int(one.region_url.rpartition(":")[2])
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{taken}"):
            async with Emulator(Options(region_port=taken)):
                pass
    async with Emulator(Options(storage_port=taken)) as two:
        assert two.storage_url == f"http://127.0.0.1:{taken}"


async def test_bad_key() -> None:
    """A key that is not base64 is refused at the start, and nothing keeps listening."""
    with pytest.raises(ValueError, match="not base64"):
        async with Emulator(Options(access_key="?")):
            pass
