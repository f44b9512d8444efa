"""What a network costs, layer by layer: parameters, multiply-accumulates, output bytes.

Counted is every multiplication that is added to a sum by one of these operators, whatever module or
function calls them: convolutions of all kinds (grouped, dilated, transposed; padding included, as
if it were data), matrix products (mm, addmm, bmm, baddbmm, addbmm, mv, addmv, dot, and what reduces
to them: linear layers, einsum, recurrent layers step by step) and scaled dot-product attention
(masks do not save work). Not counted: biases, activations, normalisation, pooling, element-wise
products, interpolation, `bilinear`, and embeddings, which look up and multiply nothing.

On operators that `torch.utils.flop_counter` also counts, the numbers are half of its own to the
unit.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from jaxtyping import Num
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["LayerCost", "LayerCosts", "macs", "parameters"]

_aten = torch.ops.aten


@dataclass(frozen=True, slots=True)
class LayerCost:
    """One operator of one module, over all its calls in one forward pass.

    Attributes:
        path: the module's name inside the network; empty for the network itself.
        kind: the module's class.
        operator: the counted operator, for example "convolution"; for a module without one, the
            last operator that it ran; empty if it never ran.
        parameters: numbers held by the module itself, on its first row only; shared ones once.
        parameter_bytes: bytes of those.
        macs: multiply-accumulates.
        calls: how often the operator ran.
        output_shape: of the module's last output, with the batch axis; empty if it never ran.
        output_bytes: of all the module's outputs, on its first row only.
    """

    path: str
    kind: str
    operator: str
    parameters: int
    parameter_bytes: int
    macs: int
    calls: int
    output_shape: tuple[int, ...]
    output_bytes: int


@dataclass(frozen=True, slots=True)
class LayerCosts:
    """What one forward pass costs.

    Attributes:
        rows: modules in the order of their first call, then those that hold parameters and never
            ran; modules that only pass on have no row.
        batch: examples in the batch that was counted; `macs` and output bytes are for all of them.
        input_bytes: bytes of the batch itself.
    """

    rows: tuple[LayerCost, ...]
    batch: int
    input_bytes: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the whole pass."""
        return sum(row.macs for row in self.rows)

    @property
    def macs_per_example(self) -> float:
        """Multiply-accumulates of one example."""
        return self.macs / self.batch

    @property
    def parameters(self) -> int:
        """Parameters of the network, shared ones once."""
        return sum(row.parameters for row in self.rows)

    @property
    def parameter_bytes(self) -> int:
        """Bytes of the parameters."""
        return sum(row.parameter_bytes for row in self.rows)

    @property
    def output_bytes(self) -> int:
        """Bytes of all layers' outputs together, as a training step keeps them."""
        return sum(row.output_bytes for row in self.rows)


def parameters(network: nn.Module) -> int:
    """Count the network's parameters; one that is used twice counts once.

    Args:
        network: any module.

    Example:
        >>> parameters(nn.Linear(3, 2))
        8
    """
    return sum(p.numel() for p in network.parameters())


@torch.no_grad()
def macs(network: nn.Module, x: Num[Tensor, "batch *input"]) -> LayerCosts:
    """Run a network once, in eval mode, and count what each layer costs.

    Training mode, hooks and torch's switches for fused kernels are left as they were.

    Args:
        network: any module that takes one tensor; buffers that it updates in eval mode are its own
            affair.
        x: a batch of inputs; values matter only where they steer the computation.

    Raises:
        ValueError: if `x` has no rows.

    Cost: one forward pass, with fused kernels off.

    Example:
        >>> costs = macs(nn.Sequential(nn.Linear(8, 4), nn.ReLU()), torch.zeros(1, 8))
        >>> costs.macs, [row.operator for row in costs.rows]
        (32, ['addmm', 'relu'])
    """
    if not len(x):
        raise ValueError("`x` must hold at least one row; got none.")
    recorder = _Recorder(network)
    with _eval_mode(network), _plain_kernels(), recorder.hooks(), recorder:
        network(x)
    return LayerCosts(tuple(recorder.rows()), len(x), x.numel() * x.element_size())


@dataclass
class _Layer:
    """A module as it is being watched."""

    module: nn.Module
    macs: dict[str, int] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    last: str = ""
    output_shape: tuple[int, ...] = ()
    output_bytes: int = 0


