"""E1: the ensemble against each attack alone, on a weak network and on one trained on attacks.

All attacks of one table search the same linf ball, with the same number of gradient steps, on the
same test rows, and count only real pixels. Attacks with aims of their own (the smallest change, few
pixels, a patch, a turn) stand in a second table. The ladder of checks says whether the figures can
be believed; rivals are compared in `benchmarks/attack.py`.
"""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from netwright import _rng
from netwright.audits.attack import (
    Attacked,
    L2Ball,
    LinfBall,
    apgd,
    apgd_targeted,
    bim,
    carlini_wagner,
    deepfool,
    fab,
    fgsm,
    gradient_masking,
    hop_skip_jump,
    jsma,
    logit_ratio,
    momentum_pgd,
    patch,
    pgd,
    spatial,
    square_linf,
    strongest,
    universal,
)
from netwright.claims._victims import trained
from netwright.data import load
from netwright.finding import Bars, Cell, Finding, Judgement, Series, Table
from netwright.measure import proportion

__all__ = ["BAR", "ID", "TITLE", "run"]

ID = "E1"
TITLE = "Attacks: the ensemble's robust accuracy beside each single attack's"
BAR = (
    "on a weak and on an adversarially trained network the ensemble leaves at most the accuracy "
    "that any single attack leaves, and every check of the attack passes"
)
_RADIUS = 25 / 255
_LEVELS = 255
_STEPS = 20
_QUICK, _FULL = (100, 300), (359, 1500)  # test rows, training steps


def run(*, full: bool, seed: int) -> Finding:
    """Train two networks on digits and attack them in every way.

    Args:
        full: attack all test rows of networks that were trained longer.
        seed: of splits, weights, training and attacks.

    Returns:
        Accuracy of the trained network under the ensemble; accuracies under each attack.
    """
    began = time.monotonic()
    n, steps = _FULL if full else _QUICK
    task = load("digits", seed=seed)
    test = task.test.open(f"claim {ID}")
    places = torch.arange(min(n, len(test)))
    x, y = test.take(places), test.y[places]
    radius = {"radius": 1.1 * _RADIUS, "attack_steps": 5}
    victims = {
        "trained plainly": trained(task, steps=steps, seed=seed),
        "trained on attacks": trained(task, steps=steps, seed=seed, adversarial="pgd", **radius),
    }
    alone = {name: _alone(network, x, y, seed) for name, network in victims.items()}
    together: dict[str, float] = {}
    believed = {}
    for name, network in victims.items():
        generator = _rng.child(seed, f"claims/e1/{name}")
        effort = {"n_steps": 2 * _STEPS, "n_targets": 9, "n_queries": 200}
        bounds = {"ball": LinfBall(_RADIUS), "levels": _LEVELS, "generator": generator}
        together[name] = _right(strongest(network, x, y, **effort, **bounds))
        believed[name] = gradient_masking(network, x[:60], y[:60], **bounds).reason
    others = {name: _others(network, x, y, seed) for name, network in victims.items()}
    lowest = {name: min(found.values()) for name, found in alone.items()}
    met = all(together[name] <= lowest[name] for name in victims)
    met &= not any(believed.values())
    weak, strong = together.values()
    summary = (
        f"The ensemble leaves {weak:.1%} of the plain network's accuracy and {strong:.1%} of the "
        f"trained one's; the strongest attack alone leaves {lowest['trained plainly']:.1%} and "
        f"{lowest['trained on attacks']:.1%}."
    )
    doubt = next(filter(None, believed.values()), "")
    if doubt:
        summary += f" The attack cannot be believed: {doubt}."
    return Finding(
        name=f"claim/{ID}",
        title=TITLE,
        summary=summary,
        measurement=proportion(round(strong * len(y)), len(y), note="trained on attacks"),
        requirement=BAR,
        judgement=Judgement("met" if met else "broken", summary),
        evidence=(_chart(alone, together), _table(victims, x, y, alone, together), _more(others)),
        seconds=time.monotonic() - began,
    )


def _right(found: Attacked) -> float:
    return 1 - found.fooled.float().mean().item()


