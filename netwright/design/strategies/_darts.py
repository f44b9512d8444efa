"""Search among cells by gradient descent on how much of each operation there is.

Paper:    Liu, Simonyan, Yang. DARTS: Differentiable Architecture Search. ICLR 2019,
          arXiv:1806.09055, algorithm 1, equations 7 and 8 (second order, by a finite difference).
          Liang et al. DARTS+. 2019, arXiv:1909.06035, section 3.3, criterion 1 (`most_skips`).
          Chen, Xie, Wu, Tian. Progressive Differentiable Architecture Search. ICCV 2019,
          arXiv:1904.12760, section 3.3 (`p_drop_skip`).
Departs:  operations keep the scale of their batch normalisation; the unrolled step is plain SGD,
          without the momentum of the real one. With several candidates, those after the first are
          drawn from the weights that were learned.
Notation: alphas = alpha, weights of operations = softmax(alpha), `rate` = xi, difference = epsilon.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from netwright import _rng
from netwright.data._schema import Schema
from netwright.data._task import Split
from netwright.design._design import Candidate
from netwright.design.spaces._cell import CellSpace, codes_of_cells
from netwright.design.spaces._space import Code
from netwright.design.strategies._children import Children
from netwright.design.strategies._halved import HalvedBatches
from netwright.design.strategies._supernet import Supernet, edges_of
from netwright.finding import Measurement
from netwright.learn._losses import loss_for
from netwright.learn._schedules import cosine
from netwright.requirement import Requirement

__all__ = ["Darts", "Searched", "darts", "genotype", "unrolled_gradients"]

_SKIP = "identity"
_MOMENTS = 10  # of a search that are kept
_CLIP = 5.0  # L2 norm of the gradient of the weights
_DRAWS = 64  # to find a code that is new


@dataclass(frozen=True, slots=True)
class Searched:
    """What a differentiable search has learned.

    Attributes:
        code: the strongest operations, two edges a node.
        steps: taken.
        stopped: "steps", or "skips" when a cell would have had more than `most_skips` of them.
        moments: for some steps, the step and the weights of operations, by cell, edge and
            operation; the last column is that of no operation.
    """

    code: Code
    steps: int
    stopped: str
    moments: tuple[tuple[int, Mapping[str, tuple[tuple[float, ...], ...]]], ...]


def darts(
    space: CellSpace,
    train: Split,
    *,
    schema: Schema,
    steps: int,
    seed: int,
    order: int = 1,
    rate: float = 0.2,
    alpha_rate: float = 3e-2,
    alpha_decay: float = 1e-3,
    warm_up: float = 0.4,
    weight_decay: float = 3e-4,
    batch_size: int = 64,
    most_skips: int | None = None,
    p_drop_skip: float = 0.0,
) -> Searched:
    """Train all networks of a space at once, and learn which operations they should have.

    Half of the training rows teach the weights, the other half the architecture.

    Args:
        space: of cells.
        train: rows to learn from; halved.
        schema: of the task.
        steps: optimiser steps of the weights; the architecture takes as many.
        seed: of weights, halves and batches.
        order: 1 takes the weights as they are; 2 looks one step of theirs ahead, which costs three
            times as much.
        rate: learning rate of the weights, along a cosine to 0.
        alpha_rate: learning rate of the architecture (Adam).
        alpha_decay: L2 penalty of the architecture.
        warm_up: share of the steps before the architecture begins to move; operations without
            weights would win while the others have learned nothing.
        weight_decay: L2 penalty of the weights.
        batch_size: examples a step.
        most_skips: stop before the normal cell has more identities than this; None never stops.
        p_drop_skip: probability that an identity is dropped, for an example; falls to 0.

    Raises:
        ValueError: if `order` is not 1 or 2, `steps` is not positive, or there are too few rows to
            halve.
    """
    if order not in (1, 2):
        raise ValueError(f"`order` must be 1 or 2; got {order}.")
    if steps < 1:
        raise ValueError(f"`steps` must be at least 1; got {steps}.")
    network = Supernet(space, schema, seed=_rng.child_seed(seed, "darts/weights"))
    alphas = _first_alphas(space, _rng.child(seed, "darts/alphas"))
    loss_of = loss_for(schema.target)
    weights = list(network.parameters())
    descent = torch.optim.SGD(weights, lr=rate, momentum=0.9, weight_decay=weight_decay)
    ascent = torch.optim.Adam(
        list(alphas.values()), lr=alpha_rate, betas=(0.5, 0.999), weight_decay=alpha_decay
    )
    batches = HalvedBatches(train, batch_size, seed)
    moments = [(0, _shares(alphas))]
    chosen, stopped, step = genotype(space, alphas), "steps", 0
    network.train()
    for step in range(steps):
        progress = step / steps
        for group in descent.param_groups:
            group["lr"] = rate * cosine(progress)
        drop = partial(_drop_skip, p_drop=p_drop_skip * (1 - progress))
        noise = _rng.child_seed(seed, f"darts/dropout/{step}")
        x, y = batches.next(0)

        def loss(x: Tensor, y: Tensor, drop: Any = drop, noise: int = noise) -> Tensor:
            shares = {kind: alpha.softmax(dim=1) for kind, alpha in alphas.items()}
            with _rng.seeded(noise):  # both sides of a difference drop the same
                return loss_of(network.mixed(x, shares, drop), y)

        learning = partial(loss, x, y)
        if progress >= warm_up:
            judging = partial(loss, *batches.next(1))
            ahead = rate * cosine(progress) if order == 2 else 0.0
            shown = list(alphas.values())
            _set_gradients(shown, unrolled_gradients(learning, judging, weights, shown, rate=ahead))
            ascent.step()
        gradients = torch.autograd.grad(learning(), weights, allow_unused=True)
        _set_gradients(weights, gradients)
        nn.utils.clip_grad_norm_(weights, _CLIP)
        descent.step()
        found = genotype(space, alphas)
        allowed = most_skips if progress >= warm_up else None  # before that, skips are chance
        if allowed is not None and _skips(space, found) > allowed:
            stopped = "skips"
            break
        chosen = found
        if (step + 1) % max(1, steps // _MOMENTS) == 0 or step == steps - 1:
            moments.append((step + 1, _shares(alphas)))
    return Searched(chosen, step + 1, stopped, tuple(moments))


def unrolled_gradients(
    learning: Callable[[], Tensor],
    judging: Callable[[], Tensor],
    weights: Sequence[Tensor],
    alphas: Sequence[Tensor],
    *,
    rate: float,
) -> tuple[Tensor, ...]:
    """Differentiate the loss after one step of the weights with respect to the architecture.

    Args:
        learning: the loss that the weights follow, as a function of nothing.
        judging: the loss that the architecture follows.
        weights: changed and put back.
        alphas: of the architecture.
        rate: of the step that is looked ahead; 0 looks at the weights as they are (first order).

    Returns:
        For each of `alphas` the gradient, of equation 7 by the difference of equation 8.
    """
    alphas = list(alphas)
    if rate == 0:
        return tuple(_gradients(judging, alphas))
    before = [weight.detach().clone() for weight in weights]
    steepest = _gradients(learning, weights)
    _move(weights, before, steepest, -rate)
    both = torch.autograd.grad(judging(), [*alphas, *weights], allow_unused=True)
    direct = [torch.zeros_like(a) if g is None else g for a, g in zip(alphas, both, strict=False)]
    ahead = [
        torch.zeros_like(w) if g is None else g
        for w, g in zip(weights, both[len(alphas) :], strict=True)
    ]
    length = math.sqrt(sum(float(g.square().sum()) for g in ahead))
    difference = 0.01 / max(length, 1e-12)
    sides = []
    for sign in (1, -1):
        _move(weights, before, ahead, sign * difference)
        sides.append(_gradients(learning, alphas))
    _move(weights, before, before, 0.0)
    return tuple(
        g - rate * (plus - minus) / (2 * difference)
        for g, plus, minus in zip(direct, *sides, strict=True)
    )


def genotype(space: CellSpace, alphas: Mapping[str, Float[Tensor, "edges operations"]]) -> Code:
    """Keep the two strongest edges of each node, each with its strongest operation.

    Args:
        space: in which the code lies.
        alphas: for each kind of cell, a row for each edge; the last column, for no operation, never
            wins.
    """
    return codes_of_cells(space, {kind: _strongest(space, alphas[kind]) for kind in space.kinds})


def _strongest(space: CellSpace, alpha: Tensor) -> list[list[Any]]:
    best = alpha.detach().softmax(dim=1)[:, :-1].max(dim=1)
    nodes = []
    places = {edge: place for place, edge in enumerate(edges_of(space.n_nodes))}
    for node in range(space.n_nodes):
        states = sorted(range(node + 2), key=lambda s: -float(best.values[places[s, node]]))  # noqa: B023
        pair = []
        for state in sorted(states[:2]):
            pair += [state, space.operations[int(best.indices[places[state, node]])]]
        nodes.append(pair)
    return nodes


class Darts:
    """DARTS as a strategy: `ask` trains the shared network once, then proposes what it learned."""

    def __init__(
        self,
        space: CellSpace,
        *,
        train: Split,
        schema: Schema,
        n_candidates: int = 1,
        requirements: Sequence[Requirement] = (),
        metric: str = "accuracy",
        seed: int = 0,
        fidelity: float = 1.0,
        steps: int = 300,
        **search: Any,
    ) -> None:
        """Set up the search; nothing is trained before the first `ask`.

        Args:
            space: of cells.
            train: rows that the shared network learns from.
            schema: of the task.
            n_candidates: how many to propose: the strongest cells, then such as are drawn from the
                learned weights.
            requirements: not looked at by the gradient; every strategy takes them.
            metric: not looked at; every strategy takes it.
            seed: of every random choice.
            fidelity: share of a full training that each gets.
            steps: of the shared network.
            search: further arguments of `darts`.

        Raises:
            ValueError: if `n_candidates` is not positive or `fidelity` is not in (0, 1].
        """
        self._children = Children(
            space,
            n_candidates=n_candidates,
            requirements=requirements,
            metric=metric,
            fidelity=fidelity,
        )
        self._space, self._seed = space, seed
        self._search = partial(darts, space, train, schema=schema, steps=steps, seed=seed, **search)
        self.searched: Searched | None = None
        self._draws = _rng.child(seed, "darts/draws")

    @property
    def remaining(self) -> float:
        """Fidelity of all that was asked for but not told yet, and of all that is still to come."""
        return self._children.remaining

    def ask(self) -> Candidate | None:
        """Propose the next candidate; None when all have been asked for.

        The first call trains the shared network.
        """
        if not self._children.left:
            return None
        if self.searched is None:
            self.searched = self._search()
            return self._children.ask(self.searched.code)
        code = self.searched.code
        for _ in range(_DRAWS):
            code = self._drawn()
            if self._children.is_new(code):
                break
        return self._children.ask(code)

    def tell(self, candidate: Candidate, measurements: Mapping[str, Measurement]) -> None:
        """Report a candidate's measurements; they change nothing.

        Args:
            candidate: as asked.
            measurements: on the validation split.

        Raises:
            ValueError: if the candidate was not asked for, or was told before.
        """
        self._children.tell(candidate, measurements)

    def _drawn(self) -> Code:
        assert self.searched is not None
        _, shares = self.searched.moments[-1]
        noisy = {}
        for kind, rows in shares.items():
            share = torch.tensor(rows)
            # The largest of logarithms with Gumbel noise is a draw by the shares.
            uniform = torch.rand(share.shape, generator=self._draws).clamp(1e-9, 1 - 1e-7)
            noisy[kind] = share.clamp_min(1e-9).log() - (-uniform.log()).log()
        return genotype(self._space, noisy)


def _first_alphas(space: CellSpace, generator: torch.Generator) -> dict[str, Tensor]:
    shape = (len(edges_of(space.n_nodes)), len(space.operations) + 1)
    return {
        kind: (1e-3 * torch.randn(shape, generator=generator)).requires_grad_()
        for kind in space.kinds
    }


def _drop_skip(y: Tensor, layer: nn.Module, *, p_drop: float) -> Tensor:
    if p_drop == 0 or not isinstance(layer, nn.Identity):
        return y
    kept = torch.rand(len(y), *[1] * (y.ndim - 1), device=y.device) >= p_drop
    return y * kept / (1 - p_drop)


def _skips(space: CellSpace, code: Code) -> int:
    kind = space.kinds[0]
    return sum(node[1::2].count(_SKIP) for node in space.nodes(code, kind))


def _shares(alphas: Mapping[str, Tensor]) -> dict[str, tuple[tuple[float, ...], ...]]:
    return {
        kind: tuple(tuple(row) for row in alpha.detach().softmax(dim=1).tolist())
        for kind, alpha in alphas.items()
    }


def _gradients(loss: Callable[[], Tensor], of: Sequence[Tensor]) -> list[Tensor]:
    found = torch.autograd.grad(loss(), list(of), allow_unused=True)
    return [torch.zeros_like(t) if g is None else g for t, g in zip(of, found, strict=True)]


@torch.no_grad()
def _move(
    weights: Sequence[Tensor], start: Sequence[Tensor], along: Sequence[Tensor], by: float
) -> None:
    for weight, first, direction in zip(weights, start, along, strict=True):
        weight.copy_(first + by * direction)


def _set_gradients(tensors: Any, gradients: Sequence[Tensor | None]) -> None:
    for tensor, gradient in zip(tensors, gradients, strict=True):
        tensor.grad = gradient
