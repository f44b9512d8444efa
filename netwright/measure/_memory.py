"""How much memory running takes: measured in a process of its own, and in theory by layer."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from netwright.finding import Measurement
from netwright.measure._macs import LayerCosts

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Footprint", "footprint", "memory"]


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the numbers of a network occupy, in theory; runtimes and libraries come on top.

    Attributes:
        parameters: bytes of the parameters.
        largest_layer: bytes of a batch's inputs and outputs at the layer where they are largest: a
            chain of layers needs no more at once.
        activations: bytes of all layers' outputs for the batch.
    """

    parameters: int
    largest_layer: int
    activations: int

    @property
    def inference(self) -> int:
        """Bytes to run the batch through a chain of layers; branches and skips need more."""
        return self.parameters + self.largest_layer

    @property
    def training(self) -> int:
        """Bytes of an AdamW step: weights, gradients, two moments, and every layer's outputs."""
        return 4 * self.parameters + self.activations


def footprint(costs: LayerCosts) -> Footprint:
    """Work out what a network's numbers occupy, from its layers.

    Args:
        costs: of one forward pass, by `macs`; give it the batch that you mean to run.

    Example:
        >>> import torch
        >>> from netwright.measure import macs
        >>> costs = macs(torch.nn.Linear(8, 4, bias=False), torch.zeros(2, 8))
        >>> footprint(costs).parameters, footprint(costs).largest_layer
        (128, 96)
    """
    outputs = [row.output_bytes for row in costs.rows if row.output_bytes]
    inputs = [costs.input_bytes, *outputs[:-1]]
    pairs = [i + o for i, o in zip(inputs, outputs, strict=False)]
    return Footprint(costs.parameter_bytes, max(pairs, default=0), sum(outputs))


def memory(
    artefact: Path,
    feeds: "Mapping[str, np.ndarray]",
    *,
    threads: int = 1,
    processes: int = 3,
    seconds: float = 60.0,
) -> Measurement:
    """Measure the growth of resident memory while an ONNX file is loaded and run.

    Each of a few fresh processes imports ONNX Runtime, notes its resident set, then loads the file,
    runs it ten times and reports by how much its peak exceeds the note. The library itself is
    therefore not counted; what the system shares or swaps can shift the number by some 100 kB.

    Args:
        artefact: an ONNX file.
        feeds: an array for each input of the graph, by name.
        threads: intra-op threads of the runtime.
        processes: how many processes to start.
        seconds: how long one process may take.

    Returns:
        The largest growth in bytes; low and high are the extremes over the processes.

    Raises:
        ValueError: if `processes` is not positive, or the file cannot be run on these inputs.
    """
    import numpy as np

    if processes < 1:
        raise ValueError(f"`processes` must be at least 1; got {processes}.")
    child = Path(__file__).with_name("_memory_child.py")
    with tempfile.TemporaryDirectory() as folder:
        for place, array in enumerate(feeds.values()):
            # Python strings would be pickled; text of a fixed width is not.
            plain = array.astype(str) if array.dtype == object else array
            np.save(Path(folder) / f"{place}.npy", plain, allow_pickle=False)
        command = [sys.executable, "-P", str(child), str(artefact), folder, str(threads)]
        command.append(json.dumps(list(feeds)))
        growths = [_run(command, seconds) for _ in range(processes)]
    return Measurement(
        value=max(growths),
        low=min(growths),
        high=max(growths),
        n=processes,
        unit="bytes",
        method="range",
        note=f"largest of {processes} processes",
    )


def _run(command: list[str], seconds: float) -> float:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"`artefact` did not finish ten runs within {seconds:g} s.") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ValueError(f"`artefact` could not be run in a process of its own: {last}")
    return float(done.stdout)