def _alone(network: nn.Module, x: Tensor, y: Tensor, seed: int) -> dict[str, float]:
    # Accuracy under each attack of the same ball.
    ball, generator = LinfBall(_RADIUS), _rng.child(seed, "claims/e1/alone")
    by_ball = {"ball": ball, "n_steps": _STEPS, "levels": _LEVELS}
    by_chance = {**by_ball, "generator": generator}
    by_radius = {"radius": _RADIUS, "levels": _LEVELS}
    attacks: dict[str, Callable[[], Attacked]] = {
        "FGSM": lambda: fgsm(network, x, y, **by_radius),
        "BIM": lambda: bim(network, x, y, n_steps=_STEPS, **by_radius),
        "PGD": lambda: pgd(network, x, y, **by_chance),
        "PGD with momentum": lambda: momentum_pgd(network, x, y, **by_ball),
        "APGD-CE": lambda: apgd(network, x, y, **by_chance),
        "APGD-DLR": lambda: apgd(network, x, y, loss=logit_ratio, **by_chance),
        "APGD-T": lambda: apgd_targeted(network, x, y, n_targets=3, **by_chance),
        "FAB-T": lambda: fab(network, x, y, n_targets=3, **by_chance),
        "Square": lambda: square_linf(
            network, x, y, n_queries=200, generator=generator, **by_radius
        ),
    }
    return {name: _right(attack()) for name, attack in attacks.items()}


def _others(network: nn.Module, x: Tensor, y: Tensor, seed: int) -> dict[str, float]:
    # One telling figure for each attack with an aim of its own.
    generator = _rng.child(seed, "claims/e1/others")
    far = L2Ball(10.0)
    near = deepfool(network, x, y, ball=far)
    nearest = carlini_wagner(network, x[:40], y[:40])
    by_classes = hop_skip_jump(network, x[:20], y[:20], ball=far, n_steps=5, generator=generator)
    few = jsma(network, x, y)
    one = universal(network, x, y, ball=LinfBall(_RADIUS), n_steps=60, generator=generator)
    stuck = patch(network, x, aim=3, side=3, n_steps=60, generator=generator)
    turned = spatial(network, x, y, degrees=30, pixels=1, n_angles=9, n_shifts=3)
    return {
        "DeepFool: median length of the change": near.distance.median().item(),
        "Carlini-Wagner: median length of the change": nearest.distance.median().item(),
        "HopSkipJump, classes alone: median length": by_classes.distance.median().item(),
        "JSMA, at most 15 % of the pixels: accuracy left": _right(few),
        "one change for all images: accuracy left": 1 - one.fooled.float().mean().item(),
        "patch of 3 by 3 pixels: share read as a 3": stuck.share,
        "turned by 30 degrees, moved by a pixel: accuracy left": _right(turned),
    }


def _chart(alone: dict[str, dict[str, float]], together: dict[str, float]) -> Bars:
    series = tuple(
        Series(
            name,
            (*found, "ensemble"),
            (*found.values(), together[name]),
        )
        for name, found in alone.items()
    )
    title = f"Accuracy that each attack leaves, every pixel within {_RADIUS * _LEVELS:.0f}/255"
    return Bars(title, "attack", "accuracy", series)


def _table(
    victims: dict[str, nn.Module],
    x: Tensor,
    y: Tensor,
    alone: dict[str, dict[str, float]],
    together: dict[str, float],
) -> Table:
    with torch.no_grad():
        clean = [(v(x).argmax(1) == y).float().mean().item() for v in victims.values()]
    rows: list[tuple[Cell, ...]] = [("none", *(round(c, 3) for c in clean))]
    for attack in next(iter(alone.values())):
        rows.append((attack, *(round(alone[name][attack], 3) for name in victims)))
    rows.append(("ensemble", *(round(together[name], 3) for name in victims)))
    title = f"Accuracy of digits under attack, {len(y)} test rows, {_STEPS} gradient steps"
    return Table(title, ("attack", *victims), tuple(rows))


def _more(others: dict[str, dict[str, float]]) -> Table:
    names = next(iter(others.values()))
    rows = tuple((name, *(round(found[name], 3) for found in others.values())) for name in names)
    return Table("Attacks with aims of their own", ("figure", *others), rows)
