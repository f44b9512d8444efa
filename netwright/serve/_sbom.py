"""What a shipped model is made of and made with, as a bill of materials.

Specification: CycloneDX 1.6 (ECMA-424), JSON: https://cyclonedx.org/docs/1.6/json/
The serial number follows from the content, so that the same files give the same bill.
"""

import hashlib
import importlib.metadata
import json
import uuid
from pathlib import Path
from typing import Any

from netwright import __version__
from netwright.serve._model import ServedModel

__all__ = ["bill_of_materials"]

_LIBRARIES = ("torch", "numpy", "onnx", "onnxscript", "onnxruntime", "safetensors")
_FILES = ("model.onnx", "model.safetensors", "design.json", "schema.json")


def bill_of_materials(model: ServedModel) -> str:
    """Write the bill of a model.

    Args:
        model: a run's, or a file alone.

    Returns:
        A CycloneDX document.
    """
    files = [model.path]
    if model.run is not None:
        present = (model.run.folder / name for name in _FILES)
        files = [path for path in present if path.is_file()]
    components: list[dict[str, Any]] = [_file(path) for path in files]
    components += [_library(name) for name in _LIBRARIES]
    data = _data(model)
    components += [data] if data else []
    root = {
        "type": "machine-learning-model",
        "bom-ref": f"model:{model.name}@{model.version}",
        "name": model.name,
        "version": model.version,
        "hashes": [{"alg": "SHA-256", "content": _digest(model.path)}],
        "modelCard": _card(model, data),
    }
    document: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": root,
            "tools": {
                "components": [{"type": "application", "name": "netwright", "version": __version__}]
            },
        },
        "components": components,
        "dependencies": [
            {"ref": root["bom-ref"], "dependsOn": [each["bom-ref"] for each in components]}
        ],
    }
    content = json.dumps(document, sort_keys=True)
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}"
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _file(path: Path) -> dict[str, Any]:
    return {
        "type": "file",
        "bom-ref": f"file:{path.name}",
        "name": path.name,
        "hashes": [{"alg": "SHA-256", "content": _digest(path)}],
        "properties": [{"name": "netwright:bytes", "value": str(path.stat().st_size)}],
    }


def _library(name: str) -> dict[str, Any]:
    version = importlib.metadata.version(name)
    plain = version.partition("+")[0]
    return {
        "type": "library",
        "bom-ref": f"pkg:pypi/{name}@{plain}",
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{name}@{plain}",
        # The file itself needs a runtime for ONNX; the others made it.
        "scope": "required" if name == "onnxruntime" else "excluded",
    }


def _data(model: ServedModel) -> dict[str, Any] | None:
    if model.run is None:
        return None
    path = model.run.folder / "task.json"
    if not path.is_file():
        return None
    about = json.loads(path.read_text(encoding="utf-8"))
    return {
        "type": "data",
        "bom-ref": f"data:{about['fingerprint'][:12]}",
        "name": about["name"],
        "data": [
            {
                "type": "dataset",
                "name": about["name"],
                "contents": {
                    "properties": [
                        {"name": f"netwright:rows:{split}", "value": str(n)}
                        for split, n in about["rows"].items()
                    ]
                },
            }
        ],
        "properties": [{"name": "netwright:fingerprint", "value": about["fingerprint"]}],
    }


def _card(model: ServedModel, data: dict[str, Any] | None) -> dict[str, Any]:
    kinds = {"class": "classification", "labels": "multi-label classification"}
    target = model.schema.target
    card: dict[str, Any] = {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": kinds.get(target.kind, "regression"),
            "inputs": [{"format": model.schema.input.kind}],
            "outputs": [{"format": model.outputs}],
        }
    }
    if data is not None:
        card["modelParameters"]["datasets"] = [{"ref": data["bom-ref"]}]
    metrics = [
        {
            "type": found.requirement or found.name,
            "value": repr(found.measurement.value),
            "confidenceInterval": {
                "lowerBound": repr(found.measurement.low),
                "upperBound": repr(found.measurement.high),
            },
        }
        for found in model.findings
        if found.measurement is not None and not found.measurement.unresolved
    ]
    if metrics:
        card["quantitativeAnalysis"] = {"performanceMetrics": metrics}
    return card
