"""The soak test: many recordings through the whole stack while everything goes wrong, then an independent check."""
