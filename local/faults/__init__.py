"""Faults that the ACS emulator and the storage proxy inject: by rule, at random, and as outages."""
