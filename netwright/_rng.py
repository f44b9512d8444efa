"""One seed, many independent streams: each stage draws from a generator of its own name."""

import contextlib
import hashlib
from collections.abc import Iterator

import torch

__all__ = ["child", "child_seed", "seeded"]


def child_seed(seed: int, name: str) -> int:
    """Derive the seed of one stage, so that adding a stage changes no other.

    Args:
        seed: the seed of the whole job.
        name: the stage, for example "search" or "fit/3".

    Returns:
        An integer in [0, 2**63).
    """
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def child(seed: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """Make the generator of one stage.

    Args:
        seed: the seed of the whole job.
        name: the stage, for example "search" or "fit/3".
        device: where the generator draws.
    """
    return torch.Generator(device).manual_seed(child_seed(seed, name))


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run code that reads only torch's global generator (dropout, layer constructors) reproducibly.

    The global state is restored afterwards.

    Args:
        seed: the seed of the global generators inside the block.
    """
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
