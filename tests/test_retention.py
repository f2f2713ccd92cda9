"""recording/retention.py: retention classes as the setting has them."""

import pytest

from recording.retention import RetentionClass, RetentionClasses, parse_classes


def test_the_first_class_is_the_default() -> None:
    """Days may be parts of one, and a class may be for ever."""
    found = parse_classes("standard=90, brief=0.5 ,history=forever")

    assert RetentionClass("standard", 90) == found.default
    assert (RetentionClass("brief", 0.5), RetentionClass("history", None)) == (
        found.find("brief"),
        found.find("history"),
    )
    assert "standard, brief, history" == found.describe()
    assert found.find("court") is None


def test_without_classes_there_is_no_default() -> None:
    """Then recordings are kept for ever."""
    assert RetentionClasses() == parse_classes(" ")
    assert parse_classes("").default is None


@pytest.mark.parametrize(
    "text",
    [
        "standard",
        "standard=",
        "=90",
        "Standard=90",
        "a b=1",
        "a=0",
        "a=-1",
        "a=nan",
        "a=inf",
        "a=146001",
        "a=1,a=2",
        "a=1,",
    ],
)
def test_what_is_no_class_is_refused(text: str) -> None:
    """A typo must not keep recordings for another time."""
    with pytest.raises(ValueError, match=r"must be"):
        parse_classes(text)
