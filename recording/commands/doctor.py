"""`python -m recording doctor`: try everything that a deployment needs, and name the fix for what fails."""

import argparse
import asyncio
import logging
from secrets import token_hex

from azure.core.exceptions import AzureError
from azure.identity.aio import DefaultAzureCredential

from recording.app import Clients, assemble, connect
from recording.commands.arguments import add_settings
from recording.config.settings import Settings, read_from
from recording.doctor import examination, finding, protection, subscription
from recording.doctor.erasures import examine_erasure
from recording.doctor.finding import Finding
from recording.errors import Misconfigured, describe
from recording.storage.queues import Queue

_INDEX_SECONDS = 30.0


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    examine = commands.add_parser(
        "doctor", help="try everything that a deployment needs, and name the fix for what fails"
    )
    examine.add_argument("--topic", type=_topic, help="resource id of the Event Grid system topic, to examine it, too")
    examine.add_argument("--all", action="store_true", help="list also what is well")
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
    print(finding.table(found, with_passed=arguments.all))
    return 0 if finding.has_passed(found) else 1


async def _examine(arguments: argparse.Namespace) -> list[Finding]:
    try:
        settings = read_from(arguments.settings)
        clients = connect(settings)
    except Misconfigured as wrong:
        return examination.unreadable(wrong)
    scratch = Queue(clients.queue_account, f"recording-doctor-{token_hex(4)}")
    queues = tuple(zip(clients.queues, clients.poison_queues, strict=True))
    try:
        found, of_index, of_holds, of_erasures, of_events = await asyncio.gather(
            examination.examine(
                settings, storage=clients.blobs, service=clients.service, queues=queues, scratch=scratch
            ),
            _index(settings, clients),
            protection.examine_protection(settings, clients.blobs, assemble(settings, clients).keeping.keeping),
            examine_erasure(clients.blobs),
            _subscription(arguments.topic, settings),
        )
    finally:
        await clients.aclose()
    return [*found, of_index, of_holds, of_erasures, *of_events]


async def _index(settings: Settings, clients: Clients) -> Finding:
    """Compare the newest archived recordings with their rows in the search index."""
    name, again = "search index", "python -m recording reindex"
    try:
        async with asyncio.timeout(_INDEX_SECONDS):
            await clients.index.live()
            found = await assemble(settings, clients).reindex.differences()
    except (AzureError, Misconfigured, TimeoutError) as failed:
        return Finding(
            name,
            "fail",
            f"cannot be read: {failed.message if isinstance(failed, Misconfigured) else describe(failed)}",
            "check AzureWebJobsStorage (its table service), and the role Storage Table Data Contributor",
        )
    wrong = [f"{key} ({', '.join(sorted({*kinds}))})" for key, kinds in found.items() if kinds]
    if wrong:
        return Finding(
            name, "fail", f"{len(wrong)} of the newest {len(found)} recordings differ, such as {wrong[0]}", again
        )
    return Finding(name, "ok", f"the rows of the newest {len(found)} archived recordings agree with their manifests")


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
