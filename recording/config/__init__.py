"""What the app is told from outside: its settings, and the accounts and the ACS resource they name."""
