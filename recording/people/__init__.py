"""What there is about a person: found, exported."""
