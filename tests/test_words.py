"""The words of code, documents and messages: a retired phrase doesn't come back.

ARCHITECTURE.md defines the words that are used instead. A phrase is retired because a reader from outside would
stumble over it, or because it was the name of a log event or an option that has another name now.
"""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]

# (retired, what to write): regular expressions without case; a space matches a line break, too.
RETIRED = [
    (r"whole by its own (?:word|structure)", "structurally complete"),
    (r"(?:leav(?:e|es|ing)|left)(?: (?:it|them|the \S+|this))? away", "omit, omitted"),
    (r"mend(?:s|ed|ing)?", "fix"),
    (r"tells? of|told of|tells? nothing of", "list, announce, publish, report"),
    (r"what (?:became|came|becomes|comes) of", "result, outcome"),
    (r"(?:takes?|taken|taking) (?:events )?in again|take in an? event", "accept again"),
    (r"handed over|hands? over", "defer, or: pass to"),
    (r"a crowd of", "a burst of"),
    (r"comes to nobody", "is invisible to other consumers"),
    (r"(?:bears?|bearing) (?:a|no|the|ACS's) (?:\w+ )?token|must bear", "have, carry"),
    (r"(?:token|one) (?:that )?is(?:n't| not) good", "invalid"),
    (r"that can't be(?=[\s.,;:\"']*$|[.;:\"'])", "not plausible"),
    (r"of no kind that there is", "not of a supported kind"),
    (r"recording that isn't there|no_recording", "that doesn't exist, UNKNOWN_RECORDING_ID"),
    (r"another worker (?:is making|makes) (?:this|the same) start", "another request for this start is in progress"),
    (r"take a new (?:one|key)", "use a new key"),
    (r"time stands for it", "using the event time instead"),
    (r"stands at index", "is listed at index"),
    (r"it is called \S+, and its bytes are", "labelled mp4, content is wav"),
    (r"the last attempt said|nothing, none was made", "last attempt: …, last attempt: none was made"),
    (r"is not whole \(|it is made again", "is incomplete, it will be retried"),
    (r"what was written reads differently|its account comes first", "read back differs from what was written"),
    (r"left alone; look at it", "not touched; inspect it"),
    (r"replay what\?", "nothing to replay: give a file, a folder, --day or --blob"),
    (r"not as their manifest says", "do not match their manifest"),
    (r"all of it is true", "All checks passed"),
    (r"today's (?:\w+ )?API|(?:API|preview) of 2021|2021 API", "the Call Automation API, the 2021 preview API"),
    (r"speaks? (?:the 2021|the preview|2021)", "uses the Call Automation API, the 2021 preview API"),
    (r"whose stroke would", "whose time-out kills"),
    (r"; the answer is", ", and return"),
    (r"anew", "again"),
    (r"all the same(?=[\s.,;:\"']*$|[.,;:\"'])", "nevertheless, still"),
    (r"found wanting", "rejected"),
    (r"(?:is|names) no program", "is not a program"),
    (r"nothing to tell", "not logged, not reported"),
    (r"is told in one sentence", "is reported in one sentence"),
    (r"it has happened by then", "the operation can't be undone"),
    (r"(?:lies?|lying) across", "overlap"),
    (r"knows best|got least far", "describe what is known, what was chosen"),
    (r"so (?:long|often) (?:may|within)", "the longest, how often"),
    (r"says? otherwise(?= than)", "contradict"),
    (r"(?:app|version|attempt|one|those) of before", "an older version, an earlier attempt"),
    (r"goes on where|going on where", "continue from"),
    (r"nobody knows?", "is unknown"),
    (r"told from|unless told|untold", "distinguish, by default, unreported"),
    (r"nothing better came", "ACS had no better version"),
    (r"stays? good", "valid"),
    # Names that were renamed: log events, a member of GET /health, an option, a module.
    (r"event\.(?:handed_over|not_taken_yet)", "event.deferred, event.requeued"),
    (r"chunk\.(?:foreign|mislabelled|archived_before)", "chunk.unknown_blob, .label_mismatch, .already_archived"),
    (r"block\.again", "block.retried"),
    (r"auto_record\.done_before", "auto_record.already_done"),
    (r"manifest\.overtaken", "manifest.superseded"),
    (r"--at-once", "--concurrency"),
    (r"python -m recording\.settings", "python -m recording.config.settings"),
]

# Words that a docstring doesn't begin with: what a function does is Return, List, Raise, Log or another plain verb.
NOT_A_VERB = ("Say", "Tell", "Give", "Hear", "Mend", "Note", "Leave")

