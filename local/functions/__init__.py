"""Run a Python v2 function app locally, in place of the .NET Functions host."""
