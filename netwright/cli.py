"""The command line: `netwright build`, `audit`, `compress`, `verify`, `serve`, and others."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from netwright import _design_cli, _serve_cli, _verify_cli

_BEGAN = time.monotonic()  # budgets count from here: imports are part of the command

__all__ = ["app", "main"]

app = typer.Typer(
    name="netwright",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Build a neural network for your data against requirements, with the evidence.\n\n"
        'Begin with: [bold]netwright build digits --require "accuracy >= 0.97"[/bold]\n\n'
        "Exit codes: 0 all requirements met; 1 some broken or undecided; 2 wrong usage or input."
    ),
)

Require = Annotated[
    list[str] | None,
    typer.Option(
        "--require",
        "-r",
        help='A requirement, for example "accuracy >= 0.95" or "size <= 200 kB"; may be repeated.',
    ),
]
Target = Annotated[
    str | None,
    typer.Option(help="Column(s) to predict, separated by commas. Tables and JSONL need it."),
]
TextColumns = Annotated[
    str | None, typer.Option("--text", help="Column(s) that hold text, separated by commas.")
]
By = Annotated[
    str | None, typer.Option(help="Group column(s) by which gaps are measured, with commas.")
]
Group = Annotated[
    str | None, typer.Option(help="Column(s) whose groups must not stand on two sides of a split.")
]
TimeColumn = Annotated[
    str | None, typer.Option("--time", help="Column that orders the rows: the test is last.")
]
SplitColumn = Annotated[
    str | None, typer.Option("--split", help="Column that says train, validation or test.")
]
SchemaFile = Annotated[
    Path | None, typer.Option("--schema", help="TOML file that corrects the inferred schema.")
]
Seed = Annotated[int, typer.Option(help="Fixes the split, the search and the training.")]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder of the run; by default one under runs/ that this job owns."),
]
Device = Annotated[str, typer.Option(help="cpu, cuda, mps or auto.")]
Workers = Annotated[
    int | None,
    typer.Option(help="Candidates that are trained at once, each in a process of its own."),
]
Cluster = Annotated[
    str | None, typer.Option(help="Address of a Ray cluster whose machines train candidates.")
]
LedgerAddress = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        help="Database that keeps what was tried, as postgresql://user@server/searches; "
        "by default a file in the run's folder.",
    ),
]
Strategy = Annotated[
    str,
    typer.Option(
        help="How designs are searched: portfolio (strong defaults; from half an hour on evolution "
        "too), random, evolution, controller, ppo, progressive, bayesian; darts or enas (images: "
        "with an hour, say).",
    ),
]
Space = Annotated[
    str | None,
    typer.Option(
        help="What is searched: macro (whole networks) or cells (small graphs that are stacked). "
        "By default macro; cells for darts and enas."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the findings as JSON, nothing else.")]


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        from netwright import __version__

        typer.echo(f"netwright {__version__}")
        raise typer.Exit


@app.command()
def build(
    source: Annotated[
        str,
        typer.Argument(help="A folder, a file (csv, tsv, parquet, jsonl, npz) or a known name."),
    ],
    require: Require = None,
    budget: Annotated[
        str, typer.Option(help="Hard limit for the whole command: 60s, 5min, 1h, or 2000 steps.")
    ] = "5min",
    target: Target = None,
    text: TextColumns = None,
    by: By = None,
    group: Group = None,
    time_column: TimeColumn = None,
    split: SplitColumn = None,
    schema: SchemaFile = None,
    seed: Seed = 0,
    out: Out = None,
    device: Device = "auto",
    strategy: Strategy = "portfolio",
    space: Space = None,
    workers: Workers = None,
    cluster: Cluster = None,
    ledger: LedgerAddress = None,
    as_json: AsJson = False,
) -> None:
    """Find, train and ship a network that meets the requirements, and show the evidence.

    The same command continues a run that was killed. The exit code is 0 if every requirement is
    met, 1 if one is broken or undecided, 2 if the input cannot be used.
    """
    from rich.console import Console

    from netwright._build import build as build_run
    from netwright._live import LiveView
    from netwright.learn import Budget

    console = Console(stderr=as_json)
    limit = Budget.parse(budget)
    with LiveView(console, limit.seconds) as view:
        run = build_run(
            source,
            require=require or (),
            budget=budget,
            seed=seed,
            out=out,
            device=device,
            strategy=strategy,
            space=space,
            workers=workers,
            cluster=cluster,
            ledger=ledger,
            watch=view,
            began=_BEGAN,
            target=_names(target),
            text=_names(text),
            by=_names(by) or (),
            group=_names(group),
            time=time_column,
            split=split,
            schema=schema,
        )
    _close(run.findings, run.report, as_json, console)


@app.command()
def audit(
    model: Annotated[Path, typer.Argument(help="A run's folder, an .onnx file or a .pt2 file.")],
    data: Annotated[str, typer.Argument(help="Rows to question it with; as for build.")],
    require: Require = None,
    target: Target = None,
    text: TextColumns = None,
    by: By = None,
    schema: SchemaFile = None,
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.html and findings.json.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put a network that exists to the trial: requirements, errors, calibration, robustness."""
    from rich.console import Console

    from netwright._audit_file import audit_file

    console = Console(stderr=as_json)
    folder = out or Path("runs") / f"audit-{model.stem}"
    with console.status("Auditing"):
        findings = audit_file(
            model,
            data,
            require=require or (),
            out=folder,
            seed=seed,
            target=_names(target),
            text=_names(text),
            by=_names(by) or (),
            schema=schema,
        )
    _close(findings, folder / "report.html", as_json, console)


