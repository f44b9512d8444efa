"""Choose the ranks of all layers together: by a search for what costs the network least.

Paper:    Idelbayev, Carreira-Perpinan. Low-Rank Compression of Neural Nets: Learning the Rank of
          Each Layer. CVPR 2020, section 3 (ranks of all layers as one problem of loss against
          size).
Departs:  it learns weights and ranks by turns; here weights are those of the best approximation,
          and ranks go down greedily by what a judge makes of the network.
Notation: rungs = energies, the shares of a weight's sum of squares that are kept.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from torch import nn

from netwright.compress._factored import Factored, by_energy, factorise
from netwright.measure import parameters as count_parameters

__all__ = ["SearchedRanks", "search_ranks"]

_RUNGS = (0.99, 0.97, 0.94, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.35, 0.2)


@dataclass(frozen=True, slots=True)
class SearchedRanks:
    """A network whose layers were factorised as a search found best.

    Attributes:
        network: the smaller network, to be trained further.
        factors: the layers in factors, by name; those that were left whole are missing.
        loss: what the judge made of it.
        parameters: how many there were, and are.
        tried: networks that were judged.
    """

    network: nn.Module
    factors: Mapping[str, Factored]
    loss: float
    parameters: tuple[int, int]
    tried: int


def search_ranks(
    network: nn.Module,
    how: Mapping[str, Callable[..., Factored]],
    judge: Callable[[nn.Module], float],
    *,
    parameters: float,
    energies: Sequence[float] = _RUNGS,
) -> SearchedRanks:
    """Factorise layers, each as far as it hurts the network less than another would.

    All layers begin whole. Step by step the one goes down to the next share of energy that raises
    the judge's loss least for the parameters that it saves.

    Args:
        network: left as it is.
        how: for the names of some layers, what makes factors of one, given it and a `rank`: `svd`,
            `channel_split`, `spatial_split`, or a function that gives `tucker` its two.
        judge: from a network to a loss, of validation rows; lower is better. It must not change it.
        parameters: share of the network's parameters that may stay, in (0, 1).
        energies: shares of a weight's sum of squares that may be kept, decreasing, in (0, 1].

    Raises:
        ValueError: if `parameters` or `energies` make no sense, a layer is unknown or cannot be
            factorised so, or so few parameters cannot be had.

    Cost: for each step, a judgement for each layer.
    """
    if not 0 < parameters < 1:
        raise ValueError(f"`parameters` is the share that may stay, in (0, 1); got {parameters}.")
    if not energies or list(energies) != sorted(set(energies), reverse=True):
        raise ValueError(f"`energies` must decrease; got {tuple(energies)}.")
    before = count_parameters(network)
    rungs = {name: _rungs(network, name, factors, energies) for name, factors in how.items()}
    place = dict.fromkeys(how, -1)  # whole
    current, loss, tried = network, judge(network), 1
    while count_parameters(current) > parameters * before:
        steps = []
        for name in how:
            if place[name] + 1 < len(rungs[name]):
                made = _made(network, rungs, place | {name: place[name] + 1})
                worse = judge(made) - loss
                tried += 1
                saved = count_parameters(current) - count_parameters(made)
                worth = worse / saved if worse > 0 else worse * saved
                steps.append((worth, name, made, loss + worse))
        if not steps:
            raise ValueError(
                f"`parameters` of {parameters} cannot be had: with all layers at the least of "
                f"`energies`, {count_parameters(current) / before:.3f} of them stay."
            )
        _, name, current, loss = min(steps, key=lambda step: step[0])
        place[name] += 1
    found = {name: rungs[name][k] for name, k in place.items() if k >= 0}
    after = count_parameters(current)
    return SearchedRanks(_made(network, rungs, place), found, loss, (before, after), tried)


def _rungs(
    network: nn.Module, name: str, factors: Callable[..., Factored], energies: Sequence[float]
) -> list[Factored]:
    # The factors of one layer, ever smaller; energies that make it no smaller are left out.
    rungs: list[Factored] = []
    for energy in energies:
        made = factorise(network, {name: partial(factors, rank=by_energy(energy))})[1][name]
        if made.parameters[1] < (rungs[-1].parameters[1] if rungs else made.parameters[0]):
            rungs.append(made)
    return rungs


def _made(
    network: nn.Module, rungs: Mapping[str, list[Factored]], place: Mapping[str, int]
) -> nn.Module:
    chosen = {name: rungs[name][k] for name, k in place.items() if k >= 0}
    return factorise(network, {name: lambda _, f=f: f for name, f in chosen.items()})[0]
