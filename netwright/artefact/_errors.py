"""The error that says a file is not what it claims to be."""

__all__ = ["ArtefactError"]


class ArtefactError(ValueError):
    """A model file is damaged, refused, or disagrees with the network it came from."""
