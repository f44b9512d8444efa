"""How long training takes: in theory, from multiply-accumulates, and measured."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch
from jaxtyping import Num
from torch import Tensor, nn

from netwright._rng import seeded
from netwright.finding import Measurement
from netwright.measure._latency import latency
from netwright.measure._macs import LayerCosts

__all__ = ["MachineRate", "machine_rate", "theoretical_seconds", "training_step"]


@dataclass(frozen=True, slots=True)
class MachineRate:
    """What a machine can do at best, on large matrix products.

    Attributes:
        macs_per_second: median over products.
        size: the products were of two square matrices of this size.
        n: products timed.
        threads: of torch, during the timing.
    """

    macs_per_second: float
    size: int
    n: int
    threads: int


def machine_rate(
    *,
    size: int = 512,
    seconds: float = 0.3,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> MachineRate:
    """Time products of square matrices.

    Args:
        size: rows and columns of the matrices.
        seconds: time to spend, after three products of warm-up.
        device: where.
        dtype: of the matrices.

    Raises:
        ValueError: if `size` is not positive.

    Example:
        >>> machine_rate(size=64, seconds=0.01).macs_per_second > 1e6
        True
    """
    if size < 1:
        raise ValueError(f"`size` must be at least 1; got {size}.")
    a = torch.full((size, size), 0.5, device=device, dtype=dtype)
    out = torch.empty_like(a)
    on_gpu = a.device.type == "cuda"
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 4 or time.perf_counter() < end:
        before = time.perf_counter()
        torch.mm(a, a, out=out)
        if on_gpu:
            torch.cuda.synchronize(a.device)
        times.append(time.perf_counter() - before)
    return MachineRate(size**3 / median(times[3:]), size, len(times) - 3, torch.get_num_threads())


def theoretical_seconds(costs: LayerCosts, samples: int, rate: MachineRate) -> float:
    """Give the time of training on `samples` examples at the machine's best rate.

    A step costs about three times the forward pass: gradients by inputs and by weights are products
    as large as it. Reading data, activations, normalisation and the optimiser are not in it, so
    measured training takes longer; how much longer says how well the machine is used.

    Args:
        costs: of one forward pass, by `macs`.
        samples: examples seen in training, repeats included.
        rate: of the machine, by `machine_rate`.

    Returns:
        Seconds.

    Example:
        >>> from netwright.measure import macs
        >>> costs = macs(nn.Linear(100, 10), torch.zeros(1, 100))  # 1000 MACs an example
        >>> theoretical_seconds(costs, 1000, MachineRate(3e6, 512, 10, 1))
        1.0
    """
    return 3 * costs.macs_per_example * samples / rate.macs_per_second


def training_step(
    network: nn.Module,
    x: Num[Tensor, "batch *input"],
    y: Num[Tensor, "batch *target"],
    *,
    loss: Callable[[Tensor, Tensor], Tensor],
    seconds: float = 1.0,
    seed: int = 0,
) -> Measurement:
    """Time training steps on one batch: forward, loss, backward, AdamW.

    The network is copied and left as it was.

    Args:
        network: any module; the copy is put in training mode.
        x: a batch of inputs, on the network's device.
        y: its targets.
        loss: maps (outputs, targets) to a number.
        seconds: time to spend; at least 20 steps are timed.
        seed: of dropout.

    Returns:
        The median time of a step, in seconds, with its interval.
    """
    shadow = copy.deepcopy(network).train()
    optimiser = torch.optim.AdamW(shadow.parameters(), lr=1e-6)  # a rate that changes no timing
    on_gpu = x.device.type == "cuda"

    def step(_: int) -> None:
        optimiser.zero_grad()
        loss(shadow(x), y).backward()
        optimiser.step()
        if on_gpu:
            torch.cuda.synchronize(x.device)

    with seeded(seed):
        return latency(step, least=20, most=500, seconds=seconds, warm_up=3).p50
