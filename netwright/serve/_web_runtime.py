"""Find ONNX Runtime Web, which a page needs to run a model without a server.

It is the npm package `onnxruntime-web`, 33 MB, of which a page needs three files. It is fetched
when that is asked for, and then kept in the user's cache; else a copy of the user's own is taken.
"""

import hashlib
import json
import re
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from netwright.data._named import user_cache
from netwright.serve._to_python import ExportError

__all__ = ["VERSION", "WebRuntime", "fetch_runtime", "find_runtime"]

VERSION = "1.30.0"
SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
_NAME = f"onnxruntime-web-{VERSION}.tgz"
_ADDRESS = f"https://registry.npmjs.org/onnxruntime-web/-/{_NAME}"
_ABOUT, _SCRIPT = "package.json", "dist/ort.wasm.min.js"
_GLUE, _WASM = "dist/ort-wasm-simd-threaded.mjs", "dist/ort-wasm-simd-threaded.wasm"
_MOST_BYTES = 100_000_000  # of one file


@dataclass(frozen=True, slots=True)
class WebRuntime:
    """The files of ONNX Runtime Web that a page needs.

    Attributes:
        version: of the package.
        script: defines `ort`.
        glue: what starts the compiled part.
        wasm: the compiled part.
    """

    version: str
    script: bytes
    glue: bytes
    wasm: bytes


def find_runtime(place: Path | str | None) -> WebRuntime:
    """Read ONNX Runtime Web from a copy at hand.

    Args:
        place: npm's folder `onnxruntime-web`, or the package as a `.tgz`; "fetch" fetches it; None
            takes what was fetched before.

    Raises:
        ExportError: if there is none, or it lacks a file; says how to get it.
    """
    if place == "fetch":
        return _read(fetch_runtime())
    if place is not None:
        return _read(Path(place))
    kept = _kept()
    if not kept.is_file():
        raise ExportError(
            "A page that runs in the browser needs ONNX Runtime Web, which is not at hand. "
            f"`--runtime fetch` fetches it ({_ADDRESS}, 33 MB); or give a copy of your own, made "
            f"by `npm pack onnxruntime-web@{VERSION}`: `--runtime {_NAME}`."
        )
    if (found := hashlib.sha256(kept.read_bytes()).hexdigest()) != SHA256:
        raise ExportError(
            f"{kept} is damaged: its SHA-256 is {found}, expected is {SHA256}. Fetch it anew with "
            f"`--runtime fetch`."
        )
    return _read(kept)


def fetch_runtime() -> Path:
    """Fetch the package into the user's cache, unless it is there.

    Returns:
        The `.tgz`, whose SHA-256 is the known one.

    Raises:
        ExportError: if it cannot be fetched.
    """
    import pooch

    kept = _kept()
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")
    try:
        return Path(pooch.retrieve(_ADDRESS, SHA256, kept.name, kept.parent))
    except (OSError, ValueError) as error:  # no network, or another content
        raise ExportError(
            f"ONNX Runtime Web could not be fetched from {_ADDRESS}: {error}. Where there is a "
            f"network, `npm pack onnxruntime-web@{VERSION}` makes the file for `--runtime`."
        ) from error
    finally:
        logger.setLevel(level)


def _kept() -> Path:
    return user_cache() / "fetched" / _NAME


def _read(place: Path) -> WebRuntime:
    wanted = (_ABOUT, _SCRIPT, _GLUE, _WASM)
    try:
        if place.is_dir():
            files = {name: (place / name).read_bytes() for name in wanted}
        else:
            files = _unpack(place, wanted)
        version = str(json.loads(files[_ABOUT])["version"])
    except (OSError, tarfile.TarError, EOFError, zlib.error, KeyError, TypeError, ValueError) as e:
        raise ExportError(
            f"{place} is no package of ONNX Runtime Web with {', '.join(wanted)}: {e!r}. "
            f"`npm pack onnxruntime-web@{VERSION}` makes one."
        ) from e
    if not re.fullmatch(r"[0-9A-Za-z.+-]{1,60}", version):
        raise ExportError(f"{place} names a version that is none: {version[:60]!r}.")
    return WebRuntime(version, files[_SCRIPT], files[_GLUE], files[_WASM])


def _unpack(place: Path, wanted: tuple[str, ...]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    with tarfile.open(place, "r:gz") as archive:
        for member in archive:
            name = member.name.partition("/")[2]
            if name not in wanted or not member.isfile() or member.size > _MOST_BYTES:
                continue
            content = archive.extractfile(member)
            assert content is not None
            files[name] = content.read()
    missing = [name for name in wanted if name not in files]
    if missing:
        raise KeyError(", ".join(missing))
    return files
