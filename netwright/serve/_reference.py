"""The training rows behind a model: what drift is measured against, and the nearest examples.

They are read from the data that the run was built on, since a run's folder holds row numbers alone.
Distance is measured where the network has done its work: in front of its last layer of weights.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from netwright import _rng
from netwright.artefact import ArtefactError, OnnxNetwork, read_onnx
from netwright.artefact._feed import raw_feed
from netwright.data import Schema, Split, load
from netwright.serve._drift import ANSWER, Profile, fit_profile, summarise
from netwright.serve._model import ServedModel

__all__ = ["Example", "Reference", "read_reference", "training_rows"]

_PROFILED = 20_000  # rows that statistics are made of
_SHOWN = 5_000  # rows among which the nearest are looked for
_VALUES = 25_000_000  # that sequences among them may hold, 100 MB
_TOGETHER = 256
_PLACES = 2048  # that words are hashed to


@dataclass(frozen=True, slots=True)
class Example:
    """A training row near to another.

    Attributes:
        row: its number in the source.
        truth: what it is, in words; a number for values.
        distance: Euclidean, in front of the last layer of weights; 0 for the same inside.
        content: uint8 pixels, the text, the values of a sequence, or the cells by column.
    """

    row: int
    truth: str
    distance: float
    content: Any


@dataclass(frozen=True, eq=False)
class Reference:
    """What is known of the training rows.

    Attributes:
        profile: what drift is measured against.
        where: in which space examples are near: the value in front of the last weights.
        n: training rows in all.
    """

    profile: Profile
    where: str
    n: int
    _embed: Callable[[Tensor], Tensor] | None
    _embedded: Float[Tensor, "rows features"]
    _rows: list[int]
    _truths: list[str]
    _contents: list[Any]

    def nearest(self, x: Tensor, k: int) -> tuple[tuple[Example, ...], ...]:
        """Find the training rows that the network finds most alike.

        Args:
            x: rows as the network receives them.
            k: how many for each.
        """
        if self._embed is None:
            return ((),) * len(x)
        distances = torch.cdist(self._embed(x), self._embedded)
        found, places = distances.topk(min(k, distances.shape[1]), dim=1, largest=False)
        return tuple(
            tuple(
                Example(self._rows[i], self._truths[i], round(d, 4), self._contents[i])
                for d, i in zip(near, at, strict=True)
            )
            for near, at in zip(found.tolist(), places.tolist(), strict=True)
        )


def read_reference(model: ServedModel, source: Any, *, seed: int = 0) -> Reference:
    """Learn what the training rows look like.

    Args:
        model: that was trained on them.
        source: anything that `load` reads; the rows that the run was built on.
        seed: of the split, unless the model is a run's; draws which rows are kept.

    Raises:
        DataError: if the source cannot be read.
        ValueError: if its training rows are not those of the run.
    """
    split, places = training_rows(model, source, seed=seed)
    generator = _rng.child(seed, "serve/reference")
    order = places[torch.randperm(len(places), generator=generator)]
    y = split.y
    several = {"class": False, "labels": True, "value": False, "values": True}
    joined: dict[str, list[Any]] = {}
    for part in order[:_PROFILED].split(_TOGETHER):
        summary = summarise(raw_feed(split.take(part), model.schema), model.schema)
        for name, values in summary.items():
            joined.setdefault(name, []).extend(values)
    truths = [_truth(y[i], model.schema) for i in order[:_PROFILED].tolist()]
    if not several[model.schema.target.kind]:
        joined[ANSWER] = [float(t) if model.outputs == "values" else t for t in truths]
    kept = order[: _shown(model.schema)]
    is_text = model.schema.input.kind == "text"
    embed, where = _embedder(model, split.take(kept) if is_text else None)
    contents, embedded = [], []
    for part in kept.split(_TOGETHER):
        x = split.take(part)
        contents += _contents(x, model.schema)
        if embed is not None:
            embedded.append(embed(x))
    return Reference(
        profile=fit_profile(joined),
        where=where,
        n=len(places),
        _embed=embed,
        _embedded=torch.cat(embedded) if embedded else torch.empty(0, 0),
        _rows=split.rows[kept].tolist(),
        _truths=truths[: len(kept)],
        _contents=contents,
    )


def _shown(schema: Schema) -> int:
    if schema.input.kind != "sequence":
        return _SHOWN
    return min(_SHOWN, max(100, _VALUES // math.prod(schema.input.shape)))


def training_rows(model: ServedModel, source: Any, *, seed: int = 0) -> tuple[Split, Tensor]:
    """Find the rows that a model was trained on.

    Args:
        model: the model.
        source: anything that `load` reads.
        seed: of the split, unless the model is a run's.

    Returns:
        The split that holds them, and their places in it.

    Raises:
        ValueError: if the source's training rows are not those of the run.
    """
    run = model.run
    task = load(source, schema=model.schema, seed=run.job["seed"] if run else seed)
    split = task.train
    if run is None:
        return split, torch.arange(len(split))
    wanted = _run_rows(run.folder)
    places = torch.from_numpy(np.flatnonzero(np.isin(split.rows.numpy(), wanted)))
    if len(places) < len(wanted) / 2:
        raise ValueError(
            f"`{source}` is not what {run.folder} was trained on: of its {len(wanted):,} training "
            f"rows {len(places):,} are found. Name the data with `--data`, or `--data none`."
        )
    return split, places


def _run_rows(folder: Path) -> np.ndarray:
    import pyarrow.parquet as pq

    table = pq.read_table(folder / "split.parquet").to_pydict()
    pairs = zip(table["row"], table["split"], strict=True)
    return np.array([row for row, name in pairs if name == "train"], np.int64)


def _embedder(
    model: ServedModel, texts: Tensor | None
) -> tuple[Callable[[Tensor], Tensor] | None, str]:
    try:
        network = read_onnx(model.path)
    except ArtefactError as error:
        return None, f"not to be had: {error}"
    name = _before_last_weights(network)
    fed = network.graph.inputs[0].name
    if name == fed and texts is not None:  # numbers of tokens have no distance
        if model.schema.input.tokens == "words":
            return _words_shared(texts, 1), "the words they share, rare ones first"
        return _words_shared(texts, 3), "the groups of three characters they share, rare ones first"

    @torch.no_grad()
    def embed(x: Tensor) -> Tensor:
        if name != fed:
            for node, made in network.trace({fed: x}):
                if name in node.outputs:
                    x = made[node.outputs.index(name)]
                    break
        return x.flatten(1).float().nan_to_num()

    return embed, "the input" if name == fed else "what the last layer of weights receives"


def _words_shared(texts: Tensor, together: int) -> Callable[[Tensor], Tensor]:
    """Make the map of texts to counts of groups of tokens, rare ones heavier, of length one."""

    def counts(x: Tensor) -> Tensor:
        groups = torch.zeros_like(x)
        for step in range(together):
            groups[:, : x.shape[1] - step] += x[:, step:] * 8191**step
        places = (groups * 2_654_435_761) % _PLACES  # Knuth's multiplicative hash
        found = torch.zeros(len(x), _PLACES).scatter_add_(1, places, (x > 0).float())
        return found.clamp_max(1)

    seen = torch.zeros(_PLACES)
    for part in texts.split(_TOGETHER):
        seen += counts(part).sum(0)
    weights = ((1 + len(texts)) / (1 + seen)).log()

    def embed(x: Tensor) -> Tensor:
        return torch.nn.functional.normalize(counts(x) * weights)

    return embed


def _before_last_weights(network: OnnxNetwork) -> str:
    graph = network.graph
    for node in reversed(graph.nodes):
        weighted = any(name in graph.initializers for name in node.inputs[1:2])
        if node.op in ("Gemm", "MatMul", "Conv") and weighted:
            return node.inputs[0]
    return graph.inputs[0].name


def _contents(x: Tensor, schema: Schema) -> list[Any]:
    feed = raw_feed(x, schema)
    if schema.input.kind in ("image", "sequence"):
        return list(feed[schema.input.kind])
    if schema.input.kind == "text":
        return [str(text) for text in feed["text"]]
    columns = [c.name for c in schema.input.columns]
    cells = [values.tolist() for values in feed.values()]
    return [
        {n: None if v != v or v == "" else v for n, v in zip(columns, row, strict=True)}
        for row in zip(*cells, strict=True)
    ]


def _truth(y: Tensor, schema: Schema) -> str:
    target = schema.target
    if target.kind == "class":
        return target.classes[int(y)]
    if target.kind == "labels":
        return ", ".join(n for n, v in zip(target.classes, y.tolist(), strict=True) if v) or "none"
    return ", ".join(f"{v:.6g}" for v in y.flatten().tolist())
