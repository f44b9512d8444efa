"""Data: any source becomes a task, in fixed splits, with what was wrong with it written down.

Which one? `load` for everything. `describe` prints what was inferred; `schema_to_toml` writes it to
be edited, and `load(..., schema=)` takes it back. `encode_table`, `encode_text`, `encode_images`
and `encode_sequences` code new rows for a network that was trained on a task; `write_split` and
`write_quarantine` write what a run must keep.
"""

from netwright.data._arrow import ArrowRows, ArrowSplit
from netwright.data._errors import DataError
from netwright.data._load import load
from netwright.data._named import NAMED, NamedSet, Remote
from netwright.data._pictures import encode_images
from netwright.data._quarantine import write_quarantine
from netwright.data._schema import Column, Input, Schema, Target
from netwright.data._schema_io import (
    describe,
    schema_from_json,
    schema_from_toml,
    schema_to_json,
    schema_to_toml,
)
from netwright.data._sequences import encode_sequences
from netwright.data._table import encode_table
from netwright.data._task import SealedSplit, Split, Task, TensorSplit
from netwright.data._text import encode_text, tokenize
from netwright.data._write import write_split

__all__ = [
    "NAMED",
    "ArrowRows",
    "ArrowSplit",
    "Column",
    "DataError",
    "Input",
    "NamedSet",
    "Remote",
    "Schema",
    "SealedSplit",
    "Split",
    "Target",
    "Task",
    "TensorSplit",
    "describe",
    "encode_images",
    "encode_sequences",
    "encode_table",
    "encode_text",
    "load",
    "schema_from_json",
    "schema_from_toml",
    "schema_to_json",
    "schema_to_toml",
    "tokenize",
    "write_quarantine",
    "write_split",
]
