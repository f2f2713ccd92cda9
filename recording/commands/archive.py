"""`python -m recording archive`: one run of the archive timer by hand, or the job that archives one recording."""

import argparse
from dataclasses import replace

from azure.core.exceptions import AzureError

from recording.app import App, open_app
from recording.archive.run import TimerReport
from recording.commands.arguments import add_settings
from recording.config.settings import read_from
from recording.storage.blobs import CopyFailed


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    once = commands.add_parser("archive", help="do what the timer and its queue do, once: requeue, archive, report")
    once.add_argument("key", nargs="?", metavar="KEY", help="archive only the recording of this key, if it is due")
    add_settings(once)
    once.set_defaults(command=run)


async def run(arguments: argparse.Namespace) -> int:
    """Run once and queue the chunks that need it; 1 if something was lost, failed or was not reached.

    What is due is archived here and not queued: the functions may be the reason why it is done by hand.
    """
    app = await open_app(read_from(arguments.settings))
    try:
        report = await (_archive(app, arguments.key) if arguments.key else replace(app.timer, archives_all=True).run())
        for message in report.messages:
            await app.clients.chunk_queue.send(message)
    finally:
        await app.aclose()
    print("\n".join([*_lines(report), _sum(report)]))
    return 1 if report.failed or report.incomplete or report.not_reached or report.topic_failed else 0


async def _archive(app: App, key: str) -> TimerReport:
    """Archive one recording; a failure is in the log."""
    try:
        return await app.archive.run(key)
    except (AzureError, CopyFailed, TimeoutError):
        return TimerReport(failed=[key])


def _lines(report: TimerReport) -> list[str]:
    """Write a line for each recording that an operator should inspect; the log on stderr says why."""
    bad = {"incomplete": report.incomplete, "failed": report.failed}
    lines = [f"{word:10} {key}" for word, keys in bad.items() for key in keys]
    unpublished = "the topic can't be reached: staging is not emptied until its notices are published"
    return [*lines, *([unpublished] if report.topic_failed else [])]


def _sum(report: TimerReport) -> str:
    counts = {
        "archived": len(report.archived),
        "incomplete": len(report.incomplete),
        "waiting": len(report.waiting),
        "failed": len(report.failed),
        "not reached": report.not_reached,
    }
    return ", ".join([*(f"{count} {word}" for word, count in counts.items()), f"{len(report.messages)} chunks queued"])
