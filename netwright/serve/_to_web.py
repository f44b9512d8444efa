"""Write a model as a page that runs in the browser: a folder without a server behind it.

The page is the one that `netwright serve` shows, without what needs the training rows or torch. The
whole graph runs there, preprocessing and all, in ONNX Runtime Web. Its compiled part and the model
stand in scripts (gzip, base64), since a page opened from a disk may load scripts and nothing else.
"""

import base64
import gzip
import json
from importlib import resources
from pathlib import Path
from typing import Any

from netwright import __version__
from netwright._files import write_atomically
from netwright.artefact._raw import input_names
from netwright.report._palette import stylesheet
from netwright.serve._model import ServedModel
from netwright.serve._to_python import ExportError
from netwright.serve._web_runtime import WebRuntime, find_runtime

__all__ = ["to_web"]

_KINDS = ("image", "table", "text", "sequence")
_OURS = ("web_pictures.js", "web_sequences.js", "web.js", "serve.js")
_POLICY = (
    "default-src 'none'; script-src 'self' blob: 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'"
)
_LICENCE = """runtime.js holds ONNX Runtime Web {version}, packed but unchanged:
https://www.npmjs.com/package/onnxruntime-web
Copyright (c) Microsoft Corporation. MIT License: https://opensource.org/license/mit
Its source and the notices of what it is made of: https://github.com/microsoft/onnxruntime
"""


def to_web(
    model: ServedModel, folder: Path, *, runtime: Path | str | None = None
) -> tuple[Path, ...]:
    """Write a folder whose `index.html` runs a model in the browser.

    Args:
        model: what is to run.
        folder: made if it is not there.
        runtime: the npm package `onnxruntime-web`, as a folder or `.tgz`; "fetch" fetches it; None
            takes what was fetched before.

    Returns:
        What was written, `index.html` first.

    Raises:
        ExportError: if there is no ONNX Runtime Web, or the page has no field for such input.
    """
    kind = model.schema.input.kind
    if kind not in _KINDS:
        raise ExportError(
            f"The page has fields for {', '.join(_KINDS)}; {model.name} takes a {kind}."
        )
    found = find_runtime(runtime)
    static = resources.files("netwright.serve") / "static"
    pages = {
        "index.html": _page((static / "index.html").read_text(encoding="utf-8")),
        "palette.css": stylesheet(),
        "runtime.js": _runtime(found),
        "model.js": _model(model),
        "model.onnx": model.path.read_bytes(),
        "THIRD-PARTY.txt": _LICENCE.format(version=found.version),
    }
    for name in ("serve.css", *_OURS):
        pages[name] = (static / name).read_bytes()
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in pages.items():
        write_atomically(folder / name, content)
    return tuple(folder / name for name in pages)


def _page(served: str) -> str:
    """Turn the served page into one that stands alone."""
    script = '<script src="/static/serve.js" defer></script>'
    scripts = "\n".join(
        f'<script src="{name}" defer></script>' for name in ("runtime.js", "model.js", *_OURS)
    )
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    assert script in served
    page = served.replace(script, scripts).replace('href="/static/', 'href="')
    return page.replace('<meta charset="utf-8">', f'<meta charset="utf-8">\n{policy}')


def _runtime(found: WebRuntime) -> bytes:
    packed = {"version": found.version, "glue": _packed(found.glue), "wasm": _packed(found.wasm)}
    # The file's last line names a map for debuggers, which does not come along.
    script = b"\n".join(
        line for line in found.script.split(b"\n") if not line.startswith(b"//# sourceMappingURL=")
    )
    return script + f"\nvar packed = {json.dumps(packed)};\n".encode()


def _model(model: ServedModel) -> str:
    about: dict[str, Any] = model.about() | {
        "netwright": __version__,
        "notes": [],
        "examples": None,
        "attack": {"possible": False, "reason": "the page has no server"},
        "log": False,
    }
    packed = {
        "about": about,
        "classes": model.classes,
        "outputs": model.outputs,
        "inputs": input_names(model.schema),
        "model": _packed(model.path.read_bytes()),
    }
    return f"Object.assign(packed, {json.dumps(packed, allow_nan=False)});\n"


def _packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, 6, mtime=0)).decode()
