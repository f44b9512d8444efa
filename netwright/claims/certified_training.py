"""E2, second half: training by bounds, so that robustness is proved and not only not refuted.

Four small convolutional networks alike, on mnist where it is at hand and on digits otherwise:
trained plainly, on attacked images, by intervals (IBP), and by linear bounds that give way to
intervals (CROWN-IBP). Each is tested on plain rows, under attack, and by proof on the exported
file.
"""

import time
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from netwright import _rng
from netwright.artefact import to_onnx
from netwright.audits.attack import LinfBall, strongest
from netwright.audits.verify import Certified, certify_ball, read_bounded
from netwright.claims._victims import images_task
from netwright.data import Task
from netwright.design import Design, build_network
from netwright.finding import Finding, Judgement, Table
from netwright.learn import Recipe, fit, start_for_bounds
from netwright.measure import proportion

__all__ = ["BAR", "ID", "TITLE", "run"]

ID = "certified-training"
TITLE = "Certified training: what IBP and CROWN-IBP prove, and what other trainings leave unproved"
BAR = (
    "at linf 0.1, training by intervals has at least 90 % of the rows proved (70 % after the short "
    "training of the quick run), and by intervals alone at least 50 points more of them than "
    "training on attacked images; no attack breaks a proved row"
)
_LEAST, _LEAST_QUICK, _AHEAD = 0.90, 0.70, 0.50
_RADIUS = 0.1
_SLACK = 1.1  # of the radius trained for
_TOGETHER = 10  # rows bounded at once
_QUICK, _FULL = (50, 250), (500, 3000)  # rows, steps
_RECIPE = Recipe(learning_rate=1e-2, weight_decay=0.0, batch_size=128)
_TRAININGS: dict[str, dict[str, Any]] = {
    "plain images": {},
    "attacked images (PGD)": {"adversarial": "pgd", "attack_steps": 4},
    "intervals (IBP)": {"certified": "ibp"},
    "linear bounds (CROWN-IBP)": {"certified": "crown_ibp"},
}


def run(*, full: bool, seed: int) -> Finding:
    """Train one network in four ways, and prove what can be proved of each.

    Args:
        full: longer training and more rows.
        seed: of splits, weights, training and attacks.

    Returns:
        The share of rows proved for the network trained by intervals; the table of all four.
    """
    began = time.monotonic()
    n, steps = _FULL if full else _QUICK
    task = images_task(seed)
    test = task.test.open(f"claim {ID}")
    places = torch.randperm(len(test), generator=_rng.child(seed, "claims/certified/rows"))[:n]
    x, y = test.take(places), test.y[places]
    generator = _rng.child(seed, "claims/certified/attack")
    table: dict[str, list[float]] = {}
    broken = 0
    for name, changes in _TRAININGS.items():
        network = _trained(task, steps, seed, changes)
        with torch.no_grad():
            right = network(x).argmax(1) == y
        ball = LinfBall(_RADIUS)
        fooled = strongest(network, x, y, ball=ball, generator=generator).fooled
        found = _bounded(network, task, x, y)
        proved = right & torch.cat([part.holds for part in found])
        first = [method == "intervals" for part in found for method in part.method]
        at_once = proved & torch.tensor(first)
        broken += int((fooled & proved).sum())
        shares = (right, right & ~fooled, proved, at_once)
        table[name] = [share.float().mean().item() for share in shares]
    _, (*_, attacks, attacks_at_once), (*_, intervals, at_once), (*_, linear, _) = table.values()
    ahead = at_once - attacks_at_once
    met = intervals >= (_LEAST if full else _LEAST_QUICK) and ahead >= _AHEAD and not broken
    summary = (
        f"On {task.name}, at linf {_RADIUS}, {intervals:.1%} of {n} rows are proved after training "
        f"by intervals ({at_once:.1%} by intervals alone), {linear:.1%} after CROWN-IBP, and "
        f"{attacks:.1%} after training on attacked images ({attacks_at_once:.1%} by intervals "
        f"alone); attacks broke {broken} proved rows."
    )
    return Finding(
        name=f"claim/{ID}",
        title=TITLE,
        summary=summary,
        measurement=proportion(round(intervals * n), n, note="proved by bounds"),
        requirement=BAR,
        judgement=Judgement("met" if met else "broken", summary),
        evidence=(
            Table(
                f"Accuracy by training ({task.name}, {n} rows, linf {_RADIUS}, {steps} steps)",
                ("trained on", "plain rows", "under attack", "proved", "by intervals alone"),
                tuple((name, *(round(v, 3) for v in row)) for name, row in table.items()),
            ),
        ),
        seconds=time.monotonic() - began,
    )


def _trained(task: Task, steps: int, seed: int, changes: dict[str, Any]) -> nn.Module:
    strides = [1, 2] if task.schema.input.shape[-1] < 16 else [2, 2]
    parameters = {"widths": [8, 16], "strides": strides, "hidden": 64}
    design = Design("victim", "plain_cnn", parameters)
    network = build_network(design, task.schema, seed=_rng.child_seed(seed, "weights"))
    recipe = replace(_RECIPE, radius=_SLACK * _RADIUS, **changes)
    if recipe.certified:
        start_for_bounds(network, generator=_rng.child(seed, "weights/bounds"))
    fit(
        network, task.train, task.validation, target=task.schema.target, recipe=recipe,
        steps=steps, seed=_rng.child_seed(seed, "fit"), device="cpu",
    )  # fmt: skip
    return network


def _bounded(network: nn.Module, task: Task, x: Tensor, y: Tensor) -> list[Certified]:
    """Bound the exported file over the ball around each row."""
    program = read_bounded(to_onnx(network, task.schema, sample=x[:1]))
    pairs = zip(x.split(_TOGETHER), y.split(_TOGETHER), strict=True)
    return [certify_ball(program, *pair, linf=_RADIUS, steps=0) for pair in pairs]
