"""Read HTTP requests, write HTTP responses."""
