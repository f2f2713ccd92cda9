"""Run a Python v2 function app locally, playing the part of the .NET Functions host."""
