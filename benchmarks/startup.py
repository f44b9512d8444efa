"""What a start costs: `import netwright` beyond torch, and `netwright --help`, as whole processes.

Bars: 0.3 s beyond torch for the import that every use pays; 0.5 s for `--help`.
"""

import statistics
import subprocess
import sys
import time

RUNS = 7
# `import netwright` is lazy: the names people use first are touched as well.
OURS = "import torch, netwright as nw; nw.Requirement, nw.Task, nw.load, nw.build, nw.audit"


def seconds(arguments: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> int:
    python = sys.executable
    pairs = []
    for _ in range(RUNS + 1):  # the first warms the disk cache
        torch_alone = seconds([python, "-c", "import torch"])
        lazy = seconds([python, "-c", "import torch, netwright"])
        ours = seconds([python, "-c", OURS])
        shown = seconds([python, "-m", "netwright", "--help"])
        pairs.append((torch_alone, lazy - torch_alone, ours - torch_alone, shown))
    columns = list(zip(*pairs[1:], strict=True))
    names = ("import torch", "+ import netwright", "+ nw.load/build/audit", "netwright --help")
    bars = (None, 0.3, None, 0.5)
    failed = 0
    print(f"{'seconds, whole process':<26}{'median':>9}{'min':>9}{'max':>9}{'bar':>9}   n = {RUNS}")
    for name, values, bar in zip(names, columns, bars, strict=True):
        median = statistics.median(values)
        failed |= bar is not None and median > bar
        shown_bar = f"{bar:9.2f}" if bar is not None else " " * 9
        print(f"{name:<26}{median:9.3f}{min(values):9.3f}{max(values):9.3f}{shown_bar}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
