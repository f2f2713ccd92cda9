"""The soak test: many recordings through the whole stack with faults and kills, then an independent check."""
