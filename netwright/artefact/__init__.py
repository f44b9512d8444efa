"""The file that is shipped: written, run, read back, and checked against the network.

Which one? `write` ships a network; `to_onnx` gives the bytes alone, for example to know the size of
a candidate. `Session` runs a shipped (or any other) ONNX file, on raw rows or on what the network
inside it receives. `read_onnx` makes it a torch module again, with gradients; `read_pt2` reads
torch.export's files, and `read_network` either. `check_agreement` shows that a file computes what
the network computes, or names the node where it begins to differ.
"""

from netwright.artefact._agreement import Agreement, check_agreement
from netwright.artefact._errors import ArtefactError
from netwright.artefact._read import read_network
from netwright.artefact._read_onnx import OnnxNetwork, UnsupportedOperator, read_onnx
from netwright.artefact._read_pt2 import read_pt2
from netwright.artefact._session import Session
from netwright.artefact._write import Artefact, to_onnx, write

__all__ = [
    "Agreement",
    "Artefact",
    "ArtefactError",
    "OnnxNetwork",
    "Session",
    "UnsupportedOperator",
    "check_agreement",
    "read_network",
    "read_onnx",
    "read_pt2",
    "to_onnx",
    "write",
]
