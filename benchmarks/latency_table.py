"""How well the table of operations predicts the latency of networks that are then exported.

Run: python -m benchmarks.latency_table

Every design of the portfolio, for four shapes of images and five of sequences, and designs drawn
from the spaces of the search: predicted without export, then exported, written and timed in ONNX
Runtime. What is compared is the time within which a tenth of the calls end, as in the table, since
others' work only adds to it; where nobody else computes, it is the median but for a few per cent.
The last column compares `latency_p50`, once, whatever the machine is doing.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from pathlib import Path

import torch

from netwright.artefact import to_onnx
from netwright.data import Input, Schema, Target, TensorSplit
from netwright.design import build_network, portfolio
from netwright.design.spaces import cell_space, macro_space
from netwright.measure import LatencyTable, Subject
from netwright.quantities import CATALOGUE
from netwright.quantities._shipped import raw_feeds, start

DRAWN = 4  # designs from each space, for each shape
SHAPES = {
    "image": ((1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64)),
    "sequence": ((1, 96), (6, 100), (3, 128), (12, 30), (1, 1000)),
}
BAND = 0.15


def drawn(schema):
    generator = torch.Generator().manual_seed(0)
    for space in (macro_space(schema), cell_space(schema)):
        for _ in range(DRAWN):
            sizes = (len(decision.options) for decision in space.decisions)
            yield space.design(
                tuple(int(torch.randint(n, (1,), generator=generator)) for n in sizes)
            )


def made_up(kind, shape):
    classes = tuple(f"class {k}" for k in range(10))
    statistics = {"mean": (0.4,) * shape[0], "std": (0.3,) * shape[0]}
    schema = Schema(Input(kind, shape, **statistics), Target("class", ("kind",), classes))
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (64, *shape), dtype=torch.uint8, generator=generator)
    x = x if kind == "image" else x.float() / 255
    return schema, TensorSplit(x, torch.zeros(64, dtype=torch.long), torch.arange(64))


def timed(table, network, schema, split, path):
    path.write_bytes(to_onnx(network, schema, sample=split.take([0, 1])))
    subject = Subject(schema, split, network, artefact=path)
    session = start(subject, "latency", 1)
    feeds = itertools.cycle(raw_feeds(session, subject, batch=1, most=64))
    found = min(table._times([lambda: session.run(None, next(feeds))])[0] for _ in range(4))
    return found, CATALOGUE["latency_p50"].measure(subject).value


def compare(table, kind, scratch):
    ratios, medians, exporting, predicting = [], [], [], []
    for shape in SHAPES[kind]:
        schema, split = made_up(kind, shape)
        size = "x".join(map(str, shape))
        for design in itertools.chain(portfolio(schema, 5000), drawn(schema)):
            network = build_network(design, schema, seed=0).eval()
            one = split.take([0])
            predicted = table.predict(network, one)  # entries that are new are measured here
            if predicted.unresolved:
                print(f"{design.name[:32]:34}{size:>10}  not known: {design.family}")
                continue
            began = time.perf_counter()
            table.predict(network, one)
            predicting.append(time.perf_counter() - began)
            began = time.perf_counter()
            found, median = timed(table, network, schema, split, scratch / "model.onnx")
            exporting.append(time.perf_counter() - began)
            ratios.append(predicted.value / found)
            medians.append(predicted.value / median)
            print(
                f"{design.name[:32]:34}{size:>10}{1e6 * predicted.value:>9.1f} µs"
                f"{1e6 * found:>9.1f} µs{ratios[-1]:>8.2f}{medians[-1]:>8.2f}"
            )
    within = sum(1 - BAND <= ratio <= 1 + BAND for ratio in ratios)
    errors = sorted(abs(ratio - 1) for ratio in ratios)
    print(
        f"{kind}s: {within} of {len(ratios)} within {BAND:.0%}; nine of ten within "
        f"{errors[-(-9 * len(errors) // 10) - 1]:.0%}; ratio {statistics.median(ratios):.2f}, "
        f"from {min(ratios):.2f} to {max(ratios):.2f}; of the median "
        f"{statistics.median(medians):.2f}, from {min(medians):.2f} to {max(medians):.2f}"
    )
    print(
        f"{kind}s: predicting takes {1e3 * statistics.median(predicting):.0f} ms a design with a "
        f"full table ({len(table.entries)} entries), exporting and timing "
        f"{statistics.median(exporting):.1f} s"
    )


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--keep", type=Path, help="folder of the table; else a new one")
    arguments.add_argument("--kind", choices=SHAPES, help="only images, or only sequences")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        table = LatencyTable(given.keep or Path(scratch))
        print(f"{'design':34}{'input':>10}{'predicted':>12}{'measured':>12}{'ratio':>8}{'p50':>8}")
        for kind in [given.kind] if given.kind else SHAPES:
            compare(table, kind, Path(scratch))


if __name__ == "__main__":
    main()
