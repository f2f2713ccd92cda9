"""The only place that talks to Azure Communication Services."""
