"""Time to proofs, beside the figures of other provers.

Prints the 25 queries of Reluplex, Table 3; the 186 ACAS Xu instances of the verification
competition on two workers; and how many of its 90 mnist_fc instances are decided within their
limits, by depth. Rivals' figures were taken on another machine of like kind (2 cores, no GPU); with
`maraboupy` installed (`pip install maraboupy`) the 25 queries (`--quick`: every fifth) are put to
Marabou as well, in turns with ours, in this process. These parts need NETWRIGHT_DATA.

`restarts` attacks what was certified of shipped files (float, pruned with a code book, int8) with
10,000 restarts each inside the radius; ONNX Runtime evaluates every point.

Run: python -m benchmarks.verify [--quick] [--part reluplex|acasxu|mnist|restarts] [--limit SECONDS]
"""

import argparse
import copy
import os
import statistics
import sys
import tarfile
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import nn

from netwright.artefact import Session, read_onnx
from netwright.artefact._export import export_network
from netwright.audits.verify import (
    certify_ball,
    read_bounded,
    read_instances,
    read_nnet,
    verify,
    verify_instances,
    with_timeout,
)
from netwright.claims import e3
from netwright.claims._victims import trained
from netwright.data import load

LINF = 0.03
N_RESTARTS = 10_000
PARTS = ("reluplex", "acasxu", "mnist", "restarts")
RIVALS = {
    "reluplex": (
        ("Reluplex (paper, 2017)", "33,182 s"),
        ("Marabou 2.0.0, 1 thread", "257 s, 1 time-out"),
        ("alpha-beta-CROWN, stock / tuned", "57.9 / 14.7 s"),
        ("nnenum, whole process / own time", "39.2 / 5.3 s"),
    ),
    "acasxu": (
        ("nnenum", "181 of 186 decided in a first run, 828 CPU s"),
        ("alpha-beta-CROWN, tuned", "33 of a hard 40 at 60 s, 452 CPU s"),
    ),
    "mnist": (),
    "restarts": (),
}


def reluplex(data: Path, folder: Path, *, quick: bool) -> None:
    file = read_nnet(e3.unpack(data, folder))
    asked = e3.cells(data)
    verify(file.network, e3.property_of(asked[0], file))
    peer = marabou(e3.unpack(data, folder))
    ours: dict[e3.AskedCell, list[float]] = {cell: [] for cell in asked}
    theirs: dict[e3.AskedCell, float] = {}
    words: dict[e3.AskedCell, str] = {}
    for turn in range(1 if quick else 5):
        for cell in asked:
            prop = e3.property_of(cell, file)
            began = time.process_time()
            words[cell] = verify(file.network, prop).outcome
            ours[cell].append(time.process_time() - began)
            if peer is not None and turn == 0 and (not quick or asked.index(cell) % 5 == 1):
                began = time.process_time()
                answer = peer(prop)
                theirs[cell] = time.process_time() - began
                assert answer in (words[cell], "timeout"), (cell, answer, words[cell])
    print(f"{'point':>5} {'delta':>6} {'verdict':>8} {'CPU s':>8} {'paper s':>8}", end="")
    print(f" {'Marabou s':>10}" if theirs else "")
    for cell in asked:
        line = f"{cell.point:5} {cell.delta:6} {words[cell]:>8} "
        line += f"{statistics.median(ours[cell]):8.4f} {cell.paper_seconds:8}"
        print(line + (f" {theirs[cell]:10.2f}" if cell in theirs else ""))
    total = sum(statistics.median(t) for t in ours.values())
    turns = len(next(iter(ours.values())))
    print(f"total {total:.3f} CPU s, every time the median of {turns}")
    if theirs:
        both = sum(theirs.values()), sum(statistics.median(ours[cell]) for cell in theirs)
        ratios = sorted(t / statistics.median(ours[cell]) for cell, t in theirs.items())
        print(f"Marabou, {len(theirs)} queries in pairs: {both[0]:.1f} CPU s, ours {both[1]:.2f};")
        print(f"  theirs / ours {both[0] / both[1]:.0f} in total, "
              f"{ratios[0]:.0f} to {ratios[-1]:.0f} a query")  # fmt: skip


