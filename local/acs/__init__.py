"""The Azure Communication Services recording emulator: the 2021-04 API as a real HTTP server.

Built from the service's wire contract ("acs-contract" in docstrings); where the contract says
"unknown", the docstring of the function that had to choose names the choice.
"""
