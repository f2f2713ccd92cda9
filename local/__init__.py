"""Everything Azure that the app needs, on one machine; never deployed."""
