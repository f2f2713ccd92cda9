"""HTTP on this machine: a client, a free port, a certificate, the wait until a program answers."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from local.process import Process


async def wait_until_ok(process: Process, url: str, *, seconds: float) -> None:
    """Wait until a server answers `GET url` with 200.

    Raises ProcessError, with the last answer, when the process ends or the time is over.
    """
    answered = "no answer"
    deadline = asyncio.get_running_loop().time() + seconds
    async with http(seconds=10) as session:
        while asyncio.get_running_loop().time() < deadline:
            if process.returncode is not None:
                raise await process.error(f"ended with status {process.returncode}")
            try:
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return
                    answered = f"{answer.status} {await answer.text()}"
            except (aiohttp.ClientError, TimeoutError) as error:
                answered = repr(error)
            await asyncio.sleep(0.1)
    raise await process.error(f"wasn't ready after {seconds:g} s (GET {url}: {answered})")


def free_port() -> int:
    """Return a port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def http(seconds: float = 30.0) -> AsyncIterator[aiohttp.ClientSession]:
    """Open an HTTP client whose requests take at most `seconds`."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds)) as session:
        yield session


def certificate(folder: Path) -> Path:
    """Write a certificate for the loopback and its key into one file; it is valid for a day and signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now, day = datetime.now(UTC), timedelta(days=1)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, SHA256())
    )
    file = folder / "loopback.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + made.public_bytes(Encoding.PEM))
    return file
