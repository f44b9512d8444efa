"""Draw a network as a chain of blocks, with the shape that leaves each and its parameters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import torch
from torch import Tensor, nn

from netwright import nn as layers
from netwright.data._schema import Schema
from netwright.design._build_network import build_network
from netwright.design._design import Design
from netwright.design._draw_graph import Graph, draw_graph, graph_of, height_of
from netwright.design.families._cell_graph import Cell
from netwright.design.families._macro_layers import SkipStack
from netwright.design.families._steps import (
    MeanOverSteps,
    OverWords,
    StepsWithin,
    WordsWithin,
)
from netwright.design.families._tiny_cells import TinyCell

__all__ = ["Block", "blocks_of", "draw"]

_WIDTH, _LEFT, _ROW, _GAP = 420, 16, 48, 16
_DEEPEST = 6
# Blocks that are shown whole, and how a person would call them.
_NAMES: dict[type, Callable[[nn.Module], str]] = {
    layers.ConvNorm: lambda m: _convolution(m[0]) + (", ReLU" if len(m) > 2 else ""),  # type: ignore
    layers.ConvNorm1d: lambda m: _convolution(m[0]) + (", ReLU" if len(m) > 2 else ""),  # type: ignore
    layers.Residual: lambda m: f"residual {_convolution(m.branch[0][0])}",  # type: ignore
    layers.Separable: lambda m: f"separable {_convolution(m[0][0])}",  # type: ignore
    layers.SqueezeExcitation: lambda m: "squeeze and excitation",
    Cell: lambda m: f"cell of {len(m.inputs)} node{'s' * (len(m.inputs) > 1)}",  # type: ignore
    TinyCell: lambda m: "cell of two nodes",
    layers.GlobalPool: lambda m: "average over the image",
    layers.Normalise: lambda m: "normalise each channel",
    layers.StandardiseSeries: lambda m: "standardise each channel, mark gaps",
    layers.KernelBank: lambda m: f"linear in responses of {84 * len(m.dilations)} fixed kernels",  # type: ignore
    layers.LogMel: lambda m: f"log-mel spectrogram, {m.n_bands} bands",  # type: ignore
    layers.Around: lambda m: f"residual, {_inside(m)}",
    layers.Denormalise: lambda m: "back to the target's units",
    layers.TableEncoder: lambda m: _columns(m),
    layers.NgramBag: lambda m: f"sum over n-grams of up to {m.longest} tokens",  # type: ignore
    layers.NaiveBayesBag: lambda m: f"linear in n-grams of up to {m.bag.longest} tokens",  # type: ignore
    layers.TextConvolution: lambda m: _filters(m),
    layers.TransformerBlock: lambda m: f"attention ({m.attention.n_heads} heads) + network",  # type: ignore
    layers.BatchEnsembleLinear: lambda m: f"{len(m.bias)} linear maps, shared weights",  # type: ignore
    layers.LinearEach: lambda m: f"{len(m.weight)} linear maps",  # type: ignore
    nn.Linear: lambda m: f"linear, {m.in_features} to {m.out_features}",
    nn.Conv1d: lambda m: _convolution(m),  # type: ignore
    nn.Conv2d: lambda m: _convolution(m),  # type: ignore
    nn.AvgPool1d: lambda m: _pool(m, "mean", "steps"),
    nn.AvgPool2d: lambda m: _pool(m, "mean", "pixels"),
    nn.MaxPool1d: lambda m: _pool(m, "maximum", "steps"),
    nn.MaxPool2d: lambda m: _pool(m, "maximum", "pixels"),
    nn.Embedding: lambda m: f"vectors of {m.num_embeddings:,} words",
    nn.GRU: lambda m: f"GRU, state of {m.hidden_size}",
    nn.BatchNorm1d: lambda m: "batch normalisation",
    nn.LayerNorm: lambda m: "layer normalisation",
    MeanOverSteps: lambda m: "average over the steps",
    OverWords: lambda m: "average and maximum over the words",
}
_UNSEEN = (
    nn.Dropout,
    nn.ConstantPad1d,
    layers.BandDropout,
    layers.TokenDropout,
    layers.StochasticDepth,
    nn.Identity,
    StepsWithin,
    WordsWithin,
)
_ACTIVATIONS = (nn.ReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid)  # written on the box before
_MIXING = (
    Cell,
    TinyCell,
    layers.Around,
    layers.KernelBank,
    layers.ConvNorm,
    layers.ConvNorm1d,
    layers.Residual,
    layers.Separable,
    layers.TransformerBlock,
    layers.BatchEnsembleLinear,
    layers.LinearEach,
    layers.NaiveBayesBag,
    layers.NgramBag,
    layers.TextConvolution,
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.GRU,
)


@dataclass(frozen=True, slots=True)
class Block:
    """One box of the drawing.

    Attributes:
        path: name of the module inside the network.
        label: what it does, in words.
        shape: of what leaves it, without the batch axis.
        n_parameters: weights that are trained.
        is_mixing: whether it combines its inputs by learned weights.
        is_residual: whether its input is carried around it.
        graph: what is inside a cell; None for others.
    """

    path: str
    label: str
    shape: tuple[int, ...]
    n_parameters: int
    is_mixing: bool = False
    is_residual: bool = False
    graph: Graph | None = None


def blocks_of(network: nn.Module, schema: Schema) -> tuple[Block, ...]:
    """List the blocks of a network in the order in which they run.

    Args:
        network: a plain module for the schema's inputs; runs once, in eval mode, on zeros.
        schema: of the task.
    """
    shown = dict(_shown(network, "", 0))
    ran: list[tuple[str, nn.Module, tuple[int, ...]]] = []

    def note(path: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            first = output if isinstance(output, Tensor) else output[0]  # type: ignore[index]
            ran.append((path, module, tuple(first.shape[1:])))

        return hook

    handles = [module.register_forward_hook(note(path)) for path, module in shown.items()]
    was_training = network.training
    try:
        with torch.no_grad():
            network.eval()(_example(network, schema))
    finally:
        for handle in handles:
            handle.remove()
        network.train(was_training)
    skips = _skips(network, [path for path, _, _ in ran])
    blocks: list[Block] = []
    for path, module, shape in ran:
        if isinstance(module, _ACTIVATIONS) and blocks:
            label = f"{blocks[-1].label}, {type(module).__name__}"
            blocks[-1] = replace(blocks[-1], label=label)
            continue
        block = Block(
            path=path,
            label=_label(module) + skips.pop(path, ""),
            shape=shape,
            n_parameters=sum(p.numel() for p in module.parameters()),
            is_mixing=isinstance(module, _MIXING),
            is_residual=isinstance(
                module, layers.Around | layers.Residual | layers.TransformerBlock
            ),
            graph=graph_of(module),
        )
        blocks.append(block)
    return tuple(blocks)


def draw(network: nn.Module | Design, schema: Schema) -> str:
    """Draw a network as SVG.

    Args:
        network: a module, or the design of one.
        schema: of the task.

    Returns:
        An `<svg>` element for a web page: it takes its colours from the page's variables `--ink`,
        `--surface` and `--accent` where they are set, and describes itself in words.
    """
    if isinstance(network, Design):
        network = build_network(network, schema, seed=0)
    blocks = blocks_of(network, schema)
    total = sum(p.numel() for p in network.parameters())
    first = Block("input", f"{schema.input.kind} input", schema.input.shape, 0)
    meaning = {"class": "one logit a class", "labels": "one logit a label"}
    outcome = meaning.get(schema.target.kind, "values in the target's units")
    last = Block("output", outcome, (schema.target.width,), 0)
    chain = (first, *blocks, last)
    tops = [6]
    for block in chain:
        tops.append(tops[-1] + _height(block) + _GAP)
    height = tops[-1] + 6
    story = "; ".join(f"{b.path}: {b.label}, {_sizes(b)}" for b in chain)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-labelledby="network-title network-story" '
        f'style="width:100%;max-width:{_WIDTH}px;height:auto;font-family:inherit">',
        f'<title id="network-title">The network: {len(blocks)} blocks, {total:,} parameters'
        f"</title>",
        f'<desc id="network-story">{escape(story)}</desc>',
        '<defs><marker id="network-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z" '
        'style="fill:var(--ink,#1f2328)"/></marker></defs>',
    ]
    for place, block in enumerate(chain):
        parts += _box(block, tops[place], last=place == len(chain) - 1)
    return "".join([*parts, "</svg>"])


def _box(block: Block, top: int, *, last: bool) -> list[str]:
    width, tall = _WIDTH - 2 * _LEFT - 28, _height(block)
    fill = "var(--accent,#0b6bcb)" if block.is_mixing else "var(--ink,#1f2328)"
    strength = 0.14 if block.is_mixing else 0.05
    middle = _LEFT + width // 2
    ink = "fill:var(--ink,#1f2328)"
    parts = [
        f"<g><title>{escape(block.path)}: {escape(block.label)}, {escape(_sizes(block))}</title>",
        f'<rect x="{_LEFT}" y="{top}" width="{width}" height="{tall}" rx="8" '
        f'style="fill:var(--surface,#ffffff)"/>',
        f'<rect x="{_LEFT}" y="{top}" width="{width}" height="{tall}" rx="8" '
        f'style="fill:{fill};fill-opacity:{strength};stroke:{fill};stroke-opacity:.55"/>',
        f'<text x="{_LEFT + 12}" y="{top + 20}" font-size="13" font-weight="600" style="{ink}">'
        f"{escape(_short(block.label, 50))}</text>",
        f'<text x="{_LEFT + 12}" y="{top + 38}" font-size="12" '
        f'style="{ink};fill-opacity:.72">{escape(_sizes(block))}</text>',
        f'<text x="{_LEFT + width - 12}" y="{top + 38}" font-size="11" text-anchor="end" '
        f'style="{ink};fill-opacity:.72">{escape(_short(block.path, 22))}</text>',
    ]
    if block.graph is not None:
        parts.append(draw_graph(block.graph, _LEFT, top + _ROW, width))
    if block.is_residual:  # the way around
        right = _LEFT + width
        parts.append(
            f'<path d="M{right} {top + 6} h14 q8 0 8 8 v{_ROW - 28} q0 8 -8 8 h-12" '
            f'marker-end="url(#network-arrow)" style="fill:none;stroke:var(--ink,#1f2328);'
            f'stroke-width:1.5"/>'
        )
    if not last:
        parts.append(
            f'<path d="M{middle} {top + tall} v{_GAP - 1}" marker-end="url(#network-arrow)" '
            f'style="stroke:var(--ink,#1f2328);stroke-width:1.5"/>'
        )
    return [*parts, "</g>"]


def _height(block: Block) -> int:
    return _ROW + (height_of(block.graph) if block.graph is not None else 0)


def _shown(module: nn.Module, path: str, depth: int) -> list[tuple[str, nn.Module]]:
    found = []
    for name, child in module.named_children():
        inner = f"{path}.{name}" if path else name
        if isinstance(child, _UNSEEN):
            continue
        whole = type(child) in _NAMES or not any(True for _ in child.children())
        if whole or depth >= _DEEPEST:
            found.append((inner, child))
        else:
            found += _shown(child, inner, depth + 1)
    return found


def _skips(network: nn.Module, ran: Sequence[str]) -> dict[str, str]:
    """For the first block of each layer with skip connections: which earlier layers it reads."""
    found = {}
    for path, stack in network.named_modules():
        for number, skips in enumerate(stack.skips if isinstance(stack, SkipStack) else ()):
            layer = f"{path}.layers.{number}"
            inside = [name for name in ran if f"{name}.".startswith(f"{layer}.")]
            if skips and inside:
                found[inside[0]] = f", reads layer {' and '.join(map(str, skips))} too"
    return found


def _example(network: nn.Module, schema: Schema) -> Tensor:
    like = next((p for p in network.parameters() if p.is_floating_point()), torch.zeros(()))
    kind = torch.int64 if schema.input.kind == "text" else like.dtype
    return torch.zeros((1, *schema.input.shape), dtype=kind, device=like.device)


def _inside(block: Any) -> str:
    """Describe the branch of a residual block."""
    first = block.branch[0]
    if isinstance(first, layers.Inception):
        parts: Any = first.parts  # a list of convolutions
        kernels = ", ".join(str(part.kernel_size[0]) for part in parts)
        return f"{len(block.branch)} inceptions of {kernels} steps"
    kernels = ["×".join(map(str, layer[0].kernel_size)) for layer in block.branch]  # type: ignore
    width = block.branch[-1][0].out_channels
    halved = ", halves" if block.stride == 2 else ""
    return f"kernels {', '.join(kernels)}, {width} channels{halved}"


def _label(module: nn.Module) -> str:
    if type(module) in _NAMES:
        return _NAMES[type(module)](module)
    return type(module).__name__


def _sizes(block: Block) -> str:
    shape = " × ".join(str(size) for size in block.shape) or "1"
    return f"{shape} · {block.n_parameters:,} parameters" if block.n_parameters else shape


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _convolution(module: nn.Conv1d | nn.Conv2d) -> str:
    size = "×".join(str(k) for k in module.kernel_size)
    halved = ", halves" if module.stride[0] == 2 else ""
    if isinstance(module, nn.Conv1d):
        size += "-step"
        halved = (f", {module.dilation[0]} apart" if module.dilation[0] > 1 else "") + halved
    if 1 < module.groups == module.in_channels:
        return f"{size} convolution of each of {module.in_channels} channels{halved}"
    return f"{size} convolution, {module.out_channels} channels{halved}"


def _pool(module: Any, what: str, of: str) -> str:
    size, stride = (v if isinstance(v, int) else v[0] for v in (module.kernel_size, module.stride))
    over = f"{size}×{size} {of}" if of == "pixels" else f"{size} {of}"
    return f"{what} over {over}" + (", halves" if stride == 2 else "")


def _filters(module: nn.Module) -> str:
    windows = [each[1].kernel_size[0] for each in module.filters]  # type: ignore
    listed = ", ".join(str(window) for window in windows)
    return f"{module.out_features} filters over {listed} tokens, maximum"


def _columns(module: nn.Module) -> str:
    numbers = len(module.number_places)  # type: ignore[arg-type]
    categories = len(module.category_places)  # type: ignore[arg-type]
    booleans = len(module.boolean_places)  # type: ignore[arg-type]
    kinds = [(numbers, "number"), (booleans, "boolean"), (categories, "category")]
    plural = {"number": "numbers", "boolean": "booleans", "category": "categories"}
    return "encode " + ", ".join(
        f"{n} {kind if n == 1 else plural[kind]}" for n, kind in kinds if n
    )
