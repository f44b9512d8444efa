"""A network while it is made smaller, and the design from which what is left can be built again."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from netwright import _rng
from netwright._files import write_atomically
from netwright.data import Schema
from netwright.design import Design, build_network, design_from_json, design_to_json
from netwright.nn._resized import resized

__all__ = ["Shaped", "fold", "read_shaped", "write_shaped"]

_COMPRESSED = ", compressed"  # at the end of a design's name
_SAME = 1e-3  # of the largest output, for norms that a layer has taken over: float32 sums


@dataclass(frozen=True, eq=False)
class Shaped:
    """A network and how its shapes came from a design's.

    Attributes:
        network: without the temperature; no constraint holds its weights.
        base: the design that it began as: that of the run before compression, or a student's.
        factors: for the names of layers, the ranks of the thinner layers that replace each.
        joined: pairs of names: a layer, and the batch normalisation that it has taken over.
    """

    network: nn.Module
    base: Design
    factors: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    joined: tuple[tuple[str, str], ...] = ()

    def design(self, schema: Schema) -> Design:
        """Describe the network, its sizes included.

        Args:
            schema: of the task.
        """
        with _rng.seeded(0):
            whole = resized(
                build_network(self.base, schema, seed=0), factors=self.factors, joined=self.joined
            )
        before = whole.state_dict()
        sizes = {
            name: list(tensor.shape)
            for name, tensor in self.network.state_dict().items()
            if tensor.shape != before[name].shape
        }
        given = {
            "factors": {name: list(ranks) for name, ranks in self.factors.items()},
            "joined": [list(pair) for pair in self.joined],
            "sizes": sizes,
        }
        given = {name: value for name, value in given.items() if value}
        if not given:
            return self.base
        arguments = dict(self.base.parameters)
        return replace(
            self.base,
            name=f"{self.base.name.removesuffix(_COMPRESSED)}{_COMPRESSED}",
            family="reduced",
            parameters={"base": self.base.family, "arguments": arguments, **given},
        )


def write_shaped(shaped: Shaped, schema: Schema, folder: Path, network: nn.Module) -> None:
    """Write `design.json` and `model.safetensors`.

    Args:
        shaped: whose design it is.
        schema: of the task.
        folder: made when missing.
        network: whose weights are written: that of `shaped`, calibrated or not.
    """
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    state = {n: t.detach().contiguous().clone() for n, t in network.state_dict().items()}
    write_atomically(folder / "model.safetensors", save(state))
    write_atomically(folder / "design.json", design_to_json(shaped.design(schema)))


def read_shaped(folder: Path, schema: Schema) -> Shaped:
    """Read what `write_shaped` wrote of a network without temperature.

    Args:
        folder: holds `design.json` and `model.safetensors`.
        schema: of the task.
    """
    from safetensors.torch import load_file

    design = design_from_json((folder / "design.json").read_text(encoding="utf-8"))
    network = build_network(design, schema, seed=0)
    network.load_state_dict(load_file(folder / "model.safetensors"))
    if design.family != "reduced":
        return Shaped(network.eval(), design)
    given = dict(design.parameters)
    name = design.name.removesuffix(_COMPRESSED)
    base = replace(design, name=name, family=given["base"], parameters=given["arguments"])
    factors = {name: tuple(ranks) for name, ranks in given.get("factors", {}).items()}
    joined = tuple((layer, norm) for layer, norm in given.get("joined", ()))
    return Shaped(network.eval(), base, factors, joined)


@torch.no_grad()
def fold(shaped: Shaped, x: Tensor) -> Shaped:
    """Let layers take over the batch normalisation behind them, as the shipped graph has it.

    Weights that share few values would no longer do so if each channel were scaled afterwards.

    Args:
        shaped: left as it is.
        x: real rows, on which the result is checked; where outputs would differ, nothing is joined.
    """
    network = copy.deepcopy(shaped.network).eval()
    found = _pairs(network, x)
    if not found:
        return replace(shaped, network=network)
    wanted = network(x)
    without = resized(copy.deepcopy(network), joined=found)
    if (without(x) - wanted).abs().max() > _SAME * (1e-6 + wanted.abs().max()):
        return replace(shaped, network=network)
    return replace(shaped, network=without, joined=(*shaped.joined, *found))


def _pairs(network: nn.Module, x: Tensor) -> list[tuple[str, str]]:
    # A norm whose input is what a layer has made, each of them run once.
    made: dict[int, tuple[str, Tensor]] = {}  # a tensor kept alive keeps its id
    pairs: list[tuple[str, str]] = []
    calls: dict[str, int] = {}
    handles = []
    for name, module in network.named_modules():
        if not isinstance(module, nn.Linear | _ConvNd | _BatchNorm):
            continue

        def look(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor, n: str = name):
            calls[n] = calls.get(n, 0) + 1
            if not isinstance(module, _BatchNorm):
                made[id(output)] = (n, output)
            elif id(inputs[0]) in made and module.running_mean is not None:
                pairs.append((made[id(inputs[0])][0], n))

        handles.append(module.register_forward_hook(look))
    try:
        network(x)
    finally:
        for handle in handles:
            handle.remove()
    return [pair for pair in pairs if all(calls[name] == 1 for name in pair)]
