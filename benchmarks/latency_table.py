"""How well the table of operations predicts the latency of networks that are then exported.

Run: python -m benchmarks.latency_table

Every image design of the portfolio, for four shapes of images, and designs drawn from the spaces of
the search: predicted without export, then exported, written and timed in ONNX Runtime.
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

DRAWN = 4  # designs from each space, for each shape
SHAPES = ((1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64))
BAND = 0.15


def drawn(schema):
    generator = torch.Generator().manual_seed(0)
    for space in (macro_space(schema), cell_space(schema)):
        for _ in range(DRAWN):
            sizes = (len(decision.options) for decision in space.decisions)
            yield space.design(
                tuple(int(torch.randint(n, (1,), generator=generator)) for n in sizes)
            )


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--keep", type=Path, help="folder of the table; else a new one")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        table = LatencyTable(given.keep or Path(scratch))
        ratios, exporting, predicting = [], [], []
        print(f"{'design':34}{'image':>12}{'predicted':>12}{'measured':>12}{'ratio':>8}")
        for shape in SHAPES:
            classes = tuple(f"class {k}" for k in range(10))
            mean = (0.4,) * shape[0]
            schema = Schema(
                Input("image", shape, mean=mean, std=(0.3,) * shape[0]),
                Target("class", ("kind",), classes),
            )
            x = torch.randint(0, 256, (64, *shape), dtype=torch.uint8)
            split = TensorSplit(x, torch.zeros(64, dtype=torch.long), torch.arange(64))
            for design in itertools.chain(portfolio(schema, 5000), drawn(schema)):
                network = build_network(design, schema, seed=0).eval()
                one = split.take([0])
                table.predict(network, one)  # entries that are new are measured here
                began = time.perf_counter()
                predicted = table.predict(network, one)
                predicting.append(time.perf_counter() - began)
                began = time.perf_counter()
                path = Path(scratch) / "model.onnx"
                path.write_bytes(to_onnx(network, schema, sample=split.take([0, 1])))
                measure = CATALOGUE["latency_p50"].measure
                subject = Subject(schema, split, network, artefact=path)
                found = min(measure(subject).value for _ in range(3))
                exporting.append(time.perf_counter() - began)
                ratios.append(predicted.value / found)
                size = "x".join(map(str, shape))
                print(
                    f"{design.name[:32]:34}{size:>12}{1e6 * predicted.value:>9.1f} µs"
                    f"{1e6 * found:>9.1f} µs{ratios[-1]:>8.2f}  {predicted.unresolved}"
                )
        within = sum(1 - BAND <= ratio <= 1 + BAND for ratio in ratios)
        print(
            f"{within} of {len(ratios)} within {BAND:.0%}; median ratio "
            f"{statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}"
        )
        print(
            f"predicting takes {1e3 * statistics.median(predicting):.0f} ms a design with a full "
            f"table ({len(table.entries)} entries), exporting and timing thrice "
            f"{statistics.median(exporting):.1f} s"
        )


if __name__ == "__main__":
    main()
