"""Write a model as MLflow keeps its own: a folder that `mlflow.pyfunc.load_model` opens.

Format:   MLflow Models, https://mlflow.org/docs/latest/ml/model/ : `MLmodel` (YAML), the flavours
          `python_function` (a loader of ours in `code/`, for raw rows) and `onnx` (the file alone).
MLflow itself is not needed to write it. The identifier follows from the file, and no time stands in
the folder, so that the same model gives the same bytes.
"""

import importlib.metadata
import json
import platform
import uuid
from importlib import resources
from pathlib import Path
from typing import Any

from netwright import __version__
from netwright._files import write_atomically
from netwright.artefact._raw import input_names
from netwright.serve._model import ServedModel

__all__ = ["to_mlflow"]

_NEEDS = ("onnxruntime", "numpy", "pandas")


def to_mlflow(model: ServedModel, folder: Path) -> tuple[Path, ...]:
    """Write a folder of MLflow's.

    Args:
        model: what is written.
        folder: made if it is not there.

    Returns:
        What was written, `MLmodel` first.
    """
    needs = [f"{name}=={_version(name)}" for name in _NEEDS]
    python = platform.python_version()
    loader = resources.files("netwright.serve") / "_mlflow_model.py"
    files = {
        "MLmodel": _yaml(_description(model, python)),
        "model.onnx": model.path.read_bytes(),
        "netwright.json": json.dumps(_about(model), indent=1, ensure_ascii=False) + "\n",
        "code/netwright_model.py": loader.read_bytes(),
        "requirements.txt": "\n".join(["mlflow", *needs]) + "\n",
        "python_env.yaml": _yaml({"python": python, "dependencies": ["-r requirements.txt"]}),
        "conda.yaml": _yaml(
            {
                "name": "mlflow-env",
                "channels": ["conda-forge"],
                "dependencies": [f"python={python}", "pip", {"pip": ["mlflow", *needs]}],
            }
        ),
    }
    (folder / "code").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_atomically(folder / name, content)
    return tuple(folder / name for name in files)


def _description(model: ServedModel, python: str) -> dict[str, Any]:
    target = model.schema.target
    return {
        "flavors": {
            "python_function": {
                "loader_module": "netwright_model",
                "code": "code",
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
                "python_version": python,
            },
            "onnx": {
                "data": "model.onnx",
                "onnx_version": _version("onnx"),
                "providers": ["CPUExecutionProvider"],
                "onnx_session_options": None,
                "code": None,
            },
        },
        "model_uuid": uuid.uuid5(uuid.NAMESPACE_URL, f"netwright:{model.version}").hex,
        "metadata": {
            "netwright": __version__,
            "model": model.name,
            "version": model.version,
            "predicts": f"{model.outputs} of {', '.join(target.names) or 'the classes'}",
        },
        "signature": {
            "inputs": json.dumps(_inputs(model)),
            "outputs": json.dumps([{"type": "float", "name": name} for name in model.classes]),
            "params": None,
        },
    }


def _inputs(model: ServedModel) -> list[dict[str, Any]]:
    inputs = model.schema.input
    if inputs.kind == "table":
        # "any", since MLflow lets no whole number stand for a fraction, and none be missing.
        return [{"type": "any", "name": c.name, "required": True} for c in inputs.columns]
    if inputs.kind == "text":
        return [{"type": "string", "name": "text", "required": True}]
    is_image = inputs.kind == "image"
    shape = [-1, *inputs.shape] if is_image else [-1, inputs.shape[0], -1]
    tensor = {"dtype": "uint8" if is_image else "float32", "shape": shape}
    return [{"type": "tensor", "tensor-spec": tensor}]  # without a name: an array, no mapping


def _about(model: ServedModel) -> dict[str, Any]:
    columns = zip(input_names(model.schema), model.schema.input.columns, strict=False)
    return {
        "kind": model.schema.input.kind,
        "columns": [{"input": i, "name": c.name, "kind": c.kind} for i, c in columns],
        "output": "probabilities" if model.outputs == "probabilities" else model.session.output,
        "names": list(model.classes),
    }


def _version(name: str) -> str:
    return importlib.metadata.version(name).partition("+")[0]


def _yaml(content: Any, indent: str = "") -> str:
    """Write mappings and lists, a line each; texts as JSON has them, which is YAML too."""
    lines = []
    pairs = content.items() if isinstance(content, dict) else ((None, each) for each in content)
    for key, value in pairs:
        start = f"{indent}- " if key is None else f"{indent}{key}:"
        if isinstance(value, dict | list):
            nested = _yaml(value, f"{indent}  ")
            joined = nested[len(indent) + 2 :] if key is None else f"\n{nested}"
            lines.append(f"{start}{joined}".removesuffix("\n"))
        else:
            space = "" if key is None else " "
            lines.append(f"{start}{space}{json.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"
