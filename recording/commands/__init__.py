"""What an operator runs beside the app: one module for each `python -m recording` command."""
