"""Write a small network as one Python file that needs NumPy alone.

The file holds the weights, the preprocessing of raw rows and one line for each operation; it is
meant to be read. It computes in float32, as the shipped file does.
"""

import base64
import json

import numpy as np

from netwright.artefact._file import load_model
from netwright.artefact._graph import Graph, from_seam, parse_graph
from netwright.data._text import counts_blanks
from netwright.serve._model import ServedModel
from netwright.serve._python_operations import HELPERS, OPERATIONS, ExportError

__all__ = ["ExportError", "MOST_BYTES", "to_python"]

MOST_BYTES = 4_000_000  # of weights
_WIDTH = 96


def to_python(model: ServedModel) -> str:
    """Write a model as one Python file.

    Args:
        model: whose network has at most 4 MB of weights.

    Returns:
        Source with `predict(rows)`; `python FILE rows.json` prints its answers.

    Raises:
        ExportError: if the network is too large, or holds operations that cannot be written; names
            them.
    """
    graph = from_seam(parse_graph(load_model(model.path)))
    size = sum(t.numel() * t.element_size() for t in graph.initializers.values())
    if size > MOST_BYTES:
        raise ExportError(
            f"{model.name} has {size / 1e6:.1f} MB of weights; a Python file takes at most "
            f"{MOST_BYTES / 1e6:g} MB. Ship {model.path.name}."
        )
    lines, helpers = _body(graph)
    finish = {
        "class": ("softmax(logits, 1)", "softmax"),
        "labels": ("sigmoid(logits)", "sigmoid"),
    }.get(model.schema.target.kind, ("logits", ""))
    helpers |= {finish[1]} - {""}
    return "\n".join(
        [
            _head(model),
            _weights(graph),
            *(HELPERS[name].strip() + "\n\n" for name in sorted(helpers)),
            "def network(features):",
            '    """Return logits (or values) for what the network receives."""',
            *(f"    {line}" for line in lines),
            f"    return {_name(graph.outputs[0].name)}",
            "",
            "",
            _preprocessing(model).strip(),
            "",
            "",
            "def predict(rows):",
            f'    """Return {model.outputs} for raw rows: float32 (rows, {len(model.classes)})."""',
            "    logits = network(prepare(rows))",
            f"    return {finish[0]}",
            "",
            "",
            'if __name__ == "__main__":',
            '    with open(sys.argv[1], encoding="utf-8") as file:',
            "        print(json.dumps(predict(json.load(file)).tolist()))",
            "",
        ]
    )


def _head(model: ServedModel) -> str:
    about = f'"""{model.name} {model.version}, written by Netwright: predicts {model.outputs}.'
    return f'''{about}

Needs NumPy alone. `python FILE rows.json` prints a list of numbers for each row of a JSON list.
"""

import base64
import json
import re
import sys

import numpy as np

np.seterr(over="ignore")
OUTPUTS = {json.dumps(list(model.classes))}
'''


def _name(value: str) -> str:
    if value == "features":
        return "features"
    return "v_" + "".join(c if c.isascii() and c.isalnum() else "_" for c in value)


def _weights(graph: Graph) -> str:
    lines = []
    used = {name for node in graph.nodes for name in node.inputs}
    for name, tensor in graph.initializers.items():
        if name not in used:
            continue
        array = np.ascontiguousarray(tensor.numpy())
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        text = base64.b64encode(array.tobytes()).decode()
        parts = [text[i : i + _WIDTH] for i in range(0, len(text), _WIDTH)] or [""]
        body = "\n".join(f'    "{part}"' for part in parts)
        lines.append(
            f"{_name(name)} = np.frombuffer(base64.b64decode(\n{body}\n"
            f'), "{array.dtype.str}").reshape({tuple(tensor.shape)})'
        )
    return "\n".join(lines) + "\n\n"


def _body(graph: Graph) -> tuple[list[str], set[str]]:
    unknown = sorted({node.op for node in graph.nodes if node.op not in OPERATIONS})
    if unknown:
        raise ExportError(
            f"The network holds operations that cannot be written as NumPy: {', '.join(unknown)}."
        )
    lines, helpers = [], set()
    for node in graph.nodes:
        given = [_name(name) if name else "None" for name in node.inputs]
        made = OPERATIONS[node.op](node, given)
        lines.append(f"{', '.join(_name(name) for name in node.outputs if name)} = {made}")
        helpers |= {name for name in HELPERS if f"{name}(" in made}
    return lines, helpers


