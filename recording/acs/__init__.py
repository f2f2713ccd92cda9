"""The only package that sends requests to Azure Communication Services."""
