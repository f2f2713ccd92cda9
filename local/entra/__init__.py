"""A stand-in for Entra ID: one tenant with two applications, five people and two services."""