def _preprocessing(model: ServedModel) -> str:
    inputs = model.schema.input
    if inputs.kind == "image":
        return f'''
def prepare(rows):
    """Take uint8 pixels, shape (rows, {", ".join(map(str, inputs.shape))})."""
    pixels = np.asarray(rows)
    if pixels.shape[1:] != {inputs.shape}:
        raise ValueError(f"rows must have the shape (rows, *{inputs.shape}); got {{pixels.shape}}")
    return pixels.astype(np.float32) / np.float32(255)
'''
    if inputs.kind == "sequence":
        channels, steps = inputs.shape
        flat = "[values]" if channels == 1 else "values"
        return f'''
def prepare(rows):
    """Take sequences, a list of numbers for each of {channels} channels; None is missing.

    Of the only channel the list alone will do. NaN follows the end, up to {steps} steps.
    """
    coded = np.full((len(rows), {channels}, {steps}), np.nan, np.float32)
    for row, values in enumerate(rows):
        lists = values if isinstance(values[0], (list, tuple, np.ndarray)) else {flat}
        if len(lists) != {channels}:
            raise ValueError(f"row {{row}} must have {channels} channels; got {{len(lists)}}")
        for channel, numbers in enumerate(lists):
            numbers = np.array(numbers[:{steps}], np.float32)
            coded[row, channel, :len(numbers)] = numbers
    return coded
'''
    if inputs.kind == "text" and inputs.tokens == "characters":
        every = "text" if counts_blanks(inputs.vocabulary) else '"".join(text.split())'
        return f'''
CHARACTERS = json.loads({json.dumps(json.dumps(inputs.vocabulary))})
CHARACTERS = {{character: i + 2 for i, character in enumerate(CHARACTERS)}}


def prepare(rows):
    """Take texts: their characters become numbers, 1 for unknown ones, 0 behind the end."""
    numbers = np.zeros((len(rows), {inputs.shape[0]}), np.int64)
    for row, text in enumerate(rows):
        for place, character in enumerate({every}[:{inputs.shape[0]}]):
            numbers[row, place] = CHARACTERS.get(character, 1)
    return numbers
'''
    if inputs.kind == "text":
        return f'''
WORDS = json.loads({json.dumps(json.dumps(inputs.vocabulary))})
WORDS = {{word: i + 2 for i, word in enumerate(WORDS)}}


def small(letter):
    """Return a letter's small form, if it has one of the same kind."""
    found = letter.lower()
    if letter.isascii():
        return found
    fits = len(found) == 1 and not found.isascii() and ord(letter) < 0x1F000
    return found if fits else letter


def prepare(rows):
    """Take texts: their words become numbers, 1 for unknown ones, 0 behind the end."""
    numbers = np.zeros((len(rows), {inputs.shape[0]}), np.int64)
    for row, text in enumerate(rows):
        words = re.findall(r"[a-z0-9']+|[^\\sa-z0-9]", "".join(map(small, text)))
        for place, word in enumerate(words[:{inputs.shape[0]}]):
            numbers[row, place] = WORDS.get(word, 1)
    return numbers
'''
    columns = [(c.name, c.kind, list(c.categories)) for c in inputs.columns]
    return f'''
COLUMNS = json.loads({json.dumps(json.dumps(columns))})


def prepare(rows):
    """Take rows as mappings from column to value; None is missing, a date is days since 1970."""
    coded = np.full((len(rows), len(COLUMNS)), np.nan, np.float32)
    for place, (name, kind, categories) in enumerate(COLUMNS):
        codes = {{word: i + 1 for i, word in enumerate(categories) if word}}
        for row, cells in enumerate(rows):
            value = cells[name]
            if kind == "category":
                coded[row, place] = codes.get("" if value is None else str(value).strip(), 0)
            elif kind == "date" and isinstance(value, str):
                seconds = np.datetime64(value) - np.datetime64(0, "s")
                coded[row, place] = seconds / np.timedelta64(1, "D")
            elif value is not None:
                coded[row, place] = value
    return coded
'''
