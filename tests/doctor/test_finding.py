"""recording/doctor/finding.py: what was found, for a person at a terminal."""

from recording.doctor.finding import Finding, has_passed, table

GOOD = Finding("queue", "ok", "is there")
WARNING = Finding("settings agree", "warn", "hardly", "set A")
BAD = Finding("ACS", "fail", "refused", "az something")
SKIPPED = Finding("topic", "skipped", "not asked for", "az other")


def test_a_table_has_a_mark_per_check_and_how_to_fix_it() -> None:
    """Columns stand below each other, and the last line is the sum."""
    assert [
        "✓ queue           is there",
        "! settings agree  hardly",
        "                  fix: set A",
        "✗ ACS             refused",
        "                  fix: az something",
        "– topic           not asked for",  # noqa: RUF001 - a mark, no minus
        "                  fix: az other",
        "1 ok, 1 warnings, 1 failed, 1 skipped",
    ] == table([GOOD, WARNING, BAD, SKIPPED]).splitlines()


def test_only_a_failure_is_one() -> None:
    """A warning or a check that was skipped doesn't make a deployment unfit."""
    assert (True, False) == (has_passed([GOOD, WARNING, SKIPPED]), has_passed([GOOD, BAD]))
