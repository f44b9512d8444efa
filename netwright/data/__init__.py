"""Data: sources, schema, splits."""

from netwright.data._schema import Column, Input, Schema, Target
from netwright.data._task import SealedSplit, Split, Task, TensorSplit

__all__ = ["Column", "Input", "Schema", "SealedSplit", "Split", "Target", "Task", "TensorSplit"]
