"""How the bounds of what an operation makes follow from the bounds of what it reads.

Torch calls `Recorder` for every operation of a forward pass. What has no rule is remembered by
name. An operation that can only grow with its input maps ends to ends; one with weights maps the
centre of an interval as it is, and its half width by the absolute weights (Gowal et al. 2018,
arXiv:1810.12715, equation 6).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

__all__ = ["Ends", "Recorder", "Step"]

Ends = tuple[Tensor, Tensor]
Lines = tuple[Tensor, Tensor, Tensor, Tensor]  # slope and offset below, slope and offset above
Kind = Literal["affine", "lines", "pick", "interval"]


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One operation on values that depend on the input.

    Attributes:
        kind: "affine", "lines" (an activation between two lines), "pick" (a maximum), or
            "interval" (nothing but its interval is known).
        sources: places of the values that it reads.
        target: place of the value that it makes.
        run: the operation, on as many values as it reads; None for an interval.
        lines: between which an activation lies, from the ends of its source's interval.
    """

    kind: Kind
    sources: tuple[int, ...]
    target: int
    run: Callable[..., Tensor] | None = None
    lines: Callable[[Tensor, Tensor], Lines] | None = None


class Recorder(TorchFunctionMode):
    """Follows the values that depend on the input through a forward pass.

    Attributes:
        places: of the values followed, by the identity of their tensors.
        ends: of the interval of each value.
        steps: what made them, in order.
        refused: names of operations without a rule.
    """

    def __init__(self, x: Tensor, low: Tensor, high: Tensor) -> None:
        """Begin with the input.

        Args:
            x: the tensor that the network is given, which must occur nowhere else.
            low: least inputs.
            high: largest inputs.
        """
        super().__init__()
        self.places = {id(x): 0}
        self.ends: list[Ends] = [(low, high)]
        self.steps: list[Step] = []
        self.refused: list[str] = []
        self._kept = [x]  # so that no other tensor gets its identity

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Execute an operation, and bound what it makes."""
        kwargs = kwargs or {}
        moving = [t for t in _tensors((*args, *kwargs.values())) if id(t) in self.places]
        if not moving:
            return func(*args, **kwargs)
        name = _NAMES.get(func, getattr(func, "__name__", str(func)))
        rule = _RULES.get(name)
        if rule is not None and not any(id(t) in self.places for t in _tensors(kwargs.values())):
            made = rule(self, func, args, kwargs)
            if made is not None:
                return made
        outputs = func(*args, **kwargs)
        if name not in _ASKING and not (name == "__get__" and not isinstance(outputs, Tensor)):
            self.refused.append(name)
        return outputs

    def follows(self, value: Any) -> bool:
        """Say whether a value depends on the input.

        Args:
            value: an argument of an operation.
        """
        return isinstance(value, Tensor) and id(value) in self.places

    def of(self, value: Tensor) -> Ends:
        """Return the ends of a value's interval.

        Args:
            value: that is followed.
        """
        return self.ends[self.places[id(value)]]

    def made(
        self,
        outputs: Tensor,
        ends: Ends,
        sources: Sequence[Tensor],
        kind: Kind,
        run: Callable[..., Tensor] | None = None,
        lines: Callable[[Tensor, Tensor], Lines] | None = None,
    ) -> Tensor:
        """Remember a value and how it came to be.

        Args:
            outputs: the value.
            ends: of its interval.
            sources: the values that it was made of.
            kind: as in `Step`.
            run: as in `Step`.
            lines: as in `Step`.
        """
        if id(outputs) in self.places:  # handed through unchanged
            return outputs
        places = tuple(self.places[id(source)] for source in sources)
        self.places[id(outputs)] = len(self.ends)
        self.steps.append(Step(kind, places, len(self.ends), run, lines))
        self.ends.append(ends)
        self._kept.append(outputs)
        return outputs


Rule = Callable[[Recorder, Any, tuple[Any, ...], dict[str, Any]], Tensor | None]


def _growing(recorder: Recorder, func: Any, args: Any, kwargs: Any) -> Tensor | None:
    """A linear operation without negative coefficients, on the first argument."""
    x, *rest = args
    if not recorder.follows(x) or any(map(recorder.follows, _tensors(rest))):
        return None

    def run(z: Tensor) -> Tensor:
        return func(z, *rest, **kwargs)

    outputs = run(x)
    if not isinstance(outputs, Tensor) or not outputs.is_floating_point():
        return None
    low, high = recorder.of(x)
    return recorder.made(outputs, (run(low), run(high)), (x,), "affine", run)


def _weighted(recorder: Recorder, func: Any, args: Any, kwargs: Any) -> Tensor | None:
    """A linear layer or convolution: weight second, bias third."""
    if len(args) < 2:
        return None
    x, weight, bias, *rest = (*args, None) if len(args) == 2 else args
    bias = kwargs.get("bias", bias)
    others = {name: value for name, value in kwargs.items() if name != "bias"}
    if not recorder.follows(x) or any(map(recorder.follows, (weight, bias))):
        return None

    def run(z: Tensor) -> Tensor:
        return func(z, weight, bias, *rest, **others)

    low, high = recorder.of(x)
    B = len(x)
    both = run(torch.cat([x, (low + high) / 2]))  # one call is faster than two
    spread = func((high - low) / 2, weight.abs(), None, *rest, **others)
    ends = both[B:] - spread, both[B:] + spread
    return recorder.made(both[:B], ends, (x,), "affine", run)


def _batch_norm(recorder: Recorder, func: Any, args: Any, kwargs: Any) -> Tensor | None:
    x, mean, variance, weight, bias, training, _, eps = _batch_norm_arguments(*args, **kwargs)
    if not recorder.follows(x):
        return None
    outputs = func(*args, **kwargs)  # which updates the running statistics
    if training or mean is None:
        variance, mean = torch.var_mean(x, dim=[0, *range(2, x.ndim)], correction=0)
    scale = (variance + eps).rsqrt()
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    shape = (1, -1, *(1 for _ in x.shape[2:]))
    scale, shift = scale.view(shape), shift.view(shape)
    ends = _scaled(recorder.of(x), scale, shift)
    return recorder.made(outputs, ends, (x,), "affine", lambda z: z * scale + shift)


def _batch_norm_arguments(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Any, ...]:
    return x, running_mean, running_var, weight, bias, training, momentum, eps


def _sum(recorder: Recorder, func: Any, args: Any, kwargs: Any) -> Tensor | None:
    """A sum or difference of two values, or of a value and a constant."""
    if kwargs or len(args) != 2:
        return None
    a, b = (recorder.of(v) if recorder.follows(v) else (v, v) for v in args)
    if func.__name__ in ("sub", "__sub__", "subtract"):
        b = b[::-1]
    elif func.__name__ in ("rsub", "__rsub__"):
        a = a[::-1]
    sources, run = _with_constants(recorder, args, func)
    ends = func(a[0], b[0]), func(a[1], b[1])
    return recorder.made(func(*args), ends, sources, "affine", run)


def _with_constants(
    recorder: Recorder, values: Sequence[Any], func: Callable[..., Tensor]
) -> tuple[list[Tensor], Callable[..., Tensor]]:
    """Return the values that are followed, and the function of those alone."""
    marked = [(v, recorder.follows(v)) for v in values]

    def run(*moving: Tensor) -> Tensor:
        given = iter(moving)
        return func(*(next(given) if follows else v for v, follows in marked))

    return [v for v, follows in marked if follows], run


def _product(recorder: Recorder, func: Any, args: Any, kwargs: Any) -> Tensor | None:
    """A product with a constant, or of two values; or a quotient by a constant."""
    if kwargs or len(args) != 2:
        return None
    a, b = args
    if recorder.follows(a) and recorder.follows(b):
        if func.__name__ not in ("mul", "__mul__"):
            return None
        corners = torch.stack([u * v for u in recorder.of(a) for v in recorder.of(b)])
        return recorder.made(func(a, b), (corners.amin(0), corners.amax(0)), (a, b), "interval")
    if not recorder.follows(a):
        if func.__name__ in ("div", "__truediv__"):
            return None
        a, b = b, a

    def run(z: Tensor) -> Tensor:
        return func(z, b)

    low, high = recorder.of(a)
    ends = run(low), run(high)
    return recorder.made(run(a), (torch.minimum(*ends), torch.maximum(*ends)), (a,), "affine", run)


def _chosen(recorder: Recorder, func: Any, args: Any, kwargs: Any) -> Tensor | None:
    """One of two values, by what does not depend on the input."""
    condition, *both = args
    if kwargs or len(both) != 2 or recorder.follows(condition):
        return None
    ends = [recorder.of(v) if recorder.follows(v) else (v, v) for v in both]
    sources, run = _with_constants(recorder, both, partial(func, condition))
    low, high = (func(condition, *side) for side in zip(*ends, strict=True))
    return recorder.made(func(*args), (low, high), sources, "affine", run)


def _negative(recorder: Recorder, func: Any, args: Any, kwargs: Any) -> Tensor | None:
    low, high = recorder.of(args[0])
    return recorder.made(-args[0], (-high, -low), args[:1], "affine", torch.neg)


def _joined(recorder: Recorder, func: Any, args: Any, kwargs: Any) -> Tensor | None:
    parts, rest = args[0], args[1:]

    def join(*values: Tensor) -> Tensor:
        return func(values, *rest, **kwargs)

    ends = [recorder.of(part) if recorder.follows(part) else (part, part) for part in parts]
    sources, run = _with_constants(recorder, parts, join)
    low, high = (join(*side) for side in zip(*ends, strict=True))
    return recorder.made(join(*parts), (low, high), sources, "affine", run)


def _dropout(recorder: Recorder, func: Any, args: Any, kwargs: Any) -> Tensor | None:
    x, *rest = args
    keep = func(torch.ones_like(x), *rest, **kwargs)  # what one draw leaves, and by how much larger
    low, high = recorder.of(x)
    return recorder.made(x * keep, (low * keep, high * keep), (x,), "affine", lambda z: z * keep)


def _rising(
    kind: Literal["lines", "pick", "interval"],
    lines: Callable[[Callable[..., Tensor], Tensor, Tensor], Lines] | None = None,
) -> Rule:
    """Make the rule of a function that never falls."""

    def rule(recorder: Recorder, func: Any, args: Any, kwargs: Any) -> Tensor | None:
        x, *rest = args
        if any(map(recorder.follows, _tensors(rest))) or kwargs.get("inplace"):
            return None

        def run(z: Tensor) -> Tensor:
            return func(z, *rest, **kwargs)

        outputs = run(x)
        if not isinstance(outputs, Tensor):
            return None
        low, high = map(run, recorder.of(x))
        chosen = None if lines is None else partial(lines, run)
        return recorder.made(outputs, (low, high), (x,), kind, run, chosen)

    return rule


def _leaky_relu(recorder: Recorder, func: Any, args: Any, kwargs: Any) -> Tensor | None:
    leak = kwargs.get("negative_slope", args[1] if len(args) > 1 else 0.01)
    if not 0 <= leak <= 1:
        return None  # it falls, or lies above its chord
    return _rising("lines", partial(_hinge, leak=leak))(recorder, func, args, kwargs)


def _elu(recorder: Recorder, func: Any, args: Any, kwargs: Any) -> Tensor | None:
    alpha = kwargs.get("alpha", args[1] if len(args) > 1 else 1.0)
    return None if alpha < 0 else _rising("interval")(recorder, func, args, kwargs)


def _hinge(run: Callable[..., Tensor], low: Tensor, high: Tensor, *, leak: float = 0.0) -> Lines:
    """Above, the chord; below, whichever of both pieces leaves the lesser area."""
    on, off = low >= 0, high <= 0
    split = ~(on | off)
    width = torch.where(split, high - low, torch.ones_like(high))
    one, least = torch.ones_like(high), torch.full_like(high, leak)
    settled = torch.where(on, one, least)
    up = torch.where(split, (high - leak * low) / width, settled)
    lift = torch.where(split, (leak - up) * low, torch.zeros_like(low))
    down = torch.where(split, torch.where(high > -low, one, least), settled)
    return down, torch.zeros_like(low), up, lift


def _sigmoid(run: Callable[..., Tensor], low: Tensor, high: Tensor) -> Lines:
    a, b = run(low), run(high)
    return _parallel(low, high, a, b, torch.minimum(a * (1 - a), b * (1 - b)))


def _tanh(run: Callable[..., Tensor], low: Tensor, high: Tensor) -> Lines:
    a, b = run(low), run(high)
    return _parallel(low, high, a, b, torch.minimum(1 - a * a, 1 - b * b))


def _parallel(low: Tensor, high: Tensor, a: Tensor, b: Tensor, slope: Tensor) -> Lines:
    """Through both ends, where a derivative that first rises, then falls, is nowhere less."""
    return slope, a - slope * low, slope, b - slope * high


def _scaled(ends: Ends, scale: Tensor, shift: Tensor) -> Ends:
    low, high = ends[0] * scale, ends[1] * scale
    return torch.minimum(low, high) + shift, torch.maximum(low, high) + shift


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


_ASKING = frozenset(
    "__len__ dim empty_like is_floating_point isnan new_ones new_zeros numel ones_like rand_like "
    "randn_like size stride zeros_like".split()
)  # what does not tell the values themselves; what is missing is so all over the box
_NAMES = {functional.max_pool1d: "max_pool1d", functional.max_pool2d: "max_pool2d"}
_GROW = (
    "__getitem__ adaptive_avg_pool1d adaptive_avg_pool2d avg_pool1d avg_pool2d clone contiguous "
    "double expand flatten float mean movedim permute reshape squeeze sum to transpose unflatten "
    "unsqueeze view"
)
_RULES: dict[str, Rule] = {
    **dict.fromkeys(_GROW.split(), _growing),
    **dict.fromkeys("conv1d conv2d conv3d conv_transpose2d linear".split(), _weighted),
    **dict.fromkeys("__add__ __radd__ __rsub__ __sub__ add rsub sub subtract".split(), _sum),
    **dict.fromkeys("__mul__ __rmul__ __truediv__ div mul".split(), _product),
    **dict.fromkeys("hardsigmoid hardtanh relu6 softplus".split(), _rising("interval")),
    **dict.fromkeys("max_pool1d max_pool2d".split(), _rising("pick")),
    **dict.fromkeys("cat concat".split(), _joined),
    "batch_norm": _batch_norm,
    "dropout": _dropout,
    "elu": _elu,
    "leaky_relu": _leaky_relu,
    "neg": _negative,
    "relu": _rising("lines", _hinge),
    "sigmoid": _rising("lines", _sigmoid),
    "tanh": _rising("lines", _tanh),
    "where": _chosen,
}
