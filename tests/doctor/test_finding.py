"""recording/doctor/finding.py: what was found, for a person at a terminal."""

from recording.doctor.finding import Finding, has_passed, table

GOOD = Finding("queue", "ok", "is there")
WARNING = Finding("settings agree", "warn", "hardly", "set A")
BAD = Finding("ACS", "fail", "refused", "az something")
SKIPPED = Finding("topic", "skipped", "not asked for", "az other")


def test_a_table_has_a_mark_per_check_and_how_to_fix_it() -> None:
    """What failed is first; columns stand below each other, and the last line is the sum."""
    assert [
        "✗ ACS             refused",
        "                  fix: az something",
        "! settings agree  hardly",
        "                  fix: set A",
        "– topic           not asked for",  # noqa: RUF001 - a mark, no minus
        "                  fix: az other",
        "✓ queue           is there",
        "1 failed, 1 warnings, 1 skipped, 1 ok",
    ] == table([GOOD, WARNING, BAD, SKIPPED]).splitlines()


def test_what_is_well_is_only_counted_unless_it_is_asked_for() -> None:
    """Nobody reads thirty lines to find that one thing failed."""
    assert ["✗ ACS  refused", "       fix: az something", "1 failed, 2 ok"] == table(
        [GOOD, BAD, GOOD], with_passed=False
    ).splitlines()
    assert "2 ok" == table([GOOD, GOOD], with_passed=False)


def test_only_a_failure_is_one() -> None:
    """A warning or a check that was skipped doesn't make a deployment unfit."""
    assert (True, False) == (has_passed([GOOD, WARNING, SKIPPED]), has_passed([GOOD, BAD]))
