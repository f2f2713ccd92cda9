"""Keep every Azure Communication Services call recording; see ARCHITECTURE.md."""
