"""Write the description of the API: `python -m tests.support.openapi` makes docs/openapi.json."""

from pathlib import Path

import function_app

FILE = Path(__file__).parents[2] / "docs/openapi.json"


def main() -> None:
    """Write what the app describes now."""
    FILE.write_text(function_app.description.text)


if __name__ == "__main__":
    main()
