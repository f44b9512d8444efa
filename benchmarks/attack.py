"""Our ensemble of attacks against torchattacks' AutoAttack and ART's, on the same networks.

Two networks, one trained plainly and one on attacked images, are attacked by each in turn, inside
one process on one thread; time is CPU seconds of the process, and a ratio is ours divided by
theirs, so below 1 is faster. Robust accuracy is counted by one and the same check of what each
attack returns: inside the ball and [0, 1], and misclassified; a figure that is not above the
rival's is as strong or stronger. The rivals run at their defaults. Rounding to real pixels, which
they do not do, is off. Times of a rival are measured with its data in its own format.

The rivals are installed by hand, since torchattacks' own pins are old:
pip install --no-deps torchattacks==3.5.1 adversarial-robustness-toolbox==1.20.1

Run: python -m benchmarks.attack [--quick] [--data digits|mnist]
"""

import argparse
import contextlib
import importlib.util
import io
import os
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import Tensor, nn

from netwright.audits.attack import LinfBall, strongest
from netwright.claims._victims import trained
from netwright.data import Task, load

Attack = Callable[[nn.Module, Tensor, Tensor, float, int], Tensor]
RADIUS = {"digits": 0.1, "mnist": 0.1}
ROOM = 1e-5  # float32, which rivals project in


def networks(task: Task, radius: float, steps: int) -> dict[str, nn.Module]:
    robust = {"adversarial": "pgd", "radius": radius, "attack_steps": 5}
    return {
        "plain": trained(task, steps=steps, seed=0),
        "adversarially trained": trained(task, steps=steps, seed=0, **robust),
    }


def ours(network: nn.Module, x: Tensor, y: Tensor, radius: float, seed: int, **effort) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return strongest(network, x, y, ball=LinfBall(radius), generator=generator, **effort).x


def torchattacks_autoattack(
    network: nn.Module, x: Tensor, y: Tensor, radius: float, seed: int
) -> Tensor:
    import torchattacks

    with torch.random.fork_rng():
        attack = torchattacks.AutoAttack(network, norm="Linf", eps=radius, n_classes=10, seed=seed)
        return attack(x, y).detach()


def art_autoattack(network: nn.Module, x: Tensor, y: Tensor, radius: float, seed: int) -> Tensor:
    import numpy as np
    from art.attacks.evasion import AutoAttack
    from art.estimators.classification import PyTorchClassifier

    np.random.seed(seed)  # noqa: NPY002 - what ART draws from
    with torch.random.fork_rng():
        classifier = PyTorchClassifier(
            network,
            loss=nn.CrossEntropyLoss(),
            input_shape=tuple(x.shape[1:]),
            nb_classes=10,
            clip_values=(0.0, 1.0),
            device_type="cpu",
        )
        attack = AutoAttack(classifier, norm=np.inf, eps=radius, eps_step=radius / 4)
        return torch.from_numpy(attack.generate(x.numpy(), y.numpy()))


def withstands(network: nn.Module, x: Tensor, y: Tensor, moved: Tensor, radius: float) -> float:
    """Share that is right on what an attack returned; what lies outside counts as not attacked."""
    inside = (moved - x).flatten(1).abs().amax(1) <= radius + ROOM
    inside &= ((moved >= -ROOM) & (moved <= 1 + ROOM)).flatten(1).all(1)
    with torch.no_grad():
        fooled = network(moved).argmax(1) != y
        wrong = network(x).argmax(1) != y
    return 1 - (wrong | (fooled & inside)).float().mean().item()


def timed(run: Callable[[], Tensor]) -> tuple[Tensor, float]:
    began = time.process_time()
    return run(), time.process_time() - began


def compare(
    network: nn.Module,
    x: Tensor,
    y: Tensor,
    radius: float,
    mine: Attack,
    theirs: Attack,
    n_pairs: int,
) -> str:
    ratios, accuracies = [], []
    for pair in range(n_pairs):
        took, share = {}, {}
        order = (mine, theirs) if pair % 2 else (theirs, mine)
        for attack in order:
            with contextlib.redirect_stderr(io.StringIO()):  # progress bars
                moved, took[attack] = timed(partial(attack, network, x, y, radius, pair))
            network.eval()  # ART leaves it in another mode
            share[attack] = withstands(network, x, y, moved, radius)
        ratios.append(took[mine] / took[theirs])
        accuracies.append((share[mine], share[theirs], took[mine], took[theirs]))
    a, b, s, t = (statistics.mean(column) for column in zip(*accuracies, strict=True))
    ratio = f"{statistics.median(ratios):.3f} [{min(ratios):.3f}, {max(ratios):.3f}]"
    return f"{a:7.3f} {b:7.3f}   {s:7.2f} {t:7.2f}   {ratio}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rows, one pair")
    parser.add_argument("--data", choices=sorted(RADIUS), default="digits")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # the rivals' advice
    radius = RADIUS[arguments.data]
    task = load(arguments.data)
    n, n_pairs = (60, 1) if arguments.quick else (150, 3)
    places = torch.arange(n)
    x, y = task.validation.take(places), task.validation.y[places]
    thorough = {"n_steps": 50, "n_targets": 9, "n_queries": 500}
    mine: dict[str, Attack] = {
        "default effort": ours,
        "50 steps, 9 targets, 500 queries": partial(ours, **thorough),
    }
    rivals: dict[str, tuple[str, Attack]] = {
        "torchattacks": ("torchattacks", torchattacks_autoattack),
        "ART": ("art", art_autoattack),
    }
    print(f"{arguments.data}, linf {radius}, {n} validation rows, {n_pairs} pairs, 1 thread")
    print(f"{'':62} {'robust accuracy':17} {'CPU seconds':17} time, ours / theirs")
    print(f"{'':62} {'ours':>7} {'theirs':>7}   {'ours':>7} {'theirs':>7}   median [range]")
    for name, network in networks(task, radius, 400).items():
        with torch.no_grad():
            clean = (network(x).argmax(1) == y).float().mean().item()
        print(f"{name}: clean accuracy {clean:.3f}")
        for rival, (module, theirs) in rivals.items():
            if importlib.util.find_spec(module) is None:
                print(f"  {rival} is not installed")
                continue
            for effort, attack in mine.items():
                found = compare(network, x, y, radius, attack, theirs, n_pairs)
                print(f"  {rival + ' against ' + effort:60} {found}", flush=True)


if __name__ == "__main__":
    main()
