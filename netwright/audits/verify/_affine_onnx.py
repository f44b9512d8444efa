"""Take the affine layers and ReLUs out of an ONNX graph that is a chain of them.

Every linear operation (MatMul, Gemm, Conv, BatchNormalization, average pooling, reshaping, ...) is
put to the vectors of the standard basis in float64, which gives its matrix; neighbours are
multiplied out. What is rounded on the way is kept as an error bound beside the weights.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from netwright.artefact._file import load_model
from netwright.artefact._graph import Graph, Node, from_seam, parse_graph
from netwright.artefact._operators import OPERATORS, limitation
from netwright.audits.verify._network import AffineReLU, NetworkError
from netwright.audits.verify._rounding import gamma

__all__ = ["affine_relu", "read_affine"]

_COPIES = frozenset("Dropout Expand Flatten Identity Reshape Squeeze Transpose Unsqueeze".split())
# Additive constants of a linear operation, by place; left out while its matrix is taken.
_ADDED: Mapping[str, tuple[int, ...]] = {
    "Add": (0, 1),
    "AveragePool": (),
    "BatchNormalization": (2, 3),
    "Conv": (2,),
    "ConvTranspose": (2,),
    "Div": (),
    "Gemm": (2,),
    "GlobalAveragePool": (),
    "MatMul": (),
    "Mul": (),
    "Neg": (),
    "ReduceMean": (),
    "ReduceSum": (),
    "Sub": (0, 1),
}
_ANY_PLACE = frozenset({"Add", "MatMul", "Mul", "Sub"})
_MAX_ENTRIES = 40_000_000  # of a matrix: 320 MB


def read_affine(source: Path | str) -> AffineReLU:
    """Read an ONNX file whose network is a chain of linear operations and ReLUs.

    Args:
        source: the file.

    Raises:
        NetworkError: if the graph has another form; names the operation.
        ArtefactError: if the file is damaged.
        FileNotFoundError: if there is none.
    """
    path = Path(source)
    return affine_relu(from_seam(parse_graph(load_model(path))), name=path.stem)


def affine_relu(graph: Graph, *, name: str = "") -> AffineReLU:
    """Turn a parsed graph into matrices.

    Args:
        graph: from one input to one output.
        name: for people.

    Raises:
        NetworkError: if the graph is not a chain of linear operations and ReLUs.
    """
    constants = dict(graph.initializers)
    shape = tuple(d if isinstance(d, int) and d > 0 else 1 for d in graph.inputs[0].shape or ())
    if not shape or shape[0] != 1:
        raise NetworkError(f"The input must be one row, with a batch axis; its shape is {shape}.")
    current = graph.inputs[0].name
    done: list[_Map] = []
    open_map: _Map | None = None
    for node in graph.nodes:
        moving = [n for n in node.inputs if n and n not in constants]
        if not moving:
            _fold(node, constants)
        elif set(moving) != {current} or len(moving) > 1:
            raise NetworkError(f"{node.label} joins several branches; this prover takes a chain.")
        else:
            if node.op == "Relu":
                done.append(open_map or _identity(math.prod(shape)))
                open_map = None
            else:
                step, shape = _map_of(node, current, constants, shape)
                open_map = step if open_map is None else _compose(step, open_map)
            current = node.outputs[0]
    if current != graph.outputs[0].name:
        raise NetworkError(f"The output `{graph.outputs[0].name}` is not the end of the chain.")
    done.append(open_map or _identity(math.prod(shape)))
    return AffineReLU(
        tuple(m.weight for m in done),
        tuple(m.bias for m in done),
        tuple(m.weight_error for m in done),
        tuple(m.bias_error for m in done),
        name,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Map:
    """`weight x + bias`, each entry within its error."""

    weight: np.ndarray
    bias: np.ndarray
    weight_error: np.ndarray | None = None
    bias_error: np.ndarray | None = None


def _identity(width: int) -> _Map:
    return _Map(np.eye(width), np.zeros(width))


def _compose(second: _Map, first: _Map) -> _Map:
    size, unit = np.abs(second.weight), _unit(second.weight)
    n = _roundings(second.weight, first.weight, unit or _unit(first.weight))
    n_bias = _roundings(second.weight, first.bias[:, None], unit)
    if n_bias == 0 and (second.bias.any() and first.bias.any()):
        n_bias = 1
    zero = np.zeros(())
    error, bias_error = (zero if e is None else e for e in (first.weight_error, first.bias_error))
    own, own_bias = (zero if e is None else e for e in (second.weight_error, second.bias_error))
    slack = 1 + gamma(second.weight.shape[1] + 8)  # the errors themselves are rounded
    moved = gamma(n) * (size @ np.abs(first.weight)) + _times(size, error)
    moved += _times(own, np.abs(first.weight) + error)
    moved_bias = gamma(n_bias + 1) * (size @ np.abs(first.bias) + np.abs(second.bias))
    moved_bias = (moved_bias if n_bias else 0 * moved_bias) + own_bias + _times(size, bias_error)
    moved_bias += _times(own, np.abs(first.bias) + bias_error)
    return _Map(
        second.weight @ first.weight,
        second.weight @ first.bias + second.bias,
        moved * slack if moved.any() else None,
        moved_bias * slack if moved_bias.any() else None,
    )


def _unit(matrix: np.ndarray) -> bool:
    return bool(np.isin(matrix, (-1.0, 0.0, 1.0)).all())


def _roundings(a: np.ndarray, b: np.ndarray, unit: bool) -> int:
    """Count the roundings in an entry of `a @ b`; none where it is one stored number."""
    terms = int(((a != 0).astype(float) @ (b != 0).astype(float)).max(initial=0.0))
    return 0 if terms == 0 or (terms == 1 and unit) else terms + 1


def _times(a: np.ndarray, b: np.ndarray) -> np.ndarray | float:
    return a @ b if a.ndim and b.ndim else 0.0


def _fold(node: Node, constants: dict[str, Tensor]) -> None:
    if node.op not in OPERATORS:
        raise NetworkError(f"{node.label} cannot be computed.")
    made = OPERATORS[node.op](node, *(constants.get(n) for n in node.inputs))
    outputs = made if isinstance(made, tuple) else (made,)
    constants.update({n: t for n, t in zip(node.outputs, outputs) if n})  # type: ignore[misc]  # noqa: B905


def _map_of(
    node: Node, current: str, constants: dict[str, Tensor], shape: tuple[int, ...]
) -> tuple[_Map, tuple[int, ...]]:
    place = node.inputs.index(current)
    limit = limitation(node, Graph((node,), constants, (), (), None, {}))
    if limit:
        raise NetworkError(f"{node.label} with {limit} cannot be taken.")
    if node.op not in (*_COPIES, *_ADDED) or (place and node.op not in _ANY_PLACE):
        raise NetworkError(f"{node.label} is not a linear operation or a ReLU.")
    fixed = [constants.get(n) for n in node.inputs]
    fixed = [f.double() if f is not None and f.is_floating_point() else f for f in fixed]
    try:
        if node.op in _COPIES:
            places = torch.arange(math.prod(shape), dtype=torch.float64)
            made = _run(node, fixed, place, places.reshape(shape))
            weight = np.eye(len(places))[made.reshape(-1).long().numpy()]
            return _Map(weight, np.zeros(len(weight))), tuple(made.shape)
        return _probe(node, fixed, place, shape)
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError) as error:
        if isinstance(error, NetworkError):
            raise
        raise NetworkError(
            f"{node.label} cannot take an input of shape {shape}: {error}"
        ) from error


def _probe(
    node: Node, fixed: list[Tensor | None], place: int, shape: tuple[int, ...]
) -> tuple[_Map, tuple[int, ...]]:
    width = math.prod(shape)
    offset = _run(node, fixed, place, torch.zeros(shape, dtype=torch.float64))
    if width * offset.numel() > _MAX_ENTRIES:
        raise NetworkError(
            f"{node.label} maps {width} numbers to {offset.numel()}: too many for a matrix."
        )
    bare = list(fixed)
    for i in _ADDED[node.op]:
        if i != place and i < len(bare) and bare[i] is not None:
            bare[i] = None if node.op in ("Gemm", "Conv", "ConvTranspose") else fixed[i] * 0.0  # type: ignore[operator]
    basis = torch.eye(width, dtype=torch.float64).reshape(width, *shape)
    columns = torch.vmap(lambda x: _run(node, bare, place, x).reshape(-1), chunk_size=1024)(basis)
    weight, bias = columns.T.contiguous().numpy(), offset.reshape(-1).numpy()
    # A matrix taken so is made of the stored weights themselves unless one of these computes:
    relative = {"Div": 2, "BatchNormalization": 10, "ReduceMean": 2, "GlobalAveragePool": 2}
    n = relative.get(node.op, width + 2 if node.op == "AveragePool" else 0)
    if node.op == "Gemm" and (node.get("alpha", 1.0), node.get("beta", 1.0)) != (1.0, 1.0):
        n = 2
    bias_error = gamma(n) * _bias_size(node, fixed, bias, shape) if n and bias.any() else None
    return _Map(weight, bias, gamma(n) * np.abs(weight) if n else None, bias_error), tuple(
        offset.shape
    )


def _bias_size(
    node: Node, fixed: list[Tensor | None], bias: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """Bound the terms whose sum is the bias; more than the bias where they cancel."""
    if node.op != "BatchNormalization":
        return np.abs(bias)
    scale, shift, mean, variance = (f.numpy() for f in fixed[1:5])  # type: ignore[union-attr]
    terms = np.abs(shift) + np.abs(mean * scale) / np.sqrt(variance + node.get("epsilon", 1e-5))
    spread = terms.reshape(1, -1, *[1] * (len(shape) - 2))
    return np.broadcast_to(spread, shape).reshape(-1) * (1 + gamma(6))


def _run(node: Node, fixed: list[Tensor | None], place: int, x: Tensor) -> Tensor:
    arguments = list(fixed)
    arguments[place] = x
    while arguments and arguments[-1] is None:
        arguments.pop()
    made = OPERATORS[node.op](node, *arguments)
    return made[0] if isinstance(made, tuple) else made  # type: ignore[return-value]