@app.command()
def compress(
    run: Annotated[Path, typer.Argument(help="The folder of a finished build.")],
    require: Annotated[
        list[str],
        typer.Option(
            "--require",
            "-r",
            help='A requirement, for example "size <= 50 kB" or "accuracy_drop <= 0.5 points"; '
            "may be repeated.",
        ),
    ],
    data: Annotated[
        str | None, typer.Option(help="The rows of the build, if they have moved since.")
    ] = None,
    budget: Annotated[
        str,
        typer.Option(help="For the trainings: 60s, 5min, or 2000 steps; the audit comes on top."),
    ] = "2min",
    target: Target = None,
    text: TextColumns = None,
    by: By = None,
    group: Group = None,
    time_column: TimeColumn = None,
    split: SplitColumn = None,
    schema: SchemaFile = None,
    seed: Seed = 0,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Make a run's network smaller, as far as requirements allow, and audit what is shipped.

    The result is one file, model.nwz, in a folder beside the run's. A run that was built with
    --target, --split and the like needs them again.
    """
    from rich.console import Console

    from netwright._compress import compress as compress_run

    console = Console(stderr=as_json)
    with console.status("Compressing") as status:
        made = compress_run(
            run,
            require=require,
            data=data,
            budget=budget,
            seed=seed,
            out=out,
            watch=lambda event: status.update(str(event.facts.get("text", "Compressing"))),
            target=_names(target),
            text=_names(text),
            by=_names(by) or (),
            group=_names(group),
            time=time_column,
            split=split,
            schema=schema,
        )
    for name in ("compression", "speed", "before_and_after"):
        found = next(f for f in made.findings if f.name == name)
        console.print(found.summary, markup=False, soft_wrap=True)
    _close(made.findings, made.report, as_json, console)


_verify_cli.add_to(app)
_serve_cli.add_to(app)


app.add_typer(_design_cli.app)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    as_json: AsJson = False,
) -> None:
    """Write a run's report.html again from its files, and print its verdicts."""
    from rich.console import Console

    from netwright._compress_page import write_any_page
    from netwright.run import Run

    opened = Run.open(run)
    write_any_page(opened)
    _close(opened.findings, opened.report, as_json, Console(stderr=as_json))


@app.command()
def reproduce(
    identifier: Annotated[
        str,
        typer.Argument(metavar="ID", help="A row of the systems table, for example C3; or all."),
    ],
    full: Annotated[
        bool,
        typer.Option("--full", help="The full claim; without it the quick one (at most 90 s)."),
    ] = False,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Measure a method's claim, and print the figure beside the bar."""
    from rich.console import Console

    from netwright._terminal import show_finding
    from netwright.claims import claim, claims
    from netwright.report import findings_to_json

    console = Console(stderr=as_json)
    chosen = claims() if identifier == "all" else (claim(identifier),)
    findings = []
    for each in chosen:
        console.print(f"[bold]{each.id}[/bold]  {each.title}")
        console.print(f"  must show: {each.bar}", markup=False)
        finding = each.run(full=full, seed=seed)
        findings.append(finding)
        show_finding(finding, console)
    if as_json:
        typer.echo(findings_to_json(tuple(findings)))
    bad = any(f.judgement is not None and f.judgement.verdict != "met" for f in findings)
    raise typer.Exit(1 if bad else 0)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Show versions, devices, what is missing and how to get it."""
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from netwright._doctor import examine

    checks = examine()
    if as_json:
        typer.echo(json.dumps([asdict(c) for c in checks], indent=2))
    else:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("", "part", "found", "what to do"):
            table.add_column(heading)
        for check in checks:
            mark = {"ok": "[green]ok[/green]", "missing": "[yellow]missing[/yellow]"}
            table.add_row(
                mark.get(check.state, "[red]wrong[/red]"),
                Text(check.part),
                Text(check.found),
                Text(check.advice),
            )
        Console().print(table)
    raise typer.Exit(2 if any(c.state == "wrong" for c in checks) else 0)


def main() -> None:
    """Run the command line; wrong input ends in one clear message and exit code 2."""
    # Threads that spin while they wait take the cores from each other on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except (SystemExit, KeyboardInterrupt) as stop:
        if isinstance(stop, SystemExit) and stop.code != 130:
            raise
        kept = " What was done is kept; the same command continues from there."
        goes_on = sys.argv[1:2] in (["build"], ["compress"])
        typer.echo("Stopped." + (kept if goes_on else ""), err=True)
        sys.exit(130)
    except (ValueError, TypeError, OSError) as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(2)


def _names(text: str | None) -> str | list[str] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return parts[0] if len(parts) == 1 else parts


def _close(findings: Any, page: Path, as_json: bool, console: Any) -> None:
    from netwright.report import findings_to_json, verdict_table

    if as_json:
        typer.echo(findings_to_json(findings))
    else:
        if any(f.requirement is not None for f in findings):
            console.print(verdict_table(findings))
        else:
            found = next(f for f in findings if f.name == "performance")
            console.print(f"No requirement was stated. {found.summary}", markup=False)
        console.print(f"Report: {page}", markup=False, soft_wrap=True)
    verdicts = {f.judgement.verdict for f in findings if f.judgement is not None}
    raise typer.Exit(0 if verdicts <= {"met"} else 1)
