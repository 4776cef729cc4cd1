"""What can keep the story from being told, apart from differences (`scripts.demo.stage`)."""


class DemoError(Exception):
    """The demo cannot run; the message is one line."""
