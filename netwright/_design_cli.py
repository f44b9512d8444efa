"""`netwright design`: look at the network that a run has found."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from netwright.data import Schema
    from netwright.design import Design

__all__ = ["app", "show"]

app = typer.Typer(name="design", no_args_is_help=True, help="Look at the design of a run.")


@app.callback()
def _root() -> None:
    pass


_HELP = """Print a run's network: layer by layer, as a drawing, or as source that stands alone.

Save the source to a file; `python FILE RUN/model.safetensors` loads the trained weights.
"""


@app.command(help=_HELP)
def show(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    source: Annotated[
        bool,
        typer.Option("--source", help="Print PyTorch source that runs without Netwright."),
    ] = False,
    svg: Annotated[bool, typer.Option("--svg", help="Print a drawing, as SVG.")] = False,
) -> None:
    """Print a run's network: layer by layer, as a drawing, or as source that stands alone.

    Save the source to a file; `python FILE RUN/model.safetensors` loads the trained weights.

    Args:
        run: the folder of a run.
        source: print source instead of a table.
        svg: print a drawing instead of a table.

    Raises:
        ValueError: if both are asked for.
        FileNotFoundError: if the folder holds no finished run.
    """
    if source and svg:
        raise ValueError("`--source` and `--svg` are two outputs; ask for one at a time.")
    design, schema = _read(run)
    if source:
        from netwright.design import source as print_source

        text = print_source(design, schema, is_calibrated=_is_calibrated(run))
        typer.echo(text, nl=False)
        return
    if svg:
        from netwright.design import draw

        typer.echo(draw(design, schema))
        return
    _print_table(design, schema)


def _read(run: Path) -> "tuple[Design, Schema]":
    from netwright.data import schema_from_json
    from netwright.design import design_from_json

    for name in ("design.json", "schema.json"):
        if not (run / name).is_file():
            raise FileNotFoundError(
                f"{run} has no {name}: it is not the folder of a finished run. `netwright build` "
                f"prints the folder that it writes."
            )
    design = design_from_json((run / "design.json").read_text(encoding="utf-8"))
    return design, schema_from_json((run / "schema.json").read_text(encoding="utf-8"))


def _is_calibrated(run: Path) -> bool:
    weights = run / "model.safetensors"
    if not weights.is_file():
        return False
    from safetensors import safe_open

    with safe_open(weights, framework="pt") as opened:
        return "temperature" in opened.keys()  # noqa: SIM118


def _print_table(design: "Design", schema: "Schema") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from netwright.design import blocks_of, build_network

    network = build_network(design, schema, seed=0)
    blocks = blocks_of(network, schema)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("layer")
    table.add_column("what it does")
    table.add_column("leaves it", justify="right")
    table.add_column("parameters", justify="right")
    for block in blocks:
        shape = " × ".join(map(str, block.shape))
        count = f"{block.n_parameters:,}" if block.n_parameters else "–"
        table.add_row(Text(block.path), Text(block.label), shape, count)
    total = sum(p.numel() for p in network.parameters())
    console = Console()
    console.print(f"{design.name} ({design.family}, {total:,} parameters)", markup=False)
    console.print(table)
