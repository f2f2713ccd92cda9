"""`python -m recording` as a reader types it, without the two seconds of CPU that each start takes.

A process that has imported the app forks for each command. The command has its own process, arguments, folder,
environment, input and output; only the imports are shared.
"""

import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_REQUEST_BYTES = 1 << 20
# What takes the place of the interpreter: it hands itself over, and ends with the command's status.
_CLIENT = """\
#!{python} -SE
import json, os, socket, sys
if sys.argv[1:3] != ["-m", "recording"]:
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
    link.connect({address!r})
    request = {{"arguments": sys.argv[3:], "folder": os.getcwd(), "environment": dict(os.environ)}}
    socket.send_fds(link, [json.dumps(request).encode()], [0, 1, 2])
    sys.exit(int(link.recv(8) or 70))
"""


@contextmanager
def forking_python(program: Path) -> Iterator[None]:
    """Write a program to be called like the interpreter, which works while the context lasts.

    `-m recording` is forked; everything else gets the real interpreter.
    """
    address = program.with_name("forks")
    program.write_text(_CLIENT.format(python=sys.executable, address=str(address)))
    program.chmod(0o755)
    with subprocess.Popen([sys.executable, "-m", __name__, address], stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == b"ready\n"
            yield
        finally:
            server.terminate()


def _serve(address: str) -> None:
    """Import the app, then fork for each request, until the process is ended."""
    package = importlib.import_module("recording.commands")
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
    # Its status is sent by the child itself.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
        door.bind(address)
        door.listen()
        print("ready", flush=True)
        while True:
            link, _ = door.accept()
            with link:
                if os.fork() == 0:
                    link.send(str(_command(link)).encode())
                    os._exit(0)


def _command(link: socket.socket) -> int:
    """Become the command that a client asks for, and return its status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request, files, _, _ = socket.recv_fds(link, _REQUEST_BYTES, 3)
    asked = json.loads(request)
    for number, file in enumerate(files):
        os.dup2(file, number)
    # Those of the server remember what its own files were: a pipe can't be told where it is.
    sys.stdin, sys.stdout, sys.stderr = (open(number, mode) for number, mode in enumerate("rww"))  # noqa: SIM115 - until it ends
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.argv[1:] = asked["arguments"]
    try:
        runpy.run_module("recording", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    _serve(sys.argv[1])
