"""The error that means: the data cannot be used as they are."""

__all__ = ["DataError"]


class DataError(ValueError):
    """The data cannot be used as they are; the message says where, why, and what to do."""
