"""Data: sources, schema, splits."""

from netwright.data._errors import DataError
from netwright.data._load import load
from netwright.data._schema import Column, Input, Schema, Target
from netwright.data._task import SealedSplit, Split, Task, TensorSplit

__all__ = [
    "Column",
    "DataError",
    "Input",
    "Schema",
    "SealedSplit",
    "Split",
    "Target",
    "Task",
    "TensorSplit",
    "load",
]
