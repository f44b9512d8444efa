"""Write a served model in another form: for other languages, other machines, other people."""

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path

from netwright._files import write_atomically
from netwright.serve._card import model_card
from netwright.serve._model import ServedModel, open_model
from netwright.serve._sbom import bill_of_materials
from netwright.serve._to_c import to_c
from netwright.serve._to_mlflow import to_mlflow
from netwright.serve._to_python import to_python
from netwright.serve._to_web import to_web

__all__ = ["FORMS", "export"]

_SHIPPED = ("model.safetensors", "design.json", "schema.json", "findings.json")


def export(
    place: Path | str,
    form: str,
    out: Path | str | None = None,
    *,
    runtime: Path | str | None = None,
) -> tuple[Path, ...]:
    """Write a run, or an ONNX file that Netwright wrote, in another form.

    Args:
        place: the run's folder, or the file.
        form: "python" (one file, NumPy alone), "c" (one header), "web" (a folder that runs in the
            browser), "mlflow" (a folder that `mlflow.pyfunc.load_model` opens), "huggingface" (a
            folder with a model card), "card" or "sbom".
        out: the file or the folder; by default one beside the model.
        runtime: for "web", the npm package `onnxruntime-web` (a folder or a `.tgz`), or "fetch" to
            fetch it; by default what was fetched before.

    Returns:
        What was written.

    Raises:
        ExportError: if the model cannot be written so; says why.
        ValueError: if there is no such form, or `place` holds no run.
    """
    if form not in FORMS:
        near = difflib.get_close_matches(form, FORMS, n=1)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        raise ValueError(f"`{form}` is no form.{hint} Known: {', '.join(FORMS)}.")
    if runtime is not None and form != "web":
        raise ValueError(f"`runtime` is for the form `web`; got it for `{form}`.")
    model = open_model(place)
    where = None if out is None else Path(out)
    return _web(model, where, runtime) if form == "web" else FORMS[form](model, where)


def _file(name: str, write: Callable[[ServedModel], str]) -> Callable[..., tuple[Path, ...]]:
    def run(model: ServedModel, out: Path | None) -> tuple[Path, ...]:
        path = out if out is not None else model.path.parent / name
        content = write(model)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
        return (path,)

    return run


def _huggingface(model: ServedModel, out: Path | None) -> tuple[Path, ...]:
    folder = out if out is not None else model.path.parent / "huggingface"
    folder.mkdir(parents=True, exist_ok=True)
    made = {"model.onnx": model.path.read_bytes(), "README.md": model_card(model).encode()}
    made["sbom.cdx.json"] = bill_of_materials(model).encode()
    for name in _SHIPPED:
        source = model.path.parent / name
        if model.run is not None and source.is_file():
            made[name] = source.read_bytes()
    for name, content in made.items():
        write_atomically(folder / name, content)
    return tuple(folder / name for name in made)


def _web(
    model: ServedModel, out: Path | None, runtime: Path | str | None = None
) -> tuple[Path, ...]:
    return to_web(model, out if out is not None else model.path.parent / "web", runtime=runtime)


def _mlflow(model: ServedModel, out: Path | None) -> tuple[Path, ...]:
    return to_mlflow(model, out if out is not None else model.path.parent / "mlflow")


FORMS: Mapping[str, Callable[..., tuple[Path, ...]]] = {
    "python": _file("model.py", to_python),
    "c": _file("model.h", to_c),
    "web": _web,
    "mlflow": _mlflow,
    "huggingface": _huggingface,
    "card": _file("README.md", model_card),
    "sbom": _file("sbom.cdx.json", bill_of_materials),
}
