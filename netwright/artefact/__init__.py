"""The file that is shipped: written, run, read back, and checked against the network.

Which one? `write` ships a network; `to_onnx` gives the bytes alone, for example to know the size of
a candidate. `Session` runs a shipped (or any other) ONNX file, on raw rows or on what the network
inside it receives. `read_onnx` makes it a torch module again, with gradients.
"""

from netwright.artefact._errors import ArtefactError
from netwright.artefact._read_onnx import OnnxNetwork, UnsupportedOperator, read_onnx
from netwright.artefact._session import Session
from netwright.artefact._write import Artefact, to_onnx, write

__all__ = [
    "Artefact",
    "ArtefactError",
    "OnnxNetwork",
    "Session",
    "UnsupportedOperator",
    "read_onnx",
    "to_onnx",
    "write",
]
