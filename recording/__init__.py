"""Keep every Azure Communication Services call recording; see ARCHITECTURE.md."""

# The one place where it is written: pyproject.toml, /health, OpenAPI and `python -m recording --version` read it.
__version__ = "1.0.0"
