"""What can my own PyTorch module not be trusted with?

`python examples/audit_your_module.py` trains a plain network on digits and questions it.
"""

import torch
from torch import nn

import netwright as nw


def train(task: nw.Task, n_steps: int) -> nn.Module:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    order = torch.Generator().manual_seed(0)
    while n_steps > 0:
        for x, y in task.train.batches(64, generator=order):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x), y).backward()
            optimizer.step()
            n_steps -= 1
    return network.eval()


def main(n_steps: int = 500) -> tuple[nw.Finding, ...]:
    task = nw.load("digits", seed=0)
    network = train(task, n_steps)
    require = ["accuracy >= 0.9", "robust(linf=8/255) >= 0.5", "ece <= 0.1"]
    findings = nw.audit(network, task, require=require)
    for finding in findings:
        print(f"{finding.title}: {finding.summary}")
    return findings


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