def marabou(path: Path):
    """Return a function that puts a property to Marabou; None if it is not installed."""
    try:
        from maraboupy import Marabou, MarabouCore, MarabouUtils
    except ImportError:
        print("Marabou is not installed; its figures are those below.")
        return None
    options = Marabou.createOptions(verbosity=0, timeoutInSeconds=120, numWorkers=1)

    def ask(prop) -> str:
        (region,) = prop.regions
        for alternative in region.alternatives:
            network = Marabou.read_nnet(str(path), normalize=False)
            inputs, outputs = network.inputVars[0].ravel(), network.outputVars[0].ravel()
            for i, (low, high) in enumerate(zip(region.low, region.high, strict=True)):
                network.setLowerBound(int(inputs[i]), float(low))
                network.setUpperBound(int(inputs[i]), float(high))
            for row in alternative:
                equation = MarabouUtils.Equation(MarabouCore.Equation.LE)
                for j, coefficient in row.outputs:
                    equation.addAddend(float(coefficient), int(outputs[j]))
                equation.setScalar(float(row.bound))
                network.addEquation(equation)
            answer = network.solve(verbose=False, options=options)[0]
            if answer != "unsat":
                return {"sat": "sat"}.get(answer, "timeout")
        return "unsat"

    return ask


def acasxu(data: Path, folder: Path, *, limit: float | None) -> None:
    listing = unpacked(data, folder, "acasxu_vnncomp2021.tar.gz", "acasxu_instances.csv")
    listed = read_instances(listing)
    began = time.perf_counter()
    made = dict(verify_instances(with_timeout(listed, limit or 60.0), workers=2))
    wall = time.perf_counter() - began
    for name in dict.fromkeys(one.prop.stem for one in listed):
        own = [made[i] for i, one in enumerate(listed) if one.prop.stem == name]
        counts = Counter(v.outcome for v in own)
        seconds = [v.seconds for v in own]
        print(f"{name:8} {dict(counts)}  {sum(seconds):.2f} s, longest {max(seconds):.2f} s")
    slow = sorted(made, key=lambda i: -made[i].seconds)[:5]
    for i in slow:
        print(f"  {listed[i].network.stem} {listed[i].prop.stem}: {made[i].seconds:.2f} s")
    decided = sum(v.outcome in ("sat", "unsat") for v in made.values())
    print(f"{decided} of {len(listed)} decided, {wall:.1f} s wall on 2 workers")


def mnist(data: Path, folder: Path, *, limit: float | None, quick: bool) -> None:
    listing = unpacked(data, folder, "mnistfc_vnncomp2021.tar.gz", "mnistfc_instances.csv")
    listed = read_instances(listing)
    listed = listed[::9] if quick else listed
    listed = listed if limit is None else with_timeout(listed, limit)
    made = {}
    for i, verdict in verify_instances(listed, workers=2):
        made[i] = verdict
        one = listed[i]
        line = f"  {one.network.stem[-5:]} {one.prop.stem:13} {verdict.outcome:8}"
        print(f"{line} {verdict.seconds:7.1f} s {verdict.note}", flush=True)
    for depth in dict.fromkeys(one.network.stem for one in listed):
        own = [made[i] for i, one in enumerate(listed) if one.network.stem == depth]
        print(f"{depth}: {dict(Counter(v.outcome for v in own))}")
    decided = sum(v.outcome in ("sat", "unsat") for v in made.values())
    print(f"{decided} of {len(listed)} decided within their limits")


def restarts(folder: Path, *, quick: bool) -> None:
    task = load("digits", seed=0)
    network = trained(task, steps=600, seed=0, adversarial="pgd", radius=0.04, attack_steps=5)
    rows = torch.arange(24 if quick else 96)
    x, y = task.validation.take(rows), task.validation.y[rows]
    calibration = task.train.take(torch.arange(300))
    small = code_book(network)
    files = {"float": float_file(network, x, folder / "float.onnx"),
             "pruned, 16 weights": float_file(small, x, folder / "book.onnx"),
             "int8": int8_file(folder / "float.onnx", calibration, folder / "int8.onnx"),
             "int8 of the pruned": int8_file(folder / "book.onnx", calibration,
                                             folder / "both.onnx")}  # fmt: skip
    print(f"digits, linf {LINF}, {len(x)} validation rows")
    print(f"{'file':20} {'right':>6} {'certified':>10} {'attacked':>9} {'restarts':>9} ", end="")
    print(f"{'points':>8} {'broken':>7} {'bound':>8} {'least met':>10}")
    for name, file in files.items():
        session, program = Session(file), read_bounded(file)
        right = session.predict(x).argmax(1) == y
        parts = zip(x[right].split(8), y[right].split(8), strict=True)
        margins = torch.cat([certify_ball(program, *part, linf=LINF).margin for part in parts])
        holds = margins > 0
        held = margins[holds].argsort()[:20]  # those that hold by the least
        at, label, bound = (v[holds][held] for v in (x[right], y[right], margins))
        least, n_points = least_margins(file, session, at, label, N_RESTARTS)
        print(f"{name:20} {int(right.sum()):6} {int(holds.sum()):10} {len(at):9} "
              f"{N_RESTARTS:9,} {n_points:8,} {int((least < bound).sum()):7} "
              f"{float(bound.min()):8.4f} {float(least.min()):10.4f}", flush=True)  # fmt: skip


