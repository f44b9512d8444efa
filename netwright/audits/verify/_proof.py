"""Write a proof that a property holds, and have it checked.

A proof is a tree of cuts of each region's box whose leaves the independent checker can close by
itself, with bounds from scratch. It is larger than the search that decided the property: nothing is
inherited, no neuron is split, and every leaf has been put to the checker, in rounded arithmetic,
when it was made.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from netwright._files import write_atomically
from netwright.audits.verify import _checker
from netwright.audits.verify._linear_bounds import bound
from netwright.audits.verify._network import AffineReLU
from netwright.audits.verify._nodes import roots
from netwright.audits.verify._query import Query, queries
from netwright.audits.verify._search import looseness
from netwright.audits.verify._vnnlib import Property, Region

__all__ = ["ProofCheck", "check_proof", "prove", "write_proof"]

_FORMAT, _VERSION = "netwright proof", 1
_BATCH = 32
Cut = tuple[int, float]


@dataclass(frozen=True, slots=True)
class ProofCheck:
    """What the independent checker accepted.

    Attributes:
        n_leaves: boxes it bounded, each by itself.
        exact: whether in exact arithmetic.
        seconds: what it took.
    """

    n_leaves: int
    exact: bool
    seconds: float


def prove(
    network: AffineReLU, prop: Property, *, deadline: float = float("inf")
) -> list[list[Cut | None]] | None:
    """Make a tree of cuts for each region of a property that holds.

    Args:
        network: with exact weights.
        prop: a property that the search has shown to hold; without that this may never end.
        deadline: when to give up, on the clock of `time.perf_counter`.

    Returns:
        For each region a tree in preorder, (axis, place) for a cut and None for a leaf; None where
        the deadline passed or a box became too small to be cut.

    Raises:
        ValueError: if weights are known only up to an error (see `AffineReLU`).
    """
    _refuse_inexact(network)
    trees = []
    for region, query in zip(prop.regions, queries(prop), strict=True):
        tree = _tree(network, query, alternatives(region, prop), deadline)
        if tree is None:
            return None
        trees.append(tree)
    return trees


def write_proof(
    path: Path, network: AffineReLU, prop: Property, trees: Sequence[Sequence[Cut | None]]
) -> None:
    """Write a proof as JSON, numbers in hexadecimal so that none is rounded.

    Args:
        path: the file.
        network: what it is about.
        prop: what it shows.
        trees: as `prove` returns them.
    """
    content = {
        "format": _FORMAT,
        "version": _VERSION,
        "network": {"name": network.name, "sha256": _fingerprint(network)},
        "property": prop.name,
        "trees": [
            [None if cut is None else [cut[0], float(cut[1]).hex()] for cut in tree]
            for tree in trees
        ],
    }
    write_atomically(path, json.dumps(content))


def check_proof(
    path: Path | str, network: AffineReLU, prop: Property, *, exact: bool = False
) -> ProofCheck:
    """Have a proof checked by the independent checker.

    Args:
        path: a file that `write_proof` wrote.
        network: what it is about.
        prop: what it should show.
        exact: use exact arithmetic; some 20 times slower.

    Raises:
        ProofError: if the proof is of another network, or does not show the property.
        FileNotFoundError: if there is no such file.
    """
    start = time.perf_counter()
    _refuse_inexact(network)
    try:
        content = json.loads(Path(path).read_text())
        known = (content["format"], content["version"], content["network"]["sha256"])
        trees = [
            [None if cut is None else (int(cut[0]), float.fromhex(cut[1])) for cut in tree]
            for tree in content["trees"]
        ]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise _checker.ProofError(f"{path} is not a proof: {error!r}.") from error
    if known != (_FORMAT, _VERSION, _fingerprint(network)):
        raise _checker.ProofError(f"{path} is about another network, or of another version.")
    if len(trees) != len(prop.regions):
        raise _checker.ProofError(f"{path} is about another property.")
    n_leaves = 0
    for region, tree in zip(prop.regions, trees, strict=True):
        given = region.low, region.high, alternatives(region, prop)
        n_leaves += _checker.check_tree(network.weights, network.biases, given, tree, exact=exact)
    return ProofCheck(n_leaves, exact, time.perf_counter() - start)


def alternatives(region: Region, prop: Property) -> list[list[tuple[list, list, Fraction]]]:
    """Put a region's alternatives as the checker takes them.

    Args:
        region: of `prop`.
        prop: says how many inputs and outputs there are.
    """
    made = []
    for alternative in region.alternatives:
        rows = []
        for row in alternative:
            out, direct = [Fraction(0)] * prop.n_outputs, [Fraction(0)] * prop.n_inputs
            for j, c in row.outputs:
                out[j] = c
            for j, c in row.inputs:
                direct[j] = c
            rows.append((out, direct, row.bound))
        made.append(rows)
    return made


def _tree(
    network: AffineReLU, query: Query, given: list, deadline: float
) -> list[Cut | None] | None:
    cuts: dict[int, Cut | None] = {}  # children of node i are 2 i + 1 and 2 i + 2
    waiting = [(0, query.low, query.high)]
    while waiting:
        if time.perf_counter() > deadline:
            return None
        batch, waiting = waiting[-_BATCH:], waiting[:-_BATCH]
        nodes = roots(network, [replace(query, low=low, high=high) for _, low, high in batch])
        found = bound(nodes)
        member = np.broadcast_to(query.member, (len(batch), *query.member.shape))
        left = ~np.any(member & (found.low[:, 0, None] > 0), axis=2)
        width = (nodes.high[:, 0] - nodes.low[:, 0]) / 2
        p = np.arange(len(batch))
        influence, _ = looseness(found, p, 0 * p, member, left, width)
        for (place, low, high), done, share in zip(batch, ~left.any(1), influence, strict=True):
            if done and _checker.leaf_holds(network.weights, network.biases, low, high, given):
                cuts[place] = None
                continue
            middle = (low + high) / 2
            share = np.where((low < middle) & (middle < high), share, -1.0)
            axis = int(share.argmax())
            if share[axis] < 0:
                return None
            cuts[place] = (axis, float(middle[axis]))
            left, right = high.copy(), low.copy()
            left[axis] = right[axis] = middle[axis]
            waiting += [(2 * place + 2, right, high), (2 * place + 1, low, left)]
    order, stack = [], [0]
    while stack:
        place = stack.pop()
        order.append(cuts[place])
        if cuts[place] is not None:
            stack += [2 * place + 2, 2 * place + 1]
    return order


def _refuse_inexact(network: AffineReLU) -> None:
    if any(e is not None for e in (*network.weight_errors, *network.bias_errors)):
        raise ValueError(
            "A proof needs exact weights; this network's layers were multiplied out with rounding."
        )


def _fingerprint(network: AffineReLU) -> str:
    digest = hashlib.sha256()
    for array in (*network.weights, *network.biases):
        digest.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
