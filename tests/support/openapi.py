"""Write the description of the API: `python -m tests.support.openapi` makes docs/openapi.json and its table."""

from pathlib import Path

import function_app
from tests.support import tables

FILE = Path(__file__).parents[2] / "docs/openapi.json"


def main() -> None:
    """Write what the app describes now."""
    FILE.write_text(function_app.description.text)
    tables.write()


if __name__ == "__main__":
    main()
