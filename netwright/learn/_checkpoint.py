"""A training on disk: one safetensors file, replaced whole, its state as JSON in the header."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from netwright._files import write_atomically

__all__ = ["Checkpoint", "optimizer_tensors", "read_checkpoint", "restore_optimizer", "select"]

_NAME = "checkpoint.safetensors"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything that a training needs to go on as if it had never stopped.

    Attributes:
        tensors: weights, averages and optimiser state, by dotted name.
        state: counters and figures, plain JSON values.
    """

    tensors: Mapping[str, Tensor]
    state: Mapping[str, Any]

    def write(self, folder: Path) -> None:
        """Replace the folder's checkpoint; a kill at any moment leaves the old one or the new.

        Args:
            folder: where it goes; made when missing.
        """
        from safetensors.torch import save

        folder.mkdir(parents=True, exist_ok=True)
        # Cloned, since safetensors refuses tensors that share memory, as tied weights do.
        tensors = {
            name: tensor.detach().to("cpu", copy=True).contiguous()
            for name, tensor in self.tensors.items()
        }
        for torn in folder.glob(f".{_NAME}.*.tmp"):
            torn.unlink()  # left by a process that was killed while it wrote
        metadata = {"format": str(_FORMAT), "state": json.dumps(self.state)}
        write_atomically(folder / _NAME, save(tensors, metadata))


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """Read the folder's checkpoint.

    Args:
        folder: as given to `Checkpoint.write`.

    Returns:
        The checkpoint, on the CPU; None if there is none.

    Raises:
        ValueError: if the file is damaged or of another format.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / _NAME
    if not path.exists():
        return None
    way_out = "Delete it to train from the start."
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise ValueError(f"{path} is not a readable checkpoint ({error}). {way_out}") from error
    if metadata.get("format") != str(_FORMAT):
        raise ValueError(
            f"{path} has checkpoint format {metadata.get('format')}; this version of netwright "
            f"reads format {_FORMAT}. {way_out}"
        )
    return Checkpoint(tensors, json.loads(metadata["state"]))


def select(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """Return the tensors of one part, under their own names.

    Args:
        tensors: as in `Checkpoint`.
        part: the first word of the dotted names, for example "network".
    """
    start = part + "."
    return {name[len(start) :]: t for name, t in tensors.items() if name.startswith(start)}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Name an optimiser's state: "place of the parameter.kind of state".

    Args:
        optimizer: all of its state must be tensors.
    """
    found: dict[str, Tensor] = {}
    for place, parameter in enumerate(_parameters(optimizer)):
        for kind, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):  # SGD keeps None before its first step
                found[f"{place}.{kind}"] = value
    return found


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimiser the state that `optimizer_tensors` took.

    Args:
        optimizer: over the same parameters, in the same order.
        tensors: as returned by `optimizer_tensors`.
    """
    parameters = _parameters(optimizer)
    for name, saved in tensors.items():
        place, _, kind = name.partition(".")
        parameter = parameters[int(place)]
        # Fused kernels walk parameter and state in memory order: both need the same strides.
        like = parameter if saved.shape == parameter.shape else saved
        value = torch.empty_like(like, dtype=saved.dtype, device=parameter.device).detach()
        optimizer.state[parameter][kind] = value.copy_(saved)


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]
