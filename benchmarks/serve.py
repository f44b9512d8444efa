"""Load on loopback: `netwright serve` against a bare ONNX Runtime call in FastAPI, in pairs.

Both answer one 8 by 8 image a request, as JSON, from the same file; the bare one checks nothing,
logs nothing and watches nothing. They take turns, so that what else the machine does meets both.
"""

import asyncio
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import torch
from torch import nn

from netwright._rng import seeded
from netwright.artefact import write
from netwright.data import load

CLIENTS = (1, 8, 64)
ROUNDS = 3
SECONDS = 2.0  # of one measurement; 3 servers x 3 x 3 rounds: 54 s
BARE = """
import json, sys
import numpy as np, onnxruntime, uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options)
app = FastAPI()

@app.get("/ready")
async def ready():
    return {}

@app.post("/predict")
async def predict(request: Request):
    image = np.array([json.loads(await request.body())["image"]], np.uint8)
    (found,) = session.run(["probabilities"], {"image": image})
    return JSONResponse({"probabilities": found[0].tolist()})

uvicorn.run(app, port=int(sys.argv[2]), log_level="warning", access_log=False)
"""


def make_file(folder: Path) -> Path:
    task = load("digits")
    with seeded(0):
        network = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(), nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10),
        ).eval()  # fmt: skip
    sample = task.train.take(range(2))
    return write(network, task.schema, design="{}", folder=folder, sample=sample).onnx


def start(command: list[str], port: int) -> subprocess.Popen:
    server = subprocess.Popen(
        [sys.executable, *command],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
    )
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return server
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise RuntimeError(f"{command} did not start")


def cpu_seconds(server: subprocess.Popen) -> float:
    """CPU time of a server: what else the machine does touches it little."""
    spent = psutil.Process(server.pid).cpu_times()
    return spent.user + spent.system


async def client(port: int, request: bytes, until: float, times: list, statuses: dict) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (began := time.perf_counter()) < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r", 1)[0])
        await reader.readexactly(length)
        times.append(time.perf_counter() - began)
        status = int(head[9:12])
        statuses[status] = statuses.get(status, 0) + 1
        if b"connection: close" in head.lower():
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()


async def load_on(port: int, request: bytes, clients: int, seconds: float):
    times: list[float] = []
    statuses: dict[int, int] = {}
    began = time.perf_counter()
    until = began + seconds
    await asyncio.gather(*(client(port, request, until, times, statuses) for _ in range(clients)))
    return len(times) / (time.perf_counter() - began), sorted(times), statuses


def request_of(content: object) -> bytes:
    body = json.dumps(content).encode()
    head = "POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def main() -> None:
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp())
    file = make_file(folder)
    (folder / "bare.py").write_text(BARE)
    pixels = load("digits").validation.take([0])[0].mul(255).round().int().tolist()
    one = request_of({"image": pixels})
    serve = ["-m", "netwright", "serve", str(file), "--data", "digits"]
    commands = {
        "bare": [str(folder / "bare.py"), str(file), "8701"],
        "served": [*serve, "--port", "8702", "--log", str(folder / "log.db")],
        "served, no log": [*serve, "--port", "8703", "--log", "none"],
    }
    ports = {"bare": 8701, "served": 8702, "served, no log": 8703}
    servers = {name: start(command, ports[name]) for name, command in commands.items()}
    try:
        for port in ports.values():  # warm
            asyncio.run(load_on(port, one, 4, 0.5))
        print(
            f"{'clients':>7} {'server':<15} {'requests/s':>10} "
            f"{'p50 ms':>8} {'p99 ms':>8} {'CPU ms':>8}"
        )
        for clients in CLIENTS:
            rates: dict[str, list[float]] = {name: [] for name in commands}
            costs: dict[str, list[float]] = {name: [] for name in commands}
            tails: dict[str, list[float]] = {name: [] for name in commands}
            middles: dict[str, list[float]] = {name: [] for name in commands}
            for _ in range(ROUNDS):
                for name, port in ports.items():
                    before = cpu_seconds(servers[name])
                    rate, times, statuses = asyncio.run(load_on(port, one, clients, SECONDS))
                    costs[name].append((cpu_seconds(servers[name]) - before) / len(times))
                    if set(statuses) != {200}:
                        raise RuntimeError(f"{name} answered {statuses} to {clients} clients")
                    rates[name].append(rate)
                    tails[name].append(times[int(0.99 * (len(times) - 1))])
                    middles[name].append(statistics.median(times))
            for name in commands:
                print(
                    f"{clients:>7} {name:<15} {statistics.median(rates[name]):>10.0f} "
                    f"{1e3 * statistics.median(middles[name]):>8.2f} "
                    f"{1e3 * statistics.median(tails[name]):>8.2f} "
                    f"{1e3 * statistics.median(costs[name]):>8.3f}"
                )
            for name in ("served", "served, no log"):
                ratios = [a / b for a, b in zip(rates[name], rates["bare"], strict=True)]
                cost = [a / b for a, b in zip(costs[name], costs["bare"], strict=True)]
                worst = [a / b for a, b in zip(tails[name], tails["bare"], strict=True)]
                print(
                    f"        {name} / bare: rate {statistics.median(ratios):.2f} "
                    f"({min(ratios):.2f} to {max(ratios):.2f}), p99 {statistics.median(worst):.2f} "
                    f"({min(worst):.2f} to {max(worst):.2f}), CPU {statistics.median(cost):.2f} "
                    f"({min(cost):.2f} to {max(cost):.2f})"
                )
        many = request_of({"images": [pixels] * 128})
        rate, _, statuses = asyncio.run(load_on(ports["served"], many, 64, SECONDS))
        print(f"64 clients, 128 rows a request, 1,024 may wait: {statuses}, {rate:.0f} answers/s")
        if set(statuses) - {200, 429}:
            raise RuntimeError(f"beyond back-pressure came {statuses}")
    finally:
        for server in servers.values():
            server.terminate()
            server.wait(20)


if __name__ == "__main__":
    main()
