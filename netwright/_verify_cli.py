"""The command `netwright verify`: one property of one network, or a list of both."""

import json
import os
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from netwright.audits.verify import Instance, Verdict

__all__ = ["add_to"]

_COLOURS = {"unsat": "green", "sat": "red", "timeout": "yellow", "unknown": "yellow"}
_MEANING = {
    "unsat": "holds: no input violates the property",
    "sat": "violated: the input above violates the property",
    "timeout": "undecided: the time was up",
    "unknown": "undecided",
}


def add_to(app: typer.Typer) -> None:
    """Add the command.

    Args:
        app: the command line.
    """
    app.command()(verify)


def verify(
    network: Annotated[
        Path, typer.Argument(help="An .onnx or .nnet file, or an instances.csv with many problems.")
    ],
    prop: Annotated[
        Path | None,
        typer.Argument(metavar="PROPERTY", help="A VNN-LIB file; none with an instances.csv."),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(help="Seconds for each problem; by default 60, or what the list says."),
    ] = None,
    proof: Annotated[
        Path | None, typer.Option(help="Where to write a proof, if the property holds.")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes: side by side over a list, together on a problem.")
    ] = min(2, os.cpu_count() or 1),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the verdicts as JSON, nothing else.")
    ] = False,
) -> None:
    """Prove that a network has a property (VNN-LIB), or find an input that violates it.

    Prints sat (and the input), unsat, unknown or timeout, as the verification competition does; all
    else goes to stderr. The exit code is 0 if every problem is decided, 1 if one is not, 2 if a
    file cannot be used.
    """
    from rich.console import Console

    console = Console(stderr=True)
    if network.suffix == ".csv":
        if prop is not None or proof is not None:
            raise ValueError(
                "A list of problems names the properties itself, and proofs are written one at a "
                "time; leave PROPERTY and --proof out."
            )
        decided = _many(network, timeout, workers, as_json, console)
    else:
        if prop is None:
            raise ValueError(
                f"A VNN-LIB property of {network.name} is needed: `netwright verify {network} "
                f"property.vnnlib`."
            )
        limit = 60.0 if timeout is None else timeout
        decided = _one(network, prop, limit, proof, workers, as_json, console)
    raise typer.Exit(0 if decided else 1)


def _one(
    network: Path,
    prop: Path,
    timeout: float,
    proof: Path | None,
    workers: int,
    as_json: bool,
    console: "Console",
) -> bool:
    from netwright.audits.verify import verify as decide

    if proof is not None and not proof.parent.is_dir():
        raise ValueError(f"`--proof` must lie in a folder that exists; {proof.parent} does not.")
    began = time.monotonic()
    with console.status("Reading") as status:

        def watch(n_boxes: int) -> None:
            spent = time.monotonic() - began
            status.update(f"{n_boxes:,} sub-problems bounded, {spent:.0f} of {timeout:g} s")

        verdict = decide(network, prop, timeout=timeout, proof=proof, workers=workers, watch=watch)
    typer.echo(json.dumps(_record(network, prop, verdict), indent=2) if as_json else verdict.text)
    if not as_json:
        _explain(verdict, console)
    return verdict.outcome in ("sat", "unsat")


def _many(
    listing: Path, timeout: float | None, workers: int, as_json: bool, console: "Console"
) -> bool:
    from rich.progress import Progress, TimeElapsedColumn

    from netwright.audits.verify import read_instances, verify_instances, with_timeout

    listed = read_instances(listing)
    if timeout is not None:
        listed = with_timeout(listed, timeout)
    _require_files(listed)
    began = time.monotonic()
    made: dict[int, Verdict] = {}
    shown = 0
    bar = Progress(*Progress.get_default_columns(), TimeElapsedColumn(), console=console)
    with bar, closing(verify_instances(listed, workers=workers)) as verdicts:
        task = bar.add_task("Problems", total=len(listed))
        for i, verdict in verdicts:
            made[i] = verdict
            bar.update(task, advance=1)
            while not as_json and shown in made:  # in the order of the list
                typer.echo(_line(listed[shown], made[shown]))
                shown += 1
    if as_json:
        records = [_record(o.network, o.prop, made[i]) for i, o in enumerate(listed)]
        typer.echo(json.dumps(records, indent=2))
    else:
        counts = {word: sum(v.outcome == word for v in made.values()) for word in _MEANING}
        parts = ", ".join(f"{n} {word}" for word, n in counts.items() if n)
        console.print(f"{len(listed)} problems in {time.monotonic() - began:.1f} s: {parts}")
    return all(v.outcome in ("sat", "unsat") for v in made.values())


def _require_files(listed: "list[Instance]") -> None:
    missing = [path for one in listed for path in (one.network, one.prop) if not path.exists()]
    if missing:
        raise ValueError(
            f"The list names {len(set(missing))} files that do not exist, for example {missing[0]}."
        )


def _line(one: "Instance", verdict: "Verdict") -> str:
    parts = [one.network.stem, one.prop.stem, verdict.outcome, f"{verdict.seconds:.2f} s"]
    return "  ".join(parts + ([f"({verdict.note})"] if verdict.note else []))


def _explain(verdict: "Verdict", console: "Console") -> None:
    colour = _COLOURS[verdict.outcome]
    console.print(f"[{colour}]{_MEANING[verdict.outcome]}[/{colour}]", end="")
    console.print(f"  ({verdict.n_boxes:,} sub-problems, {verdict.seconds:.2f} s)", style="dim")
    if verdict.note:
        console.print(verdict.note, markup=False, soft_wrap=True)


def _record(network: Path, prop: Path, verdict: "Verdict") -> dict[str, Any]:
    found = verdict.counterexample
    return {
        "network": str(network),
        "property": str(prop),
        "outcome": verdict.outcome,
        "counterexample": found and {"inputs": list(found[0]), "outputs": list(found[1])},
        "seconds": round(verdict.seconds, 4),
        "sub_problems": verdict.n_boxes,
        "note": verdict.note,
    }
