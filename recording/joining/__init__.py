"""Use case: one playable file of a recording's chunks, made by storage itself."""
