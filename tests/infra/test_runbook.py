"""The documents for operators, and SECURITY.md: the commands that they give an operator are valid."""

import re
import shlex
import subprocess

import pytest

from recording import __main__ as command
from recording.errors import ChunkError, RecordingError
from tests.support.documents import COMPLIANCE, DEPLOYING, OPERATIONS, RUNBOOK, SOURCE, blocks, sections

# Paragraphs that say what `azd provision` does, or run it after other changes.
NO_REPAIR = re.compile(r"does nothing if|would set it again|between `azd provision`|settings or Bicep have|lost after")

# A command refuses what isn't the form of a key.
KEY = "20260301T120000000000Z-3f2b0e4c"


def commands() -> list[str]:
    """Return each command of the console blocks, its continued lines joined, and placeholders made words."""
    typed = [one for block in blocks("console") for one in re.split(r"^\$ ", block, flags=re.MULTILINE) if one.strip()]
    typed = [re.sub(r"<(recording )?key>|<recordingKey>", KEY, one) for one in typed]
    return [re.sub(r"<([^<>\n]+)>", "placeholder", one).replace("\\\n", " ").strip() for one in typed]


def test_there_are_commands() -> None:
    """The reader of this file finds them."""
    assert len(commands()) >= 60


@pytest.mark.parametrize("typed", commands())
def test_a_command_is_shell(typed: str) -> None:
    """`sh -n` reads it without running it; nothing is left open."""
    checked = subprocess.run(["sh", "-n", "-c", typed], capture_output=True, text=True, timeout=10, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_repair_deploys_although_nothing_changed() -> None:
    """`azd provision` skips a deployment whose template and parameters are those of the last one.

    So each paragraph that runs it without --no-state also changes a parameter.
    """
    paragraphs = [" ".join(one.split()) for one in re.split(r"\n\n|\n(?= *(?:\d+\.|\*) )", SOURCE)]
    runs = [one for one in paragraphs if re.search(r"azd provision(?! --no-state)", one)]
    assert len(runs) >= 10
    assert [one for one in runs if not re.search("azd env (?:set|new)", one) and not NO_REPAIR.search(one)] == []


def test_names_of_a_deployment_are_used_after_they_were_read() -> None:
    """Before the first deployment they are empty, and an address would be https:// only."""
    before = DEPLOYING.partition('$ eval "$(sh infra/names.sh production)"')[0]
    assert re.findall(r"\$[A-Z][A-Z_]+", before) == []


ALONE = [
    one
    for source in (DEPLOYING, OPERATIONS, COMPLIANCE)
    for one in sections(source).values()
    if "settings settings.json" in one
]


@pytest.mark.parametrize("section", [*ALONE, sections(RUNBOOK)["Before you start"]])
def test_a_section_makes_the_settings_file_and_removes_it(section: str) -> None:
    """The file may contain secrets, and the reader of a section has not read the others; the runbook makes it once."""
    lines = [line for line in section.splitlines() if re.search(r"\bsettings\.json\b", line)]
    assert lines[0].endswith("> settings.json")
    assert re.search(r"\brm\b.* settings\.json\b", lines[-1])


@pytest.mark.parametrize("typed", [one for one in commands() if "python -m recording" in one])
def test_a_command_of_the_app_is_one(typed: str) -> None:
    """Its options exist, by the parser of the app itself."""
    topic = "/subscriptions/3f2b0e4c-1111-4000-8000-000000000001/resourceGroups/rg/providers/Microsoft.EventGrid"
    words = shlex.split(re.sub(r'"\$\(.*?\)"', f"{topic}/systemTopics/topic", typed).replace("$", ""))
    found = command._parser().parse_args(words[words.index("recording") + 1 :])
    assert callable(found.command)


def test_codes_of_chunks_are_all_explained() -> None:
    """The table of a chunk that always fails has every error that a chunk can fail with, and no other."""

    def below(error: type[RecordingError]) -> set[str]:
        return {error.code}.union(*(below(one) for one in error.__subclasses__()))

    table = SOURCE.partition("## A chunk that always fails")[2].partition("\n## ")[0]
    told = set(re.findall(r"^\| ([A-Z]\w+) \|", table, re.MULTILINE))
    assert told == below(ChunkError) - {ChunkError.code}
