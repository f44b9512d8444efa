"""The file that is shipped: written, run, read back, and checked against the network.

Which one? `write` ships a network; `to_onnx` gives the bytes alone, for example to know the size of a
candidate. `Session` runs a shipped (or any other) ONNX file.
"""

from netwright.artefact._errors import ArtefactError
from netwright.artefact._session import Session
from netwright.artefact._write import Artefact, to_onnx, write

__all__ = ["Artefact", "ArtefactError", "Session", "to_onnx", "write"]
