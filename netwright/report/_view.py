"""What a page shows, as plain data: `build` and `audit` fill it, `write_report` lays it out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from netwright.finding import Finding, Heatmap, Lines, Measurement, Table
from netwright.requirement import Requirement

__all__ = ["ArtefactFile", "KeyFigure", "LeaderboardRow", "RequirementRow", "RunView"]


@dataclass(frozen=True, slots=True)
class RequirementRow:
    """One requirement and the finding that answers it.

    Attributes:
        text: as the user wrote it.
        finding: what was measured, and the judgement.
        comparison: ">=" or "<="; None where the bound is not known.
        bound: in the measurement's base units; None where it is not known.
    """

    text: str
    finding: Finding
    comparison: Literal["<=", ">="] | None = None
    bound: float | None = None

    @classmethod
    def of(cls, requirement: Requirement, finding: Finding) -> "RequirementRow":
        """Join a parsed requirement to its finding.

        Args:
            requirement: what was demanded.
            finding: what was measured, and the judgement.
        """
        return cls(requirement.text, finding, requirement.comparison, requirement.bound)


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """One number that stands out beside the drawing of the network.

    Attributes:
        label: what it counts, for example "parameters".
        value: in base units.
        unit: as in `Measurement.unit`.
        note: how it was measured, in a few words.
    """

    label: str
    value: float
    unit: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class LeaderboardRow:
    """One candidate of the search.

    Attributes:
        number: the candidate's number in the ledger.
        name: of its design.
        status: one word, for example "trained", "stopped", "too large", "failed".
        metrics: measurements on the validation split, by requirement text or quantity.
        size: bytes as shipped; None when not known.
        params: number of parameters; None when not known.
        fidelity: share of a full training, in (0, 1].
        axis: what was cut to that share: "epochs", "rows" or "resolution".
        seconds: what it cost.
        parent: number of the candidate whose weights it started from.
        chosen: whether this is the network that was shipped.
        note: why it failed or was stopped, in one sentence.
        costs: other measurements that training does not change, by quantity, for example "macs".
    """

    number: int
    name: str
    status: str
    metrics: Mapping[str, Measurement] = field(default_factory=dict)
    size: float | None = None
    params: int | None = None
    fidelity: float = 1.0
    seconds: float = 0.0
    parent: int | None = None
    chosen: bool = False
    note: str = ""
    costs: Mapping[str, Measurement] = field(default_factory=dict)
    axis: str = "epochs"


@dataclass(frozen=True, slots=True)
class ArtefactFile:
    """One file of the run folder.

    Attributes:
        name: relative to the run folder.
        size: bytes.
        sha256: hex digest of its content.
    """

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class RunView:
    """Everything a report page shows. Empty fields leave their section out.

    Attributes:
        title: heading of the page, for example the task's name.
        description: the task in one line.
        created: when the run ended, ISO 8601.
        version: of Netwright.
        command: the command line, or the call, that made the run.
        seed: the seed of the whole job.
        device: what it ran on, in words.
        job: "build" where Netwright made the network, "compress" where it made one smaller, "audit"
            where it was given one.
        requirements: each requirement with its finding, in the user's order.
        findings: every finding, in the order to show them.
        errors: names of the findings that belong in the section on errors.
        unreachable: where no candidate meets the requirements: what binds, and its price.
        front: where no candidate meets the requirements: the reachable front.
        prices: where no candidate meets the requirements: what each costs, and looser bounds would.
        design_name: of the shipped design.
        design_json: the shipped design.
        drawing: an SVG drawing of the network.
        figures: numbers beside the drawing.
        score: the metric, a key of `LeaderboardRow.metrics`, drawn against each cost.
        leaderboard: every candidate of the search.
        cells: an SVG drawing of the cells that the shipped network is stacked from.
        decided: what a controller came to prefer as the search went on.
        training: curves of the shipped network's training.
        schema: the schema, as text for people.
        splits: name and number of rows of each split.
        quarantine: rows left out: file, row, reason.
        duplicates: exact and near duplicates across splits.
        notes: what a reader must know about the data, one sentence each.
        looks: why the test split was opened, one entry a look.
        budget: time used by each stage.
        files: the run folder's files.
        agreement: largest absolute difference between ONNX Runtime's and torch's outputs on real
            rows; None when not compared.
        versions: name and version of the libraries that took part.
    """

    title: str
    description: str
    created: str
    version: str
    command: str = ""
    seed: int | None = None
    device: str = ""
    job: Literal["build", "compress", "audit"] = "build"
    requirements: tuple[RequirementRow, ...] = ()
    findings: tuple[Finding, ...] = ()
    errors: tuple[str, ...] = ()
    unreachable: str = ""
    front: Table | None = None
    prices: Table | None = None
    design_name: str = ""
    design_json: str = ""
    drawing: str = ""
    figures: tuple[KeyFigure, ...] = ()
    score: str = ""
    leaderboard: tuple[LeaderboardRow, ...] = ()
    cells: str = ""
    decided: tuple[Lines | Heatmap, ...] = ()
    training: tuple[Lines, ...] = ()
    schema: str = ""
    splits: tuple[tuple[str, int], ...] = ()
    quarantine: Table | None = None
    duplicates: Table | None = None
    notes: tuple[str, ...] = ()
    looks: tuple[str, ...] = ()
    budget: Table | None = None
    files: tuple[ArtefactFile, ...] = ()
    agreement: float | None = None
    versions: tuple[tuple[str, str], ...] = ()
