"""The commands `netwright serve`, a run behind HTTP, and `netwright export`, a run elsewhere."""

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the commands.

    Args:
        app: the command line.
    """
    app.command()(serve)
    app.command()(export)


def serve(
    run: Annotated[
        Path, typer.Argument(help="The folder of a run, or an ONNX file that Netwright wrote.")
    ],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="NETWRIGHT_TOKEN", help="Only requests that bear it (Authorization: Bearer)."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="What the run was built on, if it has moved; none goes without."),
    ] = None,
    log: Annotated[
        str | None,
        typer.Option(help="SQLAlchemy address or SQLite file for answers; none keeps no log."),
    ] = None,
    keep_inputs: Annotated[
        bool, typer.Option("--keep-inputs", help="Log the rows and texts themselves too.")
    ] = False,
    batch: Annotated[int, typer.Option(min=1, help="Most rows of a batch.")] = 64,
    batch_wait: Annotated[
        float, typer.Option(min=0, help="Milliseconds for which a batch waits for more rows.")
    ] = 0.0,
    queue: Annotated[
        int, typer.Option(min=1, help="Rows that may wait before requests are turned away (429).")
    ] = 1024,
    upload: Annotated[float, typer.Option(min=0.001, help="Megabytes of a request.")] = 8.0,
    time_limit: Annotated[
        float, typer.Option(min=0.01, help="Seconds after which a request is given up (503).")
    ] = 10.0,
) -> None:
    """Answer requests over HTTP, log the answers, watch for drift; a page to try it at /.

    Stop it with Ctrl-C.
    """
    missing = [name for name in ("fastapi", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(
            f"`netwright serve` needs {' and '.join(missing)}: pip install 'netwright[serve]'."
        )
    from netwright.serve import serve as run_server

    run_server(
        run,
        host=host,
        port=port,
        token=token,
        data=data,
        log=log,
        keep_inputs=keep_inputs,
        batch_rows=batch,
        batch_wait=batch_wait / 1000,
        queue_rows=queue,
        most_bytes=int(upload * 1e6),
        time_limit=time_limit,
        tell=lambda line: typer.echo(line),
    )


def export(
    run: Annotated[
        Path, typer.Argument(help="The folder of a run, or an ONNX file that Netwright wrote.")
    ],
    to: Annotated[str, typer.Option(help="python, c, web, mlflow, huggingface, card or sbom.")],
    out: Annotated[
        Path | None, typer.Option(help="File or folder; by default one beside the model.")
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(help="For web: npm's onnxruntime-web, a folder or .tgz; `fetch` fetches it."),
    ] = None,
) -> None:
    """Write a run in another form: NumPy source, a C header, a page for the browser, a model card.

    python and c are for small networks; they compute what model.onnx computes.
    """
    from netwright.serve import export as write

    for path in write(run, to, out, runtime=runtime):
        typer.echo(str(path))
