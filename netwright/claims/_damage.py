"""Damaged model files, drawn from a seed, and what becomes of those who open them.

A program of its own opens one after the other, as `netwright serve` does: file, session, server,
answers to some rows. What the command line would not turn into a message ends the program.
"""

import functools
import json
import os
import queue
import random
import subprocess
import sys
import threading
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Opened", "damaged_files", "damaged_runs", "open_all"]

_SECONDS = 30.0  # to open a file; more is a hang
_CLOSE = 1e-6  # in probability: the same answers
# What serving reads of a run, and what may stand in such a file's place.
_READ = ("model.onnx", "findings.json", "schema.json", "log.jsonl", "job.json", "data.json")
_INSTEAD = (
    *("nothing", "a folder", "a pipe", "an endless device", "a link to itself"),
    *("", "[1, 2]\n", '{"findings": ' + "[" * 200_000, "\0" * 5000),
)
_OPENER = """
import json, resource, sys
from pathlib import Path
import numpy as np
from netwright.compress import unpack
from netwright.serve import Engine, create_app, open_model

def answers(place):
    model = open_model(place)
    if place.is_dir():
        create_app(Engine(model, log=None, reference=None))
    return model.answer(feed)

feed = dict(np.load(sys.argv[1]))
whole = answers(Path(sys.argv[2]))

def size(name):  # in bytes; VmRSS is now, VmHWM the most since it was reset
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))

most = size("VmSize") + 2**31
resource.setrlimit(resource.RLIMIT_AS, (most, most))
print("ready", flush=True)
for line in sys.stdin:
    place, unpacked = json.loads(line)
    open("/proc/self/clear_refs", "w").write("5")
    before = size("VmRSS")
    try:
        if unpacked:
            content = unpack(open(place, "rb").read()).SerializeToString()
            with open(unpacked, "wb") as file:
                file.write(content)
        found = answers(Path(unpacked or place))
        gap = float(np.abs(found - whole).max()) if found.shape == whole.shape else float("inf")
        said = {"gap": gap if gap == gap else float("inf")}
    except (ValueError, TypeError, OSError) as error:  # as the command line
        said = {"refused": str(error), "kind": type(error).__name__}
    print(json.dumps(said | {"grown": size("VmHWM") - before}), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Opened:
    """What became of damaged files of one kind.

    Attributes:
        n: files.
        refused: how many were, with a message that names the file.
        same: how many gave the answers of the whole file.
        other: how many gave other answers.
        unclear: how many were refused with a message that does not say what is wrong with what.
        crashed: how many ended the program.
        hung: how many took more than 30 s.
        grown: bytes by which the program's memory grew at most while it opened one of them.
        worst: the first message of those that should not be.
    """

    n: int
    refused: int
    same: int
    other: int
    unclear: int
    crashed: int
    hung: int
    grown: int
    worst: str


def damaged_files(whole: bytes, n: int, *, seed: int, signed: bool = False) -> Iterator[bytes]:
    """Damage a file: flipped bits, cut or repeated parts, numbers too large, strange names.

    Args:
        whole: the file.
        n: how many.
        seed: of the draw.
        signed: give a `.nwz` file the checksum that fits, as a hostile writer would.
    """
    draw = random.Random(seed)
    for _ in range(n):
        content = bytearray(whole)
        for _ in range(draw.choice((1, 1, 1, 2, 8))):
            _spoil(draw, content)
        if signed and len(content) > 8:
            content[:4] = whole[:4]
            content[4:8] = zlib.crc32(bytes(content[8:])).to_bytes(4, "little")
        yield bytes(content)


def _spoil(draw: random.Random, content: bytearray) -> None:
    place = draw.randrange(max(1, len(content)))
    act = draw.random()
    if act < 0.4 and content:
        content[place] ^= 1 << draw.randrange(8)
    elif act < 0.5:
        del content[place:]
    elif act < 0.6:
        del content[place : place + draw.choice((1, 2, 50))]
    elif act < 0.7:
        content[place:place] = content[place : place + draw.choice((1, 8, 400))]
    elif act < 0.85:  # a length, a size or a count far too large, as both formats write them
        huge = draw.choice((2**28, 2**31 - 1, 2**32, 2**40, 2**62))
        content[place : place + draw.choice((1, 1, 2))] = _number(huge)
    else:
        name = draw.choice((b"../../etc/passwd", b"/dev/zero", b"\0", b"\xff\xfe", b"%s%n"))
        content[place : place + len(name)] = name


def _number(value: int) -> bytes:
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes([*made, value])


def damaged_runs(folder: Path, scratch: Path, n: int, *, seed: int) -> Iterator[Path]:
    """Damage a run's folder: one of its files changed, or something else in that file's place.

    Args:
        folder: of the run.
        scratch: where the damaged folder stands, one after the other.
        n: how many.
        seed: of the draw.
    """
    draw = random.Random(seed)
    names = sorted(path.name for path in folder.iterdir() if path.name in _READ)
    for number in range(n):
        made = scratch / f"run-{number}"
        made.mkdir(parents=True)
        for name in names:
            (made / name).write_bytes((folder / name).read_bytes())
        victim = made / draw.choice((*names, "model.onnx"))  # the model twice as often
        if draw.random() < 0.2:
            _replace(victim, draw.choice(_INSTEAD))
        else:
            content = bytearray(victim.read_bytes())
            for _ in range(draw.choice((1, 1, 2, 8))):
                _spoil(draw, content)
            victim.write_bytes(content)
        yield made


def _replace(path: Path, instead: str) -> None:
    path.unlink()
    if instead == "a folder":
        path.mkdir()
    elif instead == "a pipe":
        os.mkfifo(path)
    elif instead == "an endless device":
        path.symlink_to("/dev/zero")
    elif instead == "a link to itself":
        path.symlink_to(path.name)
    elif instead != "nothing":
        path.write_bytes(instead.encode())


def open_all(
    groups: Mapping[str, Iterator[Path]],
    feed: Mapping[str, np.ndarray],
    whole: Path,
    *,
    scratch: Path,
) -> dict[str, Opened]:
    """Open damaged files, one after the other, in a program of its own.

    Args:
        groups: files (`.onnx`, `.nwz`) or folders of runs, by what they are called together.
        feed: raw rows, as the graph takes them.
        whole: the file as it was; its answers are the right ones.
        scratch: a folder to write to.
    """
    np.savez(scratch / "rows.npz", **feed)  # type: ignore[arg-type]
    start = functools.partial(_Opener, scratch / "rows.npz", whole)
    opener, found = start(), {}
    for name, places in groups.items():
        counts: Counter[str] = Counter()
        grown, worst = 0, ""
        for place in places:
            said = opener.open(place, str(scratch / "unpacked.onnx"))
            outcome = _outcome(said, place)
            counts[outcome] += 1
            grown = max(grown, said.get("grown", 0))
            if outcome in ("unclear", "crashed", "hung"):
                worst = worst or f"{place.name}: {said}"
            if outcome in ("crashed", "hung"):
                opener = start()
        found[name] = _opened(counts, grown, worst)
    opener.close()
    return found


def _opened(counts: Counter[str], grown: int, worst: str) -> Opened:
    return Opened(
        n=counts.total(),
        refused=counts["refused"],
        same=counts["same"],
        other=counts["other"],
        unclear=counts["unclear"],
        crashed=counts["crashed"],
        hung=counts["hung"],
        grown=grown,
        worst=worst,
    )


def _outcome(said: Mapping[str, Any], place: Path) -> str:
    if "gap" in said:
        return "same" if said["gap"] <= _CLOSE else "other"
    if "refused" in said:
        named = place.stem in said["refused"] or ".nwz file" in said["refused"]
        is_clear = named or "unpacked.onnx" in said["refused"]
        return "refused" if is_clear and len(said["refused"]) < 2000 else "unclear"
    return said["end"]


class _Opener:
    """The program that opens files, and its answers."""

    def __init__(self, rows: Path, whole: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _OPENER, str(rows), str(whole)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        ready = self._lines.get(timeout=4 * _SECONDS)
        if ready.strip() != "ready":
            raise RuntimeError(f"The whole model does not open: {self._ended()}")

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")  # it has ended

    def open(self, place: Path, unpacked: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        unpacked = unpacked if place.suffix == ".nwz" else ""
        self._process.stdin.write(json.dumps([str(place), unpacked]) + "\n")
        self._process.stdin.flush()
        try:
            line = self._lines.get(timeout=_SECONDS)
        except queue.Empty:
            self._process.kill()
            self._ended()
            return {"end": "hung"}
        return json.loads(line) if line else {"end": "crashed", "why": self._ended()}

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._ended()

    def _ended(self) -> str:
        assert self._process.stderr is not None
        said = self._process.stderr.read()[-300:]
        code = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        return f"exit code {code}: {said}"
