"""Where a training runs: Lightning Fabric, resident data, and reproducible kernels."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

from netwright.data._task import Split, TensorSplit

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["deterministic", "make_fabric", "resident"]


def make_fabric(device: str = "auto") -> "Fabric":
    """Make a launched Fabric for one device.

    bfloat16 mixed precision on GPUs that have it; float32 elsewhere.

    Args:
        device: "auto" (the first GPU if there is one, else the CPU), "cpu", "cuda" or "cuda:1".

    Raises:
        ValueError: if the name is not one of these, or the machine has no such GPU.
    """
    from lightning_fabric import Fabric  # 1 s beyond torch itself

    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        device = "cuda:0" if n_gpus else "cpu"
    kind, _, number = device.partition(":")
    if kind == "cpu" and not number:
        fabric = Fabric(accelerator="cpu", devices=1)
    elif kind == "cuda" and (number or "0").isdigit():
        index = int(number or 0)
        if index >= n_gpus:
            raise ValueError(f"`device` is {device!r}, but torch sees {n_gpus} GPUs; use `cpu`.")
        precision = "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
        fabric = Fabric(accelerator="cuda", devices=[index], precision=precision)
    else:
        raise ValueError(f"`device` must be `auto`, `cpu`, `cuda` or `cuda:N`; got {device!r}.")
    fabric.launch()
    return fabric


def resident(split: Split, device: torch.device) -> Split:
    """Move a split that lies in memory to a GPU, if it takes at most a quarter of what is free.

    Args:
        split: any split; others than `TensorSplit`, and all on the CPU, come back as they are.
        device: where the network runs.
    """
    if device.type != "cuda" or not isinstance(split, TensorSplit):
        return split
    free, _ = torch.cuda.mem_get_info(device)
    if split.x.nbytes + split.y.nbytes > free / 4:
        return split
    return TensorSplit(split.x.to(device), split.y.to(device), split.rows, split.groups)


@contextlib.contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Use kernels that give the same bits every time, on the CPU; GPUs are left as they are.

    Args:
        device: where the network runs.
    """
    if device.type != "cpu":
        yield
        return
    was_on = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    switches: Any = torch.utils.deterministic  # type: ignore[attr-defined]
    filled = switches.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    switches.fill_uninitialized_memory = False  # only costs time here
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was_on, warn_only=warn_only)
        switches.fill_uninitialized_memory = filled
