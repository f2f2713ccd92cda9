"""How the HTTP API is read and answered."""
