"""`python -m recording doctor`: try everything that a deployment needs, and name the fix for what fails."""

import argparse
import asyncio
import logging
from secrets import token_hex

from azure.identity.aio import DefaultAzureCredential

from recording.app import connect
from recording.commands.arguments import add_settings
from recording.config.settings import Settings, read_from
from recording.doctor import examination, finding, subscription
from recording.doctor.finding import Finding
from recording.doctor.stores import Queues
from recording.errors import Misconfigured
from recording.storage.queues import Queue


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    examine = commands.add_parser(
        "doctor", help="try everything that a deployment needs, and name the fix for what fails"
    )
    examine.add_argument("--topic", type=_topic, help="resource id of the Event Grid system topic, to examine it, too")
    examine.set_defaults(command=run)
    add_settings(examine)


async def run(arguments: argparse.Namespace) -> int:
    """Examine the deployment; 1 if something failed."""
    # A finding names the fix; log lines of the libraries about the same failure would clutter the table.
    logging.disable(logging.CRITICAL)
    try:
        found = await _examine(arguments)
    finally:
        logging.disable(logging.NOTSET)
    print(finding.table(found))
    return 0 if finding.has_passed(found) else 1


async def _examine(arguments: argparse.Namespace) -> list[Finding]:
    try:
        settings = read_from(arguments.settings)
        clients = connect(settings)
    except Misconfigured as wrong:
        return examination.unreadable(wrong)
    scratch = Queue(settings, f"recording-doctor-{token_hex(4)}", clients.credential)
    queues = Queues(
        (clients.chunk_queue, clients.chunk_poison),
        (clients.bulk_queue, clients.bulk_poison),
        (clients.event_queue, clients.event_poison),
        (clients.archive_queue, clients.archive_poison),
        scratch,
    )
    try:
        found, of_events = await asyncio.gather(
            examination.examine(settings, storage=clients.blobs, service=clients.service, queues=queues),
            _subscription(arguments.topic, settings),
        )
    finally:
        await scratch.aclose()
        await clients.aclose()
    return [*found, *of_events]


async def _subscription(topic: str | None, settings: Settings) -> list[Finding]:
    if topic is None:
        return subscription.not_examined("no --topic is given")
    async with DefaultAzureCredential() as credential:
        return await subscription.examine_subscription(topic, credential, retention=settings.retention)


def _topic(text: str) -> str:
    if not subscription.is_topic(text):
        raise argparse.ArgumentTypeError(
            "/subscriptions/<id>/resourceGroups/<group>/providers/Microsoft.EventGrid/systemTopics/<name>"
        )
    return text
