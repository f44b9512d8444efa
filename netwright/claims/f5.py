"""F5: a run leaves Netwright and says the same, and its server takes what is thrown at it.

The same test rows go through the network in torch, the shipped file in ONNX Runtime, the NumPy
file, the C header (where there is a compiler), and the server. Then the server, a process of its
own, gets requests that nobody should send, and is killed in the midst of answering; and files that
were damaged in 2,000 ways are opened.
"""

import http.client
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from netwright._build import build
from netwright.artefact import Session
from netwright.artefact._file import load_model
from netwright.claims._damage import damaged_files, damaged_runs, open_all
from netwright.claims._fuzz import draw_requests, send_all
from netwright.claims._servers import Server, ask_until_it_dies, refusal, started
from netwright.compress import pack
from netwright.data import load
from netwright.finding import Cell, Finding, Judgement, Table
from netwright.run import Run

__all__ = ["BAR", "ID", "TITLE", "run"]

ID = "F5"
TITLE = "Shipping: the same answers everywhere, and a server that stands"
BAR = (
    "every form of the model agrees on the same test rows to 1e-5 in probability; 10,000 requests "
    "that nobody should send give no status of 500 or more, no hang and no crash; a server killed "
    "(-9) under load has every row in its log that it told anybody of; 1,000 damaged .nwz files, "
    "500 .onnx files and 500 runs are each opened or refused by name, without a crash, a hang or "
    "512 MB, and what a checksum covers never gives other answers"
)
_AGREE = 1e-5
_REQUESTS = 10_000
_QUICK, _FULL = (("digits", 200), ("wine", 200)), (("digits", 2000), ("adult", 2000))
_CLIENTS = 6
_MOST_GROWN = 512_000_000  # bytes that opening a damaged file may take
_BEFORE_KILL = 300  # rows that clients were told of before the kill
_MAIN = """#include <stdio.h>
#include "model.h"
int main(void) {
  TYPE in[NAME_INPUTS];
  float out[NAME_OUTPUTS];
  while (fread(in, sizeof in, 1, stdin) == 1) {
    RUN(in, out);
    fwrite(out, sizeof out, 1, stdout);
  }
  return 0;
}
"""