# Places that are not read, with the reason.
EXCEPTIONS = {
    "tests/test_words.py": "this list",
    "CHANGELOG.md": "names what was renamed",
    "tests/data": "manifests and facts as earlier versions wrote them",
}

READ = [
    *("*.md", "*.py", "Makefile", "azure.yaml", "host.json", "pyproject.toml", ".ci/run", ".github/**/*.*"),
    *("docs/*.md", "infra/*.*", "infra/snapshots/variants.yaml", "local/setup.sh", "local.settings.example.json"),
    *(f"{folder}/**/*.py" for folder in ("recording", "local", "tests", "benchmarks")),
]


def _with_line_breaks(retired: str) -> str:
    return rf"(?<![\w-])(?:{retired})(?!\w)".replace(" ", r"\s+(?:(?:#|//)\s*)?")


def _lower(pattern: str) -> str:
    """Make the letters of a pattern small, and keep its classes: `\\S` is not `\\s`."""
    return re.sub(r"\\.|[A-Z]", lambda found: found[0] if found[0][0] == "\\" else found[0].lower(), pattern)


# Most files have no retired phrase: one search for all of them, in lower case, takes a fifteenth of the time.
ANY = re.compile(_with_line_breaks("|".join(f"(?:{_lower(retired)})" for retired, _ in RETIRED)))
# Only a file with such a word behind a quote is parsed.
FIRST = re.compile(rf"[\"']\s*(?:{'|'.join(NOT_A_VERB)})\b")


def occurrences(text: str) -> list[tuple[int, str, str]]:
    """List the retired phrases in a text: line, phrase, and what to write."""
    if not ANY.search(text.lower()):
        return []
    return sorted(
        (text.count("\n", 0, found.start()) + 1, found[0], instead)
        for retired, instead in RETIRED
        for found in re.finditer(_with_line_breaks(retired), text, re.IGNORECASE)
    )


def first_words(text: str) -> list[tuple[int, str]]:
    """List the docstrings of functions that begin with a word that is no plain verb: line and word."""
    if not FIRST.search(text):
        return []
    documented = (ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = (
        (node.lineno, ast.get_docstring(node)) for node in ast.walk(ast.parse(text)) if isinstance(node, documented)
    )
    return [(line, text.split()[0]) for line, text in docstrings if text and text.split()[0] in NOT_A_VERB]


def test_no_retired_phrase_comes_back() -> None:
    """Each occurrence is named with its file, its line, and what to write instead."""
    found = {
        f"{path}:{line}: {phrase!r}, write {instead}"
        for path in _paths()
        for line, phrase, instead in occurrences(path.read_text())
    }
    assert set() == {one.removeprefix(f"{ROOT}/") for one in found}


def test_a_docstring_begins_with_a_plain_verb() -> None:
    """A function returns, lists, raises or logs: it doesn't say, tell or give."""
    sources = [path for path in _paths() if path.suffix == ".py"]
    found = {f"{path}:{line}: {word}" for path in sources for line, word in first_words(path.read_text())}
    assert set() == {one.removeprefix(f"{ROOT}/") for one in found}


def test_a_phrase_is_found_in_any_case_and_over_a_line_break() -> None:
    """Also behind the mark of a comment; a word that only contains a retired one is not found."""
    text = "# What\n    # became of it was told\n# of: amend the recommended event.handed_over"
    assert [(1, "# What\n    # became of"[2:]), (2, "told\n# of"), (3, "event.handed_over")] == [
        (line, phrase) for line, phrase, _ in occurrences(text)
    ]


def test_no_replacement_is_retired() -> None:
    """What is to be written instead is not retired itself."""
    assert [] == [instead for _, instead in RETIRED if occurrences(instead)]


def test_a_first_word_is_found() -> None:
    """In methods and async functions, too; a class may begin with any word."""
    text = (
        'class A:\n    """Tell."""\n    async def b(self):\n        """Say whether."""\ndef c():\n    """Return."""\n'
    )
    assert [(3, "Say")] == first_words(text)


def test_every_exception_is_there() -> None:
    """A file that is gone needs none."""
    assert [] == [name for name in EXCEPTIONS if not (ROOT / name).exists()]


def _paths() -> list[Path]:
    found = sorted({path for pattern in READ for path in ROOT.glob(pattern)})
    left = [path for path in found if not any(path.is_relative_to(ROOT / name) for name in EXCEPTIONS)]
    assert len(left) > 300
    return left
