"""What can go wrong with a fault run itself; what goes wrong with the system is counted."""


class FaultRunError(Exception):
    """The run cannot go on; the message is one line."""


class NotStruckError(FaultRunError):
    """A fault could not be made to happen."""
