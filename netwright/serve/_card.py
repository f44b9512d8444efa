"""The model card: what the model is, what was found about it, and what it must not be used for.

Format: Hugging Face's model cards (YAML on top of Markdown), with results as `model-index`. Every
figure is a finding's; what was not measured is not said.
"""

import json
from typing import Any

from netwright.finding import Finding, format_value
from netwright.serve._model import ServedModel

__all__ = ["model_card"]

_TASKS = {
    ("image", "class"): "image-classification",
    ("text", "class"): "text-classification",
    ("table", "class"): "tabular-classification",
    ("table", "value"): "tabular-regression",
    ("table", "values"): "tabular-regression",
}
_METRICS = {"calibration": "ece"}


def model_card(model: ServedModel) -> str:
    """Write the card of a model.

    Args:
        model: a run's, or a file alone, of which less is known.

    Returns:
        Markdown with YAML on top.
    """
    return "\n".join(
        [
            "---",
            _yaml(_front(model)),
            "---",
            "",
            f"# {model.name}",
            "",
            _introduction(model),
            "",
            "## What was required",
            "",
            _requirements(model),
            "",
            "## What was found",
            "",
            _findings(model),
            "",
            "## Limits",
            "",
            _limits(model),
            "",
            "## Data",
            "",
            _data(model),
            "",
            "## Use",
            "",
            _usage(model),
            "",
            "## Origin",
            "",
            _origin(model),
            "",
        ]
    )


def _front(model: ServedModel) -> dict[str, Any]:
    kind, target = model.schema.input.kind, model.schema.target.kind
    front: dict[str, Any] = {"library_name": "onnx", "tags": ["onnx", "netwright", kind]}
    task = _TASKS.get((kind, target))
    if task is not None:
        front["pipeline_tag"] = task
    metrics = [
        {
            "type": _METRICS.get(found.name) or _quantity(found, model),
            "name": found.requirement or found.title,
            "value": round(found.measurement.value, 6),
        }
        for found in model.findings
        if found.measurement is not None
        and not found.measurement.unresolved
        and (found.requirement is not None or found.name in ("performance", "calibration"))
    ]
    if metrics and task is not None:
        name = _source(model) or "not named"
        dataset = {"name": name, "type": name, "split": "test"}
        result = {"task": {"type": task}, "dataset": dataset, "metrics": metrics}
        front["model-index"] = [{"name": model.name, "results": [result]}]
    return front


def _quantity(found: Finding, model: ServedModel) -> str:
    if found.name == "performance":
        return model.schema.target.metric
    return found.name.removeprefix("requirement/").partition(" ")[0].partition("(")[0]


def _yaml(value: Any, indent: int = 0) -> str:
    """Write plain mappings, lists and scalars as YAML; JSON's texts are YAML's too."""
    pad = "  " * indent
    lines = []
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, dict | list):
                lines += [f"{pad}{key}:", _yaml(inner, indent + 1)]
            else:
                lines.append(f"{pad}{key}: {json.dumps(inner, ensure_ascii=False)}")
        return "\n".join(lines)
    for inner in value:
        if isinstance(inner, dict):
            first, *rest = _yaml(inner, indent + 1).split("\n")
            lines.append("\n".join([f"{pad}- {first.strip()}", *rest]))
        else:
            lines.append(f"{pad}- {json.dumps(inner, ensure_ascii=False)}")
    return "\n".join(lines)


def _introduction(model: ServedModel) -> str:
    inputs, target = model.schema.input, model.schema.target
    if inputs.kind == "image":
        channels, height, width = inputs.shape
        colour = "grey" if channels == 1 else "colour"
        taken = f"{colour} images of {width} x {height} pixels"
    elif inputs.kind == "table":
        taken = f"rows of a table with {len(inputs.columns)} columns"
    elif inputs.kind == "sequence":
        channels, steps = inputs.shape
        rate = f", {inputs.rate:,.6g} a second" if inputs.rate else ""
        several = "one channel" if channels == 1 else f"{channels} channels"
        taken = f"sequences of {several} and up to {steps:,} steps{rate}"
    else:
        taken = f"texts of up to {inputs.shape[0]:,} {inputs.tokens}"
    if target.kind == "class":
        given = f"the probabilities of {len(target.classes)} classes ({_some(target.classes)})"
    elif target.kind == "labels":
        given = f"the probability of each of {len(target.classes)} labels ({_some(target.classes)})"
    else:
        given = f"`{'`, `'.join(target.names)}`"
    size = format_value(model.path.stat().st_size, "bytes")
    return f"Takes {taken}; gives {given}. One ONNX file of {size}, preprocessing inside."


def _some(words: tuple[str, ...], most: int = 12) -> str:
    shown = ", ".join(_plain(word) for word in words[:most])
    return f"{shown}, ..." if len(words) > most else shown