class _Recorder(TorchDispatchMode):
    """Sees every operator that reaches the backend, and books it on the innermost module."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._paths = {module: path for path, module in network.named_modules()}
        self._layers: dict[str, _Layer] = {}
        self._stack = [""]
        self._network = network

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        count = _COUNTS.get(func.overloadpacket)
        if count is None:
            with self:  # composite operators arrive whole under inference mode
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result = func(*args, **kwargs)
        layer = self._layer(self._stack[-1])
        name = func.overloadpacket.__name__
        if count is None:
            layer.last = name
        else:
            name = name.strip("_")
            layer.macs[name] = layer.macs.get(name, 0) + count(result, *args, **kwargs)
            layer.calls[name] = layer.calls.get(name, 0) + 1
        return result

    @contextmanager
    def hooks(self) -> Iterator[None]:
        """Keep the stack of running modules."""
        handles = []
        try:
            for module in self._paths:
                handles.append(module.register_forward_pre_hook(self._enter))
                handles.append(module.register_forward_hook(self._leave))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def rows(self) -> Iterator[LayerCost]:
        """Give one row for each module and counted operator."""
        counted: set[nn.Parameter] = set()
        for module, path in self._paths.items():
            if any(p is not None for p in module._parameters.values()):
                self._layer(path)  # also those that never ran
        for path, layer in self._layers.items():
            own = [p for p in layer.module._parameters.values() if p is not None]
            own = [p for p in dict.fromkeys(own) if p not in counted]
            counted.update(own)
            leaf = not any(True for _ in layer.module.children())
            if not (own or layer.macs or (leaf and layer.last)):
                continue
            for place, operator in enumerate(layer.macs or [layer.last]):
                first = place == 0
                yield LayerCost(
                    path=path,
                    kind=type(layer.module).__name__,
                    operator=operator,
                    parameters=sum(p.numel() for p in own) if first else 0,
                    parameter_bytes=sum(p.numel() * p.element_size() for p in own) if first else 0,
                    macs=layer.macs.get(operator, 0),
                    calls=layer.calls.get(operator, int(bool(operator))),
                    output_shape=layer.output_shape,
                    output_bytes=layer.output_bytes if first else 0,
                )

    def _layer(self, path: str) -> _Layer:
        if path not in self._layers:
            self._layers[path] = _Layer(self._network.get_submodule(path))
        return self._layers[path]

    def _enter(self, module: nn.Module, args: Any) -> None:
        self._stack.append(self._paths[module])
        self._layer(self._paths[module])

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        self._stack.pop()
        tensors = [t for t in tree_leaves(output) if isinstance(t, Tensor)]
        layer = self._layer(self._paths[module])
        layer.output_bytes += sum(t.numel() * t.element_size() for t in tensors)
        if tensors:
            layer.output_shape = tuple(tensors[0].shape)


@contextmanager
def _eval_mode(network: nn.Module) -> Iterator[None]:
    before = {module: module.training for module in network.modules()}
    try:
        network.eval()
        yield
    finally:
        for module, training in before.items():
            module.training = training


@contextmanager
def _plain_kernels() -> Iterator[None]:
    """Keep torch from fusing whole recurrent and attention layers into one operator."""
    fast, fused = torch.backends.mha.get_fastpath_enabled(), torch.backends.mkldnn.enabled
    on_gpu = torch.backends.cudnn.enabled
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        torch.backends.cudnn.enabled = False
        torch.backends.mkldnn.enabled = False  # type: ignore[assignment]  # a property at run time
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        torch.backends.cudnn.enabled = on_gpu
        torch.backends.mkldnn.enabled = fused  # type: ignore[assignment]


def _product(result: Tensor, a: Tensor, b: Tensor, *_: Any, **__: Any) -> int:
    return a.numel() * (b.shape[-1] if b.ndim > 1 else 1)


def _product_added(result: Tensor, added: Tensor, a: Tensor, b: Tensor, *_: Any, **__: Any) -> int:
    return _product(result, a, b)


def _convolution(
    result: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    *_: Any,
    **__: Any,
) -> int:
    # A transposed convolution multiplies its whole kernel once for each input position.
    positions = (x if transposed else result).shape[2:]
    return x.shape[0] * prod(positions) * weight.numel()


def _attention(result: Any, query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> int:
    *heads, length, _width = query.shape
    return prod(heads) * length * key.shape[-2] * (key.shape[-1] + value.shape[-1])


_COUNTS: dict[Any, Callable[..., int]] = {
    **dict.fromkeys((_aten.mm, _aten.bmm, _aten.mv, _aten.dot, _aten.vdot), _product),
    **dict.fromkeys((_aten._scaled_mm, _aten._int_mm), _product),
    **dict.fromkeys((_aten.addmm, _aten.baddbmm, _aten.addbmm, _aten.addmv), _product_added),
    _aten._addmm_activation: _product_added,
    **dict.fromkeys((_aten.convolution, _aten._convolution), _convolution),
    _aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    _aten._scaled_dot_product_flash_attention: _attention,
    _aten._scaled_dot_product_efficient_attention: _attention,
    _aten._scaled_dot_product_cudnn_attention: _attention,
}
