"""Read a network that somebody else built, from a file that cannot run code."""

from pathlib import Path

from torch import nn

from netwright.artefact._errors import ArtefactError
from netwright.artefact._read_onnx import read_onnx
from netwright.artefact._read_pt2 import read_pt2

__all__ = ["read_network"]

_PICKLED = (".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin", ".joblib")


def read_network(path: Path | str) -> nn.Module:
    """Read a network: `.onnx` or torch.export's `.pt2`.

    Args:
        path: the file.

    Returns:
        A differentiable module in eval mode.

    Raises:
        ArtefactError: if the file is damaged or of a kind that is refused; says how to convert it.
        FileNotFoundError: if there is none.
    """
    place = Path(path)
    kind = place.suffix.lower()
    if not place.is_file():
        raise FileNotFoundError(f"There is no file {place}.")
    if kind == ".onnx":
        return read_onnx(place)
    if kind == ".pt2":
        return read_pt2(place)
    if kind in _PICKLED:
        raise ArtefactError(
            f"{place} holds pickle, which can run any code when it is opened, so it is refused. "
            f"Where you trust it, load it yourself and write "
            f"`torch.export.save(torch.export.export(network.eval(), (x,)), 'network.pt2')`, or "
            f"export it with torch.onnx.export; or hand the nn.Module over in Python."
        )
    if kind in (".safetensors", ".h5", ".keras", ".tflite", ".pb"):
        raise ArtefactError(
            f"{place} cannot be run: networks are read as `.onnx` or `.pt2`. Convert it to ONNX "
            f"with its own framework's exporter."
        )
    raise ArtefactError(
        f"{place} must end in `.onnx` or `.pt2`; got {place.suffix or 'no suffix'!r}."
    )
