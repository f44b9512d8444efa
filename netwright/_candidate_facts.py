"""What the journal and the run's folder say of a candidate: facts, costs, where its weights lie."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from netwright.design import Design
from netwright.finding import Measurement, format_value
from netwright.requirement import Requirement

__all__ = ["cost_text", "place_of", "pruned_facts", "weights_file"]


def pruned_facts(design: Design, broken: Requirement, measured: Measurement) -> dict[str, Any]:
    """Say why a candidate is not worth training.

    Args:
        design: of the candidate.
        broken: the bound on costs that it breaks.
        measured: by how much.
    """
    value = format_value(measured.value, measured.unit)
    value = {"lower bound": "at least ", "table": "about "}.get(measured.method, "") + value
    return {
        "design": design.name,
        "fidelity": 0.0,
        "status": "not trained",
        "score": "",
        "cost": f"{broken.quantity} {value} breaks {broken.text}",
    }


def cost_text(costs: Mapping[str, Measurement]) -> str:
    """Write a candidate's size and parameters, as far as they were measured.

    Args:
        costs: measurements, by requirement text or quantity name.
    """
    return ", ".join(
        format_value(costs[name].value, costs[name].unit)
        for name in ("size", "params")
        if name in costs
    )


def place_of(folder: Path, number: int) -> Path:
    """Return the folder of a candidate.

    Args:
        folder: of the run.
        number: of the candidate.
    """
    return folder / "candidates" / f"{number:03d}"


def weights_file(folder: Path, number: int) -> Path:
    """Return the file of a candidate's trained weights.

    Args:
        folder: of the run.
        number: of the candidate.
    """
    return place_of(folder, number) / "model.safetensors"
