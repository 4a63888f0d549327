"""Python functions for service.hk."""


def shout(text):
    return text.upper()
