"""The app settings, and the storage accounts and the ACS resource that they name."""