def _plain(text: str) -> str:
    """Keep a text from being read as Markdown: names come from data."""
    escaped = "".join(f"\\{c}" if c in "\\`*_[]<>|#&" else c for c in str(text))
    return " ".join(escaped.split())


def _requirements(model: ServedModel) -> str:
    judged = [f for f in model.findings if f.judgement is not None]
    if not judged:
        return "Nothing was required."
    rows = ["| requirement | verdict | measured | 95 % interval |", "|---|---|---|---|"]
    for found in judged:
        assert found.judgement is not None
        name = _plain(found.requirement or found.title)
        rows.append(f"| {name} | **{found.judgement.verdict}** | {_measured(found)} |")
    return "\n".join(rows)


def _measured(found: Finding) -> str:
    m = found.measurement
    if m is None or m.unresolved:
        return f"{_plain(m.unresolved) if m else 'not measured'} | –"
    interval = "exact"
    if m.low != m.high:
        interval = f"{format_value(m.low, m.unit)} to {format_value(m.high, m.unit)} (n = {m.n:,})"
    return f"{format_value(m.value, m.unit)} | {interval}"


def _findings(model: ServedModel) -> str:
    shown = [f for f in model.findings if f.judgement is None and f.summary]
    if not shown:
        return "No audit came with this file."
    return "\n".join(f"- **{_plain(f.title)}**: {_plain(f.summary)}" for f in shown)


def _limits(model: ServedModel) -> str:
    lines = []
    for found in model.findings:
        if found.judgement is not None and found.judgement.verdict != "met":
            name = _plain(found.requirement or found.title)
            reason = _plain(found.judgement.reason)
            lines.append(f"- `{found.judgement.verdict}`: {name}. {reason}")
    calibration = model.calibration()
    if model.outputs == "probabilities" and calibration["method"] == "none":
        lines.append("- The probabilities were not calibrated.")
    lines.append(
        "- The figures hold for data like the test rows. Rows of another origin may fare worse; "
        "`netwright serve` measures how far they have drifted."
    )
    asked = {f.name for f in model.findings}
    if not any("robust" in name or "certified" in name for name in asked):
        lines.append("- Robustness against deliberate changes of the input was not measured.")
    if not any("gap" in name for name in asked):
        lines.append("- Differences between groups of people were not measured.")
    return "\n".join(lines)


def _source(model: ServedModel) -> str:
    if model.run is None:
        return ""
    path = model.run.folder / "data.json"
    if not path.is_file():
        return ""
    return str(json.loads(path.read_text(encoding="utf-8")).get("name", ""))


def _data(model: ServedModel) -> str:
    path = None if model.run is None else model.run.folder / "data.json"
    if path is None or not path.is_file():
        return "The file does not say what it was trained on."
    about = json.loads(path.read_text(encoding="utf-8"))
    splits = ", ".join(f"{n:,} {name}" for name, n in about["splits"].items())
    lines = [
        f"{_plain(about['name'])}: {splits} rows. The test rows were opened by the audit alone."
    ]
    lines += [f"- {_plain(note)}" for note in about["notes"]]
    left, twice = len(about["quarantine"]["rows"]), len(about["duplicates"]["rows"])
    if left:
        lines.append(f"- {left:,} rows could not be used and were left out.")
    if twice:
        lines.append(
            f"- {twice:,} pairs of equal or nearly equal rows stand on two sides of a split."
        )
    return "\n".join(lines)


def _usage(model: ServedModel) -> str:
    inputs = model.schema.input
    if inputs.kind == "image":
        comment = f"uint8 pixels, (rows, {', '.join(map(str, inputs.shape))})"
        feed = '{"image": rows}'
    elif inputs.kind == "text":
        comment, feed = "an array of texts (dtype object)", '{"text": rows}'
    elif inputs.kind == "sequence":
        comment = f"float32, (rows, {inputs.shape[0]}, steps); NaN is missing, and follows the end"
        feed = '{"sequence": rows}'
    else:
        comment = "by column: float32, or texts (dtype object); NaN or '' is missing"
        feed = "rows"
    return f"""```python
import onnxruntime


def predict(rows):  # {comment}
    session = onnxruntime.InferenceSession("model.onnx")
    return session.run(["{model.outputs}"], {feed})[0]
```

Or `netwright serve model.onnx`, which checks what it is given and logs what it answers."""


def _origin(model: ServedModel) -> str:
    from netwright import __version__

    lines = [f"- File: SHA-256 begins {model.version}", f"- Netwright {__version__}"]
    if model.run is not None:
        job = model.run.job
        if "budget" in job:
            lines.append(f"- Budget {_plain(job['budget'])}, seed {job['seed']}")
    return "\n".join(lines)
