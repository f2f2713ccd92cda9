"""Stand-ins for everything in Azure that the app needs, on one machine; never deployed."""