def run(*, full: bool, seed: int) -> Finding:
    """Build two runs, compare their forms, and try their servers.

    Args:
        full: longer trainings, a table with categories, and three kills instead of one.
        seed: of the builds, and of the requests.

    Returns:
        What every form and every trial came to.
    """
    began = time.monotonic()
    rows: list[tuple[Cell, ...]] = []
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        for place, (name, steps) in enumerate(_FULL if full else _QUICK):
            folder = Path(scratch) / name
            built = build(name, budget=f"{steps} steps", seed=seed, out=folder)
            with started(folder, Path(scratch) / f"{name}.db", data=name) as server:
                for form, gap in _forms(built, name, seed, server).items():
                    rows.append((name, form, gap if gap is None else f"{gap:.1e}"))
                    if gap is not None and not gap <= _AGREE:
                        faults.append(f"{form} of {name} differs by {gap:.1e}")
                found, fault = _fuzz(server, _REQUESTS // 2, seed=seed + place)
            rows.append((name, f"{_REQUESTS // 2:,} fuzzed requests", found))
            faults += [fault] if fault else []
        for what, found, fault in _damage(Path(scratch) / "digits", Path(scratch), seed):
            rows.append(("digits", what, found))
            faults += [fault] if fault else []
        for trial in range(3 if full else 1):
            found, fault = _kill(Path(scratch) / "digits", Path(scratch) / f"kill-{trial}.db")
            rows.append(("digits", f"kill -9 under load, no. {trial + 1}", found))
            faults += [fault] if fault else []
    verdict = "broken" if faults else "met"
    reason = (
        "; ".join(faults)
        if faults
        else "all forms agree, the servers stood, and so did what opens files"
    )
    return Finding(
        name="claim-f5",
        title=TITLE,
        summary=f"{reason[0].upper()}{reason[1:]}.",
        requirement=BAR,
        judgement=Judgement(verdict, reason),
        evidence=(
            Table("Forms (largest difference) and trials", ("data", "what", "found"), tuple(rows)),
        ),
        seconds=time.monotonic() - began,
    )


def _forms(built: Run, name: str, seed: int, server: Server) -> dict[str, float | None]:
    """Compare each form with the shipped file in ONNX Runtime; None for one that cannot be run."""
    session = Session(built.artefact)
    task = load(name, seed=seed, schema=built.schema)
    split = task.test.open("the same rows through every form")
    x = split.take(range(min(200, len(split))))
    feed = session.raw_feed(x)
    wanted = session.probabilities(feed).numpy()
    with torch.no_grad():
        found: dict[str, float | None] = {
            "torch, from safetensors": _gap(built.network(x).softmax(1).numpy(), wanted)
        }
    folder = built.folder / "forms"
    folder.mkdir(exist_ok=True)
    is_image = built.schema.input.kind == "image"
    if is_image:
        shown = feed["image"].tolist()
    else:
        cells = {k: [None if v != v else v for v in values.tolist()] for k, values in feed.items()}
        shown = [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
    found["NumPy file"] = _gap(_in_python(built, folder, shown), wanted)
    found["C header"] = None
    compiler = shutil.which("cc")
    if compiler is not None:
        raw = feed["image"] if is_image else x.numpy()
        found["C header"] = _gap(_in_c(built, folder, compiler, raw, wanted.shape), wanted)
    body = {"images" if is_image else "rows": shown}
    answers = server.ask("POST", "/predict", body)[1]["predictions"]
    served = np.array([row["probabilities"] for row in answers])
    found["server"] = _gap(served, wanted)
    return found


def _gap(found: np.ndarray, wanted: np.ndarray) -> float:
    if found.shape != wanted.shape:
        return float("inf")
    return float(np.abs(found - wanted).max())


def _export(built: Run, form: str, path: Path) -> None:
    command = [sys.executable, "-m", "netwright", "export", str(built.folder), "--to", form]
    subprocess.run([*command, "--out", str(path)], check=True, stdout=subprocess.DEVNULL)


def _in_python(built: Run, folder: Path, shown: list) -> np.ndarray:
    _export(built, "python", folder / "model.py")
    (folder / "rows.json").write_text(json.dumps(shown))
    command = [sys.executable, str(folder / "model.py"), str(folder / "rows.json")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return np.array(json.loads(done.stdout))


def _in_c(
    built: Run, folder: Path, compiler: str, raw: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    _export(built, "c", folder / "model.h")
    header = (folder / "model.h").read_text()
    name = header.partition("static void ")[2].partition("_predict")[0]
    main = _MAIN.replace("TYPE", "uint8_t" if raw.dtype == np.uint8 else "float")
    main = main.replace("RUN", f"{name}_predict").replace("NAME", name.upper())
    (folder / "main.c").write_text(main)
    command = [compiler, "-std=c99", "-O2", str(folder / "main.c"), "-o", str(folder / "main")]
    subprocess.run([*command, "-lm"], check=True)
    done = subprocess.run(
        [str(folder / "main")], input=raw.tobytes(), capture_output=True, check=True
    )
    return np.frombuffer(done.stdout, np.float32).reshape(shape)


def _fuzz(server: Server, n: int, *, seed: int) -> tuple[str, str]:
    about = server.ask("GET", "/metadata")[1]
    found = send_all(server.port, draw_requests(about, n, seed=seed), clients=4)
    statuses = ", ".join(f"{count:,} x {status}" for status, count in found.statuses.items())
    fault = ""
    if found.bad or found.hung:
        fault = f"{found.bad} bad and {found.hung} hung of {n:,} requests: {found.worst[:150]}"
    elif server.process.poll() is not None or server.ask("GET", "/ready")[0] != 200:
        fault = "the server died of the requests"
    return f"{statuses}; {found.bad} bad, {found.hung} hung", fault


def _damage(folder: Path, scratch: Path, seed: int) -> Iterator[tuple[str, str, str]]:
    """Open damaged files; yields what they were, what became of them, and what is at fault."""
    model = folder / "model.onnx"
    packed = pack(load_model(model))
    (scratch / "damaged").mkdir()

    def write(contents: Iterator[bytes], ending: str) -> Iterator[Path]:
        for number, content in enumerate(contents):
            path = scratch / "damaged" / f"file-{number}{ending}"
            path.write_bytes(content)
            yield path

    signed = damaged_files(packed, 500, seed=seed + 1, signed=True)
    groups = {
        "damaged .nwz files": write(damaged_files(packed, 500, seed=seed), ".nwz"),
        "damaged .nwz files, checksum made to fit": write(signed, "-signed.nwz"),
        "damaged .onnx files": write(damaged_files(model.read_bytes(), 500, seed=seed), ".onnx"),
        "damaged runs": damaged_runs(folder, scratch / "damaged", 500, seed=seed),
    }
    shape = Run.open(folder).schema.input.shape
    rows = np.random.default_rng(seed).integers(0, 256, (5, *shape)).astype(np.uint8)
    checked = ("damaged .nwz files", "damaged runs")
    for name, f in open_all(groups, {"image": rows}, model, scratch=scratch).items():
        bad = f.unclear + f.crashed + f.hung + (f.other if name in checked else 0)
        text = (
            f"{f.refused} refused, {f.same} as before, {f.other} answer otherwise, {f.unclear} "
            f"unclear, {f.crashed} crashed, {f.hung} hung; at most {f.grown / 1e6:.0f} MB"
        )
        is_fault = bad > 0 or f.grown > _MOST_GROWN
        yield f"{f.n} {name}", text, f"{name}: {text} {f.worst[:200]}" if is_fault else ""
    places = [scratch / "damaged" / f"run-{number}" for number in range(4)]
    codes = [refusal(place) for place in places]
    fine = sum(code in ("refused", "serves") for code in codes)
    fault = "" if fine == len(codes) else f"`netwright serve` of a damaged run: {codes}"
    yield f"`netwright serve` of {len(codes)} damaged runs", ", ".join(codes), fault


def _kill(folder: Path, database: Path) -> tuple[str, str]:
    pixels = np.zeros(Run.open(folder).schema.input.shape, int).tolist()
    body = json.dumps({"images": [pixels] * 3})
    told: set[str] = set()
    lock = threading.Lock()
    with started(folder, database, data="none") as server:
        clients = [
            threading.Thread(target=ask_until_it_dies, args=(server.port, body, told, lock))
            for _ in range(_CLIENTS)
        ]
        for client in clients:
            client.start()
        until = time.monotonic() + 60
        while len(told) < _BEFORE_KILL and time.monotonic() < until:
            time.sleep(0.002)
        os.kill(server.process.pid, signal.SIGKILL)
        for client in clients:
            client.join()
    connection = sqlite3.connect(database)
    kept = {row[0] for row in connection.execute("SELECT id FROM predictions")}
    connection.close()
    with started(folder, database, data="none") as server:
        try:
            count = server.ask("GET", "/monitor")[1]["logged"]
        except (OSError, http.client.HTTPException):
            return "", "the server did not come back after the kill"
    lost = len(told - kept)
    found = f"{len(told):,} rows told, {count:,} in the log after the restart, {lost} lost"
    if len(told) < _BEFORE_KILL:
        return found, f"only {len(told)} rows were answered before the kill"
    return found, f"{lost} rows were lost" if lost else ""
