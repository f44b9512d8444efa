"""Train every distinct tiny cell on handwritten digits, and write what became of it to a table.

The table lets searches be compared exactly and in seconds: every design has been trained with three
seeds, its accuracy is known after several epochs, and so is the best design there is. Run it with

    python -m benchmarks.tabular

It takes about seven minutes of one core and continues where it was stopped. The three trainings of
a design differ in their first weights and in the order of their batches, and are computed together.
"""

import argparse
import copy
import functools
import itertools
import json
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from netwright import _rng
from netwright.claims._tiny_cells import EPOCHS, PATH, SCHEMA, SEEDS, space
from netwright.design import build_network
from netwright.design.spaces import Code, count
from netwright.design.strategies import jacobian_covariance, naswot, synflow
from netwright.learn import Recipe, cosine
from netwright.measure import macs

N_TRAIN, N_HELD_OUT = 300, 600


@functools.cache
def digits() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return 300 rows to train on, and 600 others to measure on."""
    from sklearn.datasets import load_digits

    found = load_digits()
    x = torch.tensor(found.images, dtype=torch.float32).div(16).unsqueeze(1)
    y = torch.tensor(found.target)
    order = torch.randperm(len(y), generator=_rng.child(0, "tabular/rows"))
    train, held_out = order[:N_TRAIN], order[N_TRAIN : N_TRAIN + N_HELD_OUT]
    return (x[train], y[train]), (x[held_out], y[held_out])


def side_by_side(networks: list[nn.Module]) -> nn.Module:
    """Join networks of one design into one that computes them all, in groups of channels.

    It takes (batch, networks, 8, 8) and returns (batch, networks * classes); one third of the time
    of three networks is saved. Images must have been normalised.
    """
    joined = copy.deepcopy(networks[0])
    joined.normalise = nn.Identity()
    n = len(networks)
    for path, module in list(joined.named_modules()):
        each = [network.get_submodule(path) for network in networks]
        if isinstance(module, nn.Conv2d):
            shape = module.kernel_size, module.stride, module.padding
            wide = nn.Conv2d(
                n * module.in_channels, n * module.out_channels, *shape, groups=n, bias=False
            )
        elif isinstance(module, nn.BatchNorm2d):
            wide = nn.BatchNorm2d(n * module.num_features)
        elif isinstance(module, nn.Linear):
            wide = nn.Conv1d(n * module.in_features, n * module.out_features, 1, groups=n)
        else:
            continue
        for name, weight in wide.named_parameters():
            weight.data = torch.cat([getattr(m, name).data for m in each]).view_as(weight)
        if isinstance(module, nn.Linear):
            wide = nn.Sequential(nn.Unflatten(1, (-1, 1)), wide, nn.Flatten())
        parent, _, last = path.rpartition(".")
        setattr(joined.get_submodule(parent), last, wide)
    return joined.to(memory_format=torch.channels_last)


def train(
    networks: list[nn.Module],
    recipe: Recipe,
    rows: tuple[Tensor, Tensor],
    held_out: tuple[Tensor, Tensor],
) -> list[list[float]]:
    """Train networks of one design together; return the curve of each one's held-out accuracy."""
    n = len(networks)
    normalise = networks[0].get_submodule("normalise")
    x, unseen = normalise(rows[0]), normalise(held_out[0]).expand(-1, n, -1, -1)
    joined = side_by_side(networks)
    orders = [_rng.child(seed, "tabular/batches") for seed in range(n)]
    optimizer = torch.optim.AdamW(
        joined.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )
    size = recipe.batch_size
    n_steps = max(EPOCHS) * (N_TRAIN // size)
    step, found = 0, []
    for epoch in range(1, max(EPOCHS) + 1):
        drawn = torch.stack([torch.randperm(N_TRAIN, generator=g) for g in orders], dim=1)
        joined.train()
        for places in drawn.split(size):  # (batch, networks)
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * cosine(step / n_steps)
            images = x[places].squeeze(2).contiguous(memory_format=torch.channels_last)
            logits = joined(images).view(size, n, -1)
            # Networks share no weight, so the gradient of the sum is that of each one's loss.
            loss = functional.cross_entropy(
                logits.flatten(0, 1), rows[1][places].flatten(), reduction="sum"
            )
            optimizer.zero_grad()
            (loss / size).backward()
            optimizer.step()
            step += 1
        if epoch in EPOCHS:
            renew_statistics(joined, x.expand(-1, n, -1, -1))
            joined.eval()
            with torch.no_grad():  # in parts that stay in the cache
                logits = torch.cat([joined(part) for part in unseen.split(64)])
            logits = logits.view(len(unseen), n, -1)
            correct = (logits.argmax(dim=2) == held_out[1][:, None]).double().mean(dim=0)
            found.append(correct.tolist())
    return [list(curve) for curve in zip(*found, strict=True)]


@torch.no_grad()
def renew_statistics(network: nn.Module, x: Tensor) -> None:
    """Set the means and variances of normalisations to those of rows under today's weights.

    Running ones lag behind weights that move fast: after few epochs they, and not the design, would
    decide how accurate it is.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean of all batches
    network.train()
    for part in x.split(100):
        network(part)


def measure(code: Code) -> list[dict[str, object]]:
    """Train one design with every seed; a dictionary each."""
    rows, held_out = digits()
    design = space().design(code)
    networks = [
        build_network(design, SCHEMA, seed=_rng.child_seed(seed, "tabular/weights"))
        for seed in range(SEEDS)
    ]
    batch = rows[0][:64]
    scores = [
        {
            "synflow": synflow(network, batch),
            "jacobian_covariance": jacobian_covariance(network, batch),
            "naswot": naswot(network, batch),
        }
        for network in networks
    ]
    costs = macs(networks[0].eval(), batch[:1])
    curves = train(networks, design.recipe, rows, held_out)
    return [
        {
            "code": "".join(map(str, code)),
            "seed": seed,
            "params": costs.parameters,
            "macs": costs.macs,
            **scores[seed],
            **{f"accuracy_{n}": value for n, value in zip(EPOCHS, curves[seed], strict=True)},
        }
        for seed in range(SEEDS)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, help="train this many designs and write no table")
    limit = parser.parse_args().limit
    torch.set_num_threads(1)
    cells = space()
    places = itertools.product(*(range(len(d.options)) for d in cells.decisions))
    codes = sorted({cells.canonical(code) for code in places})
    partial = Path(__file__).parent / "tiny_cells_digits.partial.jsonl"
    lines = partial.read_text().splitlines() if partial.exists() else []
    done = [json.loads(line) for line in lines if line.endswith("}")]  # a kill may tear the last
    known = {row["code"] for row in done if row["seed"] == SEEDS - 1}
    done = [row for row in done if row["code"] in known]
    partial.write_text("".join(json.dumps(row) + "\n" for row in done))
    left = [code for code in codes if "".join(map(str, code)) not in known]
    print(f"{len(codes)} distinct designs of {count(cells):,} codes; {len(left)} to train")
    began = time.perf_counter()
    for number, code in enumerate(left[:limit], start=1):
        found = measure(code)
        done += found
        with partial.open("a") as file:
            file.write("".join(json.dumps(row) + "\n" for row in found))
        if number % 20 == 0:
            spent = time.perf_counter() - began
            print(f"{number} of {len(left)}, {spent / number:.2f} s a design", flush=True)
    if limit is None:
        write(done)
        partial.unlink()


def write(rows: list[dict[str, object]]) -> None:
    import pyarrow
    import pyarrow.parquet

    rows = sorted(rows, key=lambda row: (str(row["code"]), row["seed"]))
    table = pyarrow.Table.from_pylist(rows)
    shares = [name for name in table.column_names if name.startswith("accuracy")]
    for name in [*shares, "synflow", "jacobian_covariance", "naswot"]:
        place = table.column_names.index(name)
        table = table.set_column(place, name, table[name].cast(pyarrow.float32()))
    PATH.parent.mkdir(exist_ok=True)
    pyarrow.parquet.write_table(table, PATH, compression="zstd")
    print(f"{PATH.name}: {table.num_rows} rows, {PATH.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
