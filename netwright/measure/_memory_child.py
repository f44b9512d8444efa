"""A process that loads an ONNX file, runs it, and prints how many bytes its resident set grew.

Run as a script, so that neither torch nor the rest of the package is in its memory.
"""

import json
import sys

__all__: list[str] = []


def _resident(field: str) -> int:
    """Bytes of this process: `VmRSS` now, `VmHWM` at the peak."""
    if sys.platform == "linux":
        # ru_maxrss would include the parent's memory at the fork; these do not.
        with open("/proc/self/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(field))
    import resource

    # Elsewhere only the peak is to be had, so growth below the peak of importing is not seen.
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def _main(artefact: str, folder: str, threads: str, names: str) -> None:
    import numpy as np
    import onnxruntime

    feeds = {
        name: np.load(f"{folder}/{place}.npy", allow_pickle=False)
        for place, name in enumerate(json.loads(names))
    }
    feeds = {k: v.astype(object) if v.dtype.kind == "U" else v for k, v in feeds.items()}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(threads)
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong comes back as an exception
    before = _resident("VmRSS")
    session = onnxruntime.InferenceSession(artefact, options, providers=["CPUExecutionProvider"])
    for _ in range(10):
        session.run(None, feeds)
    print(max(0, _resident("VmHWM") - before))


if __name__ == "__main__":
    _main(*sys.argv[1:])
