"""Where a training runs: Lightning Fabric, resident data, and reproducible kernels."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from netwright.data._task import Split, TensorSplit

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["deterministic", "make_fabric", "resident", "strides_over_a_pixel"]


def make_fabric(device: str = "auto", *, example: Tensor | None = None) -> "Fabric":
    """Make a launched Fabric for one device.

    Images, and on GPUs tokens, are computed in bfloat16 mixed precision where the processor has
    instructions for it, all else in float32: on a CPU that makes convolutions faster and a
    Transformer slower (`benchmarks/precision.py` prints by how much).

    Args:
        device: "auto" (the first GPU if there is one, else the CPU), "cpu", "cuda" or "cuda:1".
        example: a batch of inputs as the network receives them; decides the precision.

    Raises:
        ValueError: if the name is not one of these, or the machine has no such GPU.
    """
    from lightning_fabric import Fabric  # slow to import
    from lightning_fabric.plugins import MixedPrecision

    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        device = "cuda:0" if n_gpus else "cpu"
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda") or (number and (kind == "cpu" or not number.isdigit())):
        raise ValueError(f"`device` must be `auto`, `cpu`, `cuda` or `cuda:N`; got {device!r}.")
    index = int(number or 0)
    if kind == "cuda" and index >= n_gpus:
        raise ValueError(f"`device` is {device!r}, but torch sees {n_gpus} GPUs; use `cpu`.")
    images = example is not None and example.ndim == 4
    tokens = example is not None and not example.is_floating_point()
    if kind == "cpu":
        features = torch.cpu.get_capabilities()
        fast = images and (features.get("avx512_bf16") or features.get("amx_bf16"))
    else:
        fast = (images or tokens) and torch.cuda.is_bf16_supported(including_emulation=False)
    # As an object: the name alone would make Fabric write a line to the terminal.
    plugin = MixedPrecision("bf16-mixed", kind) if fast else None
    fabric = Fabric(accelerator=kind, devices=1 if kind == "cpu" else [index], plugins=plugin)
    fabric.launch()
    return fabric


@torch.no_grad()
def strides_over_a_pixel(network: nn.Module, example: Tensor) -> bool:
    """Say whether a convolution with a stride reads images of a single row or column.

    On CPUs, torch 2.13 leaves the gradient of such a convolution's weights uninitialised in
    bfloat16 (`tests/learn/test_devices.py` shows it), so these networks train in float32.

    Args:
        network: runs once, in eval mode.
        example: a batch of inputs as the network receives them.
    """
    strided = [m for m in network.modules() if isinstance(m, nn.Conv2d) and max(m.stride) > 1]
    found: list[bool] = []

    def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found.append(min(inputs[0].shape[2:]) == 1)

    handles = [module.register_forward_pre_hook(look) for module in strided]
    was_training = network.training
    try:
        if strided:
            like = next(network.parameters())
            network.eval()(example.to(like.device))
    finally:
        for handle in handles:
            handle.remove()
        network.train(was_training)
    return any(found)


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
