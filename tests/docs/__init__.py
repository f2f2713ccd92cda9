"""Tests of the documents: what they say is so, and what they have a reader run works."""
