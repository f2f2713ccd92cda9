"""The stack starts the app with everything around it, and ends all of it."""

import asyncio
import os
import stat
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psutil
import pytest

from local.process import ProcessError
from local.stack import Stack, StackError, StackOptions, child_environment

# Stands in for `func start`: serves /health, answers Event Grid's handshake, and shows how it was started.
FAKE_FUNC = """\
#!{python}
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({{"arguments": sys.argv[1:], "folder": os.getcwd(), "settings": dict(os.environ)}})

    def do_POST(self):
        [event] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer({{"validationResponse": event["data"]["validationCode"]}})

    def answer(self, body):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

HTTPServer(("127.0.0.1", int(sys.argv[-1])), Handler).serve_forever()
"""


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


async def test_stack(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    """The app is healthy and subscribed to the emulator's events, and its page may read media; no process is left.

    A process that ends by itself is noticed, and named.
    """

    before = {process.pid for process in psutil.Process().children(recursive=True)}
    async with Stack(StackOptions(logs=tmp_path)) as stack:
        async with session.get(f"{stack.app_url}/health") as answer:
            assert (200, "ok") == (answer.status, (await answer.json())["status"])
        async with session.get(f"{stack.acs_url}/emulator/subscriptions") as answer:
            [subscription] = (await answer.json())["subscriptions"]
        media = stack.storage_connection_string.partition("BlobEndpoint=")[2].partition(";")[0]
        async with session.get(f"{media}/x/y", headers={"Origin": stack.app_url}) as answer:
            assert stack.app_url == answer.headers["Access-Control-Allow-Origin"]
        assert f"{stack.app_url}/runtime/webhooks/eventgrid?functionName=receive_event" == subscription["endpoint"]
        assert stack.acs_connection_string.startswith(f"endpoint={stack.acs_url};accesskey=")
        assert {"azurite.log", "acs.log", "functions.log"} == {path.name for path in tmp_path.iterdir()}
        started = [
            child
            for child in psutil.Process().children(recursive=True)
            if child.pid not in before and child.is_running()
        ]
        [host] = [child for child in started if "functions" in child.cmdline()]
        host.kill()

        with pytest.raises(ProcessError, match="The Functions host ended with status -9"):
            await asyncio.wait_for(stack.watch(), 5)

    assert set() == {process.pid for process in psutil.Process().children(recursive=True)} - before


async def test_app_does_not_start(tmp_path: Path) -> None:
    """When the app can't be started the error has the name of the log and its end, and no process is left."""

    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "function_app.py").write_text("raise RuntimeError('a typing slip')")
    (tmp_path / "app" / "host.json").write_text('{"version": "2.0"}')
    before = {process.pid for process in psutil.Process().children(recursive=True)}

    with pytest.raises(ProcessError, match=r"(?s)The Functions host.*functions\.log.*a typing slip"):
        async with Stack(StackOptions(app_folder=tmp_path / "app", logs=tmp_path / "logs")):
            pass

    assert set() == {process.pid for process in psutil.Process().children(recursive=True)} - before


async def test_func(tmp_path: Path, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """With HOST=func the app is started by Core Tools, in its folder, with the same settings."""

    func = tmp_path / "bin" / "func"
    func.parent.mkdir()
    func.write_text(textwrap.dedent(FAKE_FUNC).format(python=sys.executable))
    func.chmod(func.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{func.parent}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "app").mkdir()

    options = StackOptions(host="func", app_folder=tmp_path / "app", logs=tmp_path / "logs")
    async with Stack(options) as stack, session.get(f"{stack.app_url}/health") as answer:
        started = await answer.json(content_type=None)

        assert ["start", "--port", stack.app_url.rpartition(":")[2]] == started["arguments"]
        assert str(tmp_path / "app") == started["folder"]
        assert started["settings"].items() >= stack.settings().items()


async def test_no_func(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With HOST=func and no Core Tools the error says how to get them."""

    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(StackError, match=r"no `func` on the PATH\. Get it with"):
        async with Stack(StackOptions(host="func", logs=tmp_path)):
            pass


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """App settings that happen to be in this shell don't reach the app; the rest does."""

    monkeypatch.setenv("ARCHIVE_STORAGE__blobServiceUri", "https://real.example.org")
    monkeypatch.setenv("ACS_ENDPOINT", "https://real.example.org")
    monkeypatch.setenv("LANG", "C.UTF-8")

    environment = child_environment({"AUTO_RECORD": "all"})
    assert "ARCHIVE_STORAGE__blobServiceUri" not in environment
    assert "ACS_ENDPOINT" not in environment
    assert ("C.UTF-8", "all") == (environment["LANG"], environment["AUTO_RECORD"])
