"""The emulator of the recording APIs of Azure Communication Services, as an HTTP server.

It is built from the service's wire contract (docs/acs-contract.md). Where the contract says "unknown", the
docstring of the function that depends on it names the choice.
"""
