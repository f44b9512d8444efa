"""Read a `.pt2` file of torch.export without letting it run code.

torch 2.13 loads such a file with `pickle` for the sample inputs, for tensors of unusual kinds and
for custom objects, evaluates symbolic sizes with `sympify`, and compiles guards from text. A file
that means harm reaches code through any of these. So the archive is taken apart first: what needs
pickle is refused, sample inputs, guards and traces are left out (inference needs none), sizes must
be plain arithmetic, and operators must be torch's own, without the one that opens files. What
remains is weights as raw bytes and a graph as JSON, and that is what torch is given.
"""

import io
import json
import logging
import re
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from netwright.artefact._errors import ArtefactError

__all__ = ["read_pt2"]

_MODEL = "models/model.json"
_SAMPLE = "data/sample_inputs/model.pt"
_TABLES = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_TENSORS = re.compile(r"data/(weights/weight_|constants/tensor_)\d+")
_PLAIN = (
    "archive_format",
    "archive_version",
    "byteorder",
    ".data/version",
    ".data/serialization_id",
)
_PLAIN += (".format_version", ".data/alignment", ".storage_alignment")
_TARGET = re.compile(
    r"torch\.ops\.aten\.(?!from_file)[a-z_0-9]+\.[A-Za-z][A-Za-z_0-9]*|torch\.sym_(max|min|not|ite|sqrt)"
    r"|_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|neg|pow|eq|ne|lt|le|gt|ge|and_|or_)"
    r"|math\.(ceil|floor|trunc)"
)
_SIZE = re.compile(  # what sympy's srepr makes of sizes: no name that is not listed here
    r"(?:Symbol\('[su]\d+'(?:, (?:positive|integer|nonnegative)=True)*\)"
    r"|(?:Integer|Rational|Add|Mul|Pow|Max|Min|Abs|Mod|PythonMod|FloorDiv|CeilDiv|CleanDiv"
    r"|IntTrueDiv|FloatTrueDiv|ToFloat|FloorToInt|CeilToInt|TruncToInt|PowByNatural"
    r"|Equality|Unequality|StrictLessThan|LessThan|StrictGreaterThan|GreaterThan|And|Or|Not)\("
    r"|true|false|-?\d+|[),\s])*"
)


def read_pt2(path: Path | str) -> nn.Module:
    """Read a network that `torch.export.save` wrote.

    Args:
        path: the file; it holds one program of torch's own operators, exported in eval mode.

    Returns:
        A module that takes what the exported one took.

    Raises:
        ArtefactError: if the file is damaged, holds pickled or compiled parts, or was exported in
            training mode.
        FileNotFoundError: if there is none.
    """
    place = Path(path)
    try:
        cleaned = _clean(place)
    except FileNotFoundError:
        raise
    except (
        *(zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError),
        *(ValueError, KeyError, TypeError, AttributeError, RecursionError),
    ) as error:
        if isinstance(error, ArtefactError):
            raise
        raise ArtefactError(f"{place} is no torch.export file, or is damaged: {error}") from error
    from torch._export.verifier import SpecViolationError

    log = logging.getLogger("torch.export")
    level = log.level
    try:
        log.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.load(cleaned)
            module = program.module(check_guards=False)
    except (
        *(RuntimeError, ValueError, TypeError, AttributeError, LookupError, AssertionError),
        *(SpecViolationError, NameError, ArithmeticError),
    ) as error:
        raise ArtefactError(
            f"{place} cannot be read by torch {torch.__version__}: {error}"
        ) from error
    finally:
        log.setLevel(level)
    for name in ("train", "eval"):
        vars(module).pop(name, None)  # they only raise; the mode is fixed in the graph
    return module.eval()


def _clean(path: Path) -> io.BytesIO:
    """Check every part of the archive, and copy what inference needs."""
    made = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(made, "w") as target:
        names = source.namelist()
        roots = {name.split("/")[0] for name in names}
        if len(roots) != 1 or len(names) != len(set(names)):
            raise ArtefactError(f"{path} is not a torch.export file: it holds {sorted(roots)[:5]}.")
        root = roots.pop()
        parts = {name.removeprefix(f"{root}/"): name for name in names}
        if _MODEL not in parts:
            raise ArtefactError(
                f"{path} holds no exported program `{_MODEL}`. Save it with torch.export.save; "
                f"files of torch.save and torch.jit.save are refused, since they hold pickle."
            )
        for part, name in parts.items():
            content = source.read(name)
            if part == _SAMPLE:
                content = b""  # pickle; torch takes an empty part for none
            elif part == _MODEL:
                content = _clean_program(path, json.loads(content))
            elif part in _TABLES:
                _check_table(path, json.loads(content))
            elif not (_TENSORS.fullmatch(part) or part in _PLAIN):
                raise ArtefactError(
                    f"{path} holds the part `{part}`, which is pickled, compiled or unknown, and "
                    f"could run code. Export the network from plain modules and tensors."
                )
            target.writestr(name, content)
    made.seek(0)
    return made


def _check_table(path: Path, table: dict[str, Any]) -> None:
    for name, entry in table["config"].items():
        if entry["use_pickle"] or not re.fullmatch(r"(weight|tensor)_\d+", entry["path_name"]):
            raise ArtefactError(
                f"{path} keeps `{name}` as pickle, which could run code. Export the network with "
                f"plain tensors."
            )


def _clean_program(path: Path, program: dict[str, Any]) -> bytes:
    program["guards_code"] = []
    waiting: list[Any] = [program]
    while waiting:
        found = waiting.pop()
        if isinstance(found, list):
            waiting.extend(found)
        if not isinstance(found, dict):
            continue
        waiting.extend(found.values())
        if isinstance(found.get("target"), str) and "inputs" in found:
            _check_node(path, found)
            found["metadata"] = {}
        size = found.get("expr_str", "")
        if not isinstance(size, str) or not _SIZE.fullmatch(size):
            raise ArtefactError(f"{path} has a size that is not plain arithmetic: {size!r}.")
    return json.dumps(program).encode()


def _check_node(path: Path, node: dict[str, Any]) -> None:
    if not _TARGET.fullmatch(node["target"]):
        raise ArtefactError(
            f"{path} calls {node['target']!r}, which is not one of torch's tensor operators."
        )
    flags = {i.get("name"): i["arg"].get("as_bool") for i in node["inputs"]}
    if ".dropout." in node["target"] or "batch_norm" in node["target"]:
        if flags.get("train") or flags.get("training"):
            raise ArtefactError(
                f"{path} was exported in training mode (`{node['target']}`). Call `eval()` on the "
                f"network before torch.export.export."
            )
