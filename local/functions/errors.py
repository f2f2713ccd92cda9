"""The error that keeps the host from starting."""


class StartError(Exception):
    """The app can't be started; the message is a sentence for the user."""
