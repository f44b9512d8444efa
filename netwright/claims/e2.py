"""E2: training on attacked images, tested with and without attack; and smoothing's certificates.

The two-by-two table crosses plain and adversarial training with clean and attacked tests, on mnist
where it is at hand and on digits otherwise. A third network, trained on noise, is certified inside
l2 balls by the vote of noisy copies.
"""

import time

import torch
from torch import Tensor, nn

from netwright import _rng
from netwright.audits.attack import L2Ball, LinfBall, gradient_masking, strongest
from netwright.audits.verify import certify_smoothed
from netwright.claims._victims import images_task, trained
from netwright.finding import Finding, Heatmap, Judgement, Lines, Series, Table
from netwright.measure import proportion

__all__ = ["BAR", "ID", "TITLE", "run"]

ID = "E2"
TITLE = "Defences: the clean/adversarial two-by-two table, and certificates by smoothing"
BAR = (
    "adversarial training raises accuracy under attack by at least 30 points and costs at most 5 "
    "points of clean accuracy; no attack inside a certified l2 ball of 0.25 breaks the vote's class"
)
_GAIN, _PRICE = 0.30, 0.05
_LEVELS = 255
_RADII = {"mnist": 26 / 255, "digits": 26 / 255}
_NOISE = 0.25
_CERTIFIED = 0.25
_QUICK, _FULL = (100, 300, 30, 500), (1000, 3000, 300, 10_000)  # rows, steps, certified, votes


class _Noisy(nn.Module):
    # While it trains, images come with noise; so the vote of noisy copies means something.
    def __init__(self, inner: nn.Module, std: float) -> None:
        super().__init__()
        self.inner, self.std = inner, std

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x + self.std * torch.randn_like(x) if self.training else x)


def run(*, full: bool, seed: int) -> Finding:
    """Train plainly, on attacks and on noise, and test each as it was and was not trained.

    Args:
        full: longer training, more rows and more votes.
        seed: of splits, weights, training, attacks and noise.

    Returns:
        Accuracy under attack of the network trained on attacks; the table, the curve of certified
        accuracy, and what attacks leave inside the certified balls.
    """
    began = time.monotonic()
    n, steps, n_certified, n_votes = _FULL if full else _QUICK
    task = images_task(seed)
    test = task.test.open(f"claim {ID}")
    places = torch.randperm(len(test), generator=_rng.child(seed, "claims/e2/rows"))[:n]
    x, y = test.take(places), test.y[places]
    radius = _RADII[task.name] if task.name in _RADII else _RADII["digits"]
    attack = {"adversarial": "pgd", "radius": 1.1 * radius, "attack_steps": 4}
    networks = {
        "plain images": trained(task, steps=steps, seed=seed),
        "attacked images": trained(task, steps=steps, seed=seed, **attack),
    }
    generator = _rng.child(seed, "claims/e2/attack")
    bounds = {"ball": LinfBall(radius), "levels": _LEVELS, "generator": generator}
    table, doubts = {}, []
    for name, network in networks.items():
        with torch.no_grad():
            clean = (network(x).argmax(1) == y).float().mean().item()
        attacked = 1 - strongest(network, x, y, **bounds).fooled.float().mean().item()
        table[name] = (clean, attacked)
        doubts.append(gradient_masking(network, x[:40], y[:40], **bounds).reason)
    noisy = trained(task, steps=steps, seed=seed, wrap=lambda inner: _Noisy(inner, _NOISE))
    rows = slice(0, n_certified)
    curve, broken, n_held = _certify(noisy, x[rows], y[rows], n_votes, seed)
    (plain_clean, plain_attacked), (robust_clean, robust_attacked) = table.values()
    gain, price = robust_attacked - plain_attacked, plain_clean - robust_clean
    met = gain >= _GAIN and price <= _PRICE and not broken and not any(doubts)
    summary = (
        f"On {task.name}, training on attacked images takes accuracy under attack (linf "
        f"{radius * _LEVELS:.0f}/255) from {plain_attacked:.1%} to {robust_attacked:.1%}, and "
        f"clean accuracy from {plain_clean:.1%} to {robust_clean:.1%}. Smoothing certifies "
        f"{curve[_CERTIFIED]:.1%} inside l2 {_CERTIFIED}; attacks broke {broken} of {n_held}."
    )
    if any(doubts):
        summary += f" The attack cannot be believed: {next(filter(None, doubts))}."
    cells = tuple(table.values())
    return Finding(
        name=f"claim/{ID}",
        title=TITLE,
        summary=summary,
        measurement=proportion(round(robust_attacked * len(y)), len(y), note="under attack"),
        requirement=BAR,
        judgement=Judgement("met" if met else "broken", summary),
        evidence=(
            Heatmap(
                title=f"Accuracy: rows trained on, columns tested on ({task.name}, {len(y)} rows)",
                x_label="tested on",
                y_label="trained on",
                columns=("plain images", "attacked images"),
                rows=tuple(table),
                values=cells,
            ),
            Table(
                "Accuracy by training and test",
                ("trained on", "tested on plain images", "tested on attacked images"),
                tuple((name, round(a, 3), round(b, 3)) for name, (a, b) in table.items()),
            ),
            Lines(
                title=f"Certified accuracy of {n_certified} rows, noise of {_NOISE}",
                x_label="l2 radius, images in [0, 1]",
                y_label="accuracy that is certified",
                series=(Series("smoothed", tuple(curve), tuple(curve.values())),),
            ),
        ),
        seconds=time.monotonic() - began,
    )


def _certify(
    network: nn.Module, x: Tensor, y: Tensor, n_votes: int, seed: int
) -> tuple[dict[float, float], int, int]:
    # Certified accuracy by radius; of those certified at one radius, how many an attack broke.
    generator = _rng.child(seed, "claims/e2/smoothing")

    def classify(rows: Tensor) -> Tensor:
        return network(rows).argmax(1)

    settings = {"noise_std": _NOISE, "generator": generator}
    found = certify_smoothed(classify, x, n_select=100, n_estimate=n_votes, **settings)
    radii = (0.0, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.75)
    curve = {radius: found.certified(y, radius) / len(y) for radius in radii}
    held = (found.label == y) & (found.radius >= _CERTIFIED)
    if not held.any():
        return curve, 0, 0
    # Attacks on the network itself, whose vote is then asked again with fresh noise.
    tried = strongest(network, x[held], y[held], ball=L2Ball(_CERTIFIED), generator=generator)
    again = certify_smoothed(classify, tried.x, n_select=n_votes, n_estimate=n_votes, **settings)
    broken = int(((again.label != y[held]) & (again.label >= 0)).sum())
    return curve, broken, int(held.sum())
