"""A run: the folder in which a build leaves its network and its evidence."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from netwright.finding import Finding, Verdict

if TYPE_CHECKING:
    from torch import nn

    from netwright.data import Schema
    from netwright.design import Design

__all__ = ["Run"]


@dataclass(frozen=True, eq=False)
class Run:
    """The folder of one build. Everything is read from its files, when it is asked for.

    Attributes:
        folder: holds `task.json`, `split.parquet`, `design.json`, `model.safetensors`,
            `model.onnx`, `findings.json`, `report.html`, `log.jsonl` and the search ledger.
    """

    folder: Path

    @classmethod
    def open(cls, folder: str | Path) -> "Run":
        """Open the folder of a finished build.

        Args:
            folder: as printed by `build`, or given to it as `out`.

        Raises:
            ValueError: if the folder holds no finished run.
        """
        found = cls(Path(folder))
        if not (found.folder / "findings.json").is_file():
            raise ValueError(
                f"{found.folder} holds no finished run (no findings.json); "
                f"`netwright build` continues an unfinished one."
            )
        return found

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """All findings; those on requirements come first."""
        from netwright.report import findings_from_json

        return findings_from_json(self._text("findings.json"))

    @cached_property
    def design(self) -> "Design":
        """The design that was chosen."""
        from netwright.design import design_from_json

        return design_from_json(self._text("design.json"))

    @cached_property
    def schema(self) -> "Schema":
        """The schema of the data; it also travels inside `model.onnx`."""
        from netwright.data import schema_from_json

        return schema_from_json(self._text("schema.json"))

    @cached_property
    def network(self) -> "nn.Module":
        """The trained network, rebuilt from design and weights, in eval mode."""
        from safetensors.torch import load_file

        from netwright.design import build_network
        from netwright.nn import Calibrated

        network = build_network(self.design, self.schema, seed=0)
        if self.schema.target.kind in ("class", "labels"):
            network = Calibrated(network)
        network.load_state_dict(load_file(self.folder / "model.safetensors"))
        return network.eval()

    def _text(self, name: str) -> str:
        path = self.folder / name
        if not path.is_file():  # a pipe or a device would be read for ever
            raise FileNotFoundError(f"{path} is missing, or no file: the run is not whole.")
        return path.read_text(encoding="utf-8")

    @property
    def artefact(self) -> Path:
        """The file to ship: `model.onnx`, preprocessing inside."""
        return self.folder / "model.onnx"

    @property
    def report(self) -> Path:
        """The page to read."""
        return self.folder / "report.html"

    @property
    def job(self) -> dict:
        """What was asked: source, requirements, budget, seed, version."""
        return json.loads(self._text("job.json"))

    @property
    def verdict(self) -> Verdict:
        """The verdict on all requirements together: the worst of them; met if there are none."""
        verdicts = {f.judgement.verdict for f in self.findings if f.judgement is not None}
        if "broken" in verdicts:
            return "broken"
        return "undecided" if "undecided" in verdicts else "met"
