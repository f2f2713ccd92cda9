"""What the app says of its work: log lines, spans, metrics, and where they go."""
