"""How far can an attacker move an image before the answer changes?

`python examples/attack_a_network.py` attacks a linear classifier, where the truth is known: the
distance of a point to a hyperplane.
"""

import torch

from netwright.audits.attack import L2Ball, pgd

NORMAL = torch.tensor([3.0, 4.0]) / 5.0


def classify(x: torch.Tensor) -> torch.Tensor:
    distance = x @ NORMAL - 0.5
    return torch.stack([-distance, distance], dim=1)


def main() -> dict[float, bool]:
    x = torch.tensor([[0.6, 0.4]])  # at distance 0.18 from the boundary, on the side of class 1
    found = {}
    for radius in (0.05, 0.15, 0.25):
        seeded = torch.Generator().manual_seed(0)
        attacked = pgd(classify, x, torch.tensor([1]), ball=L2Ball(radius), generator=seeded)
        found[radius] = attacked.fooled.item()
        print(f"within {radius:.2f}: {'fooled' if found[radius] else 'holds'}")
    return found


if __name__ == "__main__":
    main()
