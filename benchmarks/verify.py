"""Time to proofs, beside the figures of other provers.

Prints the 25 queries of Reluplex, Table 3; the 186 ACAS Xu instances of the verification
competition on two workers; and how many of its 90 mnist_fc instances are decided within their
limits, by depth. Rivals' figures were taken on another machine of like kind (2 cores, no GPU); with
`maraboupy` installed (`pip install maraboupy`) the 25 queries are put to Marabou as well, in turns
with ours, in this process. Needs NETWRIGHT_DATA.

Run: python -m benchmarks.verify [--quick] [--part reluplex|acasxu|mnist] [--limit SECONDS]
"""

import argparse
import os
import statistics
import sys
import tarfile
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from netwright.audits.verify import (
    read_instances,
    read_nnet,
    verify,
    verify_instances,
    with_timeout,
)
from netwright.claims import e3

PARTS = ("reluplex", "acasxu", "mnist")
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
            began = time.perf_counter()
            words[cell] = verify(file.network, prop).outcome
            ours[cell].append(time.perf_counter() - began)
            if peer is not None and turn == 0:
                began = time.perf_counter()
                answer = peer(prop)
                theirs[cell] = time.perf_counter() - began
                assert answer in (words[cell], "timeout"), (cell, answer, words[cell])
    print(f"{'point':>5} {'delta':>6} {'verdict':>8} {'ours s':>8} {'paper s':>8}", end="")
    print(f" {'Marabou s':>10}" if theirs else "")
    for cell in asked:
        line = f"{cell.point:5} {cell.delta:6} {words[cell]:>8} "
        line += f"{statistics.median(ours[cell]):8.4f} {cell.paper_seconds:8}"
        print(line + (f" {theirs[cell]:10.2f}" if theirs else ""))
    total = sum(statistics.median(t) for t in ours.values())
    print(f"total {total:.3f} s, every time the median of {len(next(iter(ours.values())))}")
    if theirs:
        print(f"Marabou, paired: {sum(theirs.values()):.1f} s, {sum(theirs.values()) / total:.0f}x")


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
    if not (data / "acasxu").is_dir():
        print(f"{data / 'acasxu'} does not exist; set NETWRIGHT_DATA to the research data.")
        return 2
    with tempfile.TemporaryDirectory() as name:
        for part in options.part or PARTS:
            print(f"-- {part}", flush=True)
            if part == "reluplex":
                reluplex(data, Path(name), quick=options.quick)
            elif part == "acasxu":
                acasxu(data, Path(name), limit=options.limit)
            else:
                mnist(data, Path(name), limit=options.limit, quick=options.quick)
            for rival, figure in RIVALS[part]:
                print(f"  {rival}: {figure}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
