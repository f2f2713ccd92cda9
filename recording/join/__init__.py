"""Pure: how the chunks of a recording become one playable file, without a change to their media (docs/joining.md)."""
