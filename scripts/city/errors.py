"""The root of every error that `scripts.city` raises by itself."""


class CityError(Exception):
    """A city, a file of it or a change to one was asked for that cannot be made."""
