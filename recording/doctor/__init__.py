"""Use cases: `GET /health`, and the examination of `python -m recording doctor`."""
