"""A deployment is examined as `python -m recording doctor` does it."""

import socket

from local.acs.server import DEVELOPMENT_KEY
from local.azurite import KEY
from recording.app import connect
from recording.config.settings import read_settings
from recording.doctor import examination, finding
from recording.doctor.finding import Finding
from recording.storage.queues import Queue

SCHEDULE = {"ARCHIVE_SCHEDULE": "0 */5 * * * *"}
WRONG_KEY = "d3Jvbmcta2V5LXdyb25nLWtleS13cm9uZy1rZXk="
SECRETS = (KEY, DEVELOPMENT_KEY, WRONG_KEY, "sig=", "SharedAccessSignature")


async def examine(environment: dict[str, str], *, timeout: float = 15.0, **more: str) -> dict[str, Finding]:
    """Examine a deployment, and return what was found by name, what failed first. No secret may be in it."""
    settings = read_settings(environment | SCHEDULE | more)
    clients = connect(settings)
    scratch = Queue(clients.queue_account, "recording-doctor-test")
    queues = tuple(zip(clients.queues, clients.poison_queues, strict=True))
    try:
        found = await examination.examine(
            settings,
            storage=clients.blobs,
            service=clients.service,
            queues=queues,
            scratch=scratch,
            timeout=timeout,
        )
    finally:
        await clients.aclose()
    shown = finding.table(found)
    assert [] == [secret for secret in SECRETS if secret in shown], shown
    return {one.name: one for one in sorted(found, key=lambda one: one.mark == "fail")}


def bad(found: dict[str, Finding]) -> set[str]:
    """Name what failed; each with advice."""
    failed = {name for name, one in found.items() if one.mark == "fail"}
    assert [] == [name for name in failed if not found[name].fix]
    return failed


def closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
