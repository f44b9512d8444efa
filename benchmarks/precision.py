"""What precision and memory layout cost or save in a training step on this CPU.

`learn.fit` computes networks on images in bfloat16, where the processor has instructions for it,
and lays them out channels last; everything else stays in float32. This prints the step times behind
that choice, relative to float32 with channels first. Steps of all kinds take turns in this process;
times are CPU seconds on one thread.

Run: python -m benchmarks.precision [--quick]
"""

import argparse
import copy
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import Tensor, nn
from torch.nn import functional

from netwright import _rng

KINDS = {
    "float32": (torch.contiguous_format, False),
    "float32, channels last": (torch.channels_last, False),
    "bfloat16": (torch.contiguous_format, True),
    "bfloat16, channels last": (torch.channels_last, True),
}


class _Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5000, 96)
        layers = [nn.TransformerEncoderLayer(96, 4, 384, 0.0, batch_first=True) for _ in range(2)]
        self.layers, self.last = nn.Sequential(*layers), nn.Linear(96, 10)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.last(self.layers(self.table(tokens)).mean(dim=1))


def plain(width: int, channels: int) -> nn.Module:
    layers: list[nn.Module] = []
    for n_in, n_out in ((channels, width), (width, 2 * width), (2 * width, 4 * width)):
        layers += [nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out)]
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, 10))


def separable(width: int, channels: int) -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1)]
    for n_in, n_out in ((width, 2 * width), (2 * width, 4 * width)):
        layers += [nn.Conv2d(n_in, n_in, 3, padding=1, groups=n_in, bias=False)]
        layers += [nn.BatchNorm2d(n_in), nn.ReLU(), nn.Conv2d(n_in, n_out, 1, bias=False)]
        layers += [nn.BatchNorm2d(n_out), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, 10))


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.Linear(256, 10))


def stepper(network: nn.Module, x: Tensor, kind: str) -> Callable[[], None]:
    layout, bf16 = KINDS[kind]
    if x.ndim == 4:
        network, x = network.to(memory_format=layout), x.contiguous(memory_format=layout)
    y = torch.arange(len(x)) % 10
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            outputs = network(x)
        functional.cross_entropy(outputs.float(), y).backward()
        optimizer.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    n_rounds = 5 if parser.parse_args().quick else 25
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 5000, (64, 40), generator=generator)
    with _rng.seeded(0):
        cases = [
            ("plain CNN, 8x8", plain(16, 1), torch.rand(128, 1, 8, 8)),
            ("plain CNN, 32x32", plain(32, 3), torch.rand(64, 3, 32, 32)),
            ("separable CNN, 32x32", separable(32, 3), torch.rand(64, 3, 32, 32)),
            ("MLP, 64 columns", mlp(), torch.rand(256, 64)),
            ("Transformer, 40 tokens", _Transformer(), tokens),
        ]
    features = torch.cpu.get_capabilities()
    flags = [name for name in ("avx512_bf16", "amx_bf16") if features.get(name)]
    print(f"{features.get('cpu_name')}: {', '.join(flags) or 'no bfloat16 instructions'}")
    print("share of the float32 step, median [range]")
    for name, network, x in cases:
        kinds = [kind for kind in KINDS if x.ndim == 4 or "last" not in kind]
        steps = {kind: stepper(copy.deepcopy(network), x, kind) for kind in kinds}
        took: dict[str, list[float]] = {kind: [] for kind in kinds}
        for turn in range(n_rounds + 2):
            for kind, step in steps.items():
                began = time.process_time()
                step()
                if turn >= 2:  # the first ones warm up
                    took[kind].append(time.process_time() - began)
        base = took["float32"]
        print(f"{name}: {1e3 * statistics.median(base):.1f} ms in float32")
        for kind in kinds[1:]:
            ratios = [a / b for a, b in zip(took[kind], base, strict=True)]
            spread = f"[{min(ratios):.2f}, {max(ratios):.2f}]"
            print(f"  {kind:24} {statistics.median(ratios):.2f} {spread}", flush=True)


if __name__ == "__main__":
    main()