def code_book(network: nn.Module) -> nn.Module:
    """Prune half of every layer's weights, and give the rest 16 values."""
    made = copy.deepcopy(network)
    for weight in made.parameters():
        if weight.dim() > 1:
            kept = weight.data.abs() >= weight.data.abs().median()
            values = weight.data[kept]
            book = torch.quantile(values, torch.linspace(0.03, 0.97, 16))
            for _ in range(20):  # Lloyd
                nearest = (values[:, None] - book).abs().argmin(1)
                sums, counts = torch.zeros(16), torch.zeros(16)
                sums.index_add_(0, nearest, values)
                counts.index_add_(0, nearest, torch.ones_like(values))
                book = torch.where(counts > 0, sums / counts.clamp(min=1), book)
            weight.data = torch.zeros_like(weight).masked_scatter(kept, book[nearest])
    return made


def float_file(network: nn.Module, x: torch.Tensor, path: Path) -> Path:
    import onnx

    onnx.save(export_network(network, x, output="logits"), path)
    return path


def int8_file(source: Path, rows: torch.Tensor, path: Path) -> Path:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Rows(CalibrationDataReader):
        left = iter([{"features": rows.numpy()}])

        def get_next(self):
            return next(self.left, None)

    quantize_static(source, path, Rows(), quant_format=QuantFormat.QDQ)
    return path


def least_margins(
    file: Path, session: Session, x: torch.Tensor, labels: torch.Tensor, n_restarts: int
) -> tuple[torch.Tensor, int]:
    """Least margin that ONNX Runtime gives any point of any restart, for each row; and how many."""
    network, copies = read_onnx(file), 25
    generator = torch.Generator().manual_seed(0)
    least = torch.full((len(x),), torch.inf, dtype=torch.float64)
    low, high = ((x + d).clamp(0, 1).repeat(copies, 1, 1, 1) for d in (-LINF, LINF))
    labels, n_points = labels.repeat(copies), 0
    for turn in range(-(-n_restarts // len(low))):
        shares = torch.rand(low.shape, generator=generator)
        point = low + (shares.round() if turn % 2 else shares) * (high - low)
        for size in (1.0, 0.5, 0.25, 0.0):
            met = margin(session.predict(point), labels)
            least = torch.minimum(least, met.reshape(copies, -1).amin(0))
            n_points += len(point)
            point = point.detach().requires_grad_()
            (slope,) = torch.autograd.grad(margin(network(point), labels).sum(), point)
            point = (point.detach() - size * LINF * slope.sign()).clamp(low, high)
    return least, n_points


def margin(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    others = logits.double().scatter(1, labels[:, None], -torch.inf)
    return logits.double().gather(1, labels[:, None])[:, 0] - others.amax(1)


def unpacked(data: Path, folder: Path, archive: str, listing: str) -> Path:
    with tarfile.open(data / "acasxu" / archive) as file:
        file.extractall(folder, filter="data")
    return next(folder.rglob(listing))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="each query once; every ninth mnist")
    parser.add_argument("--part", choices=PARTS, action="append", help="default: all")
    parser.add_argument("--limit", type=float, help="seconds an instance, instead of its own")
    options = parser.parse_args()
    data = Path(os.environ.get("NETWRIGHT_DATA") or "$NETWRIGHT_DATA")
    if options.part != ["restarts"] and not (data / "acasxu").is_dir():
        print(f"{data / 'acasxu'} does not exist; set NETWRIGHT_DATA to the research data.")
        return 2
    with tempfile.TemporaryDirectory() as name:
        for part in options.part or PARTS:
            print(f"-- {part}", flush=True)
            if part == "reluplex":
                reluplex(data, Path(name), quick=options.quick)
            elif part == "acasxu":
                acasxu(data, Path(name), limit=options.limit)
            elif part == "restarts":
                restarts(Path(name), quick=options.quick)
            else:
                mnist(data, Path(name), limit=options.limit, quick=options.quick)
            for rival, figure in RIVALS[part]:
                print(f"  {rival}: {figure}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
