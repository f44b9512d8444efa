"""Write files so that a kill at any moment leaves either the old content or the new."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["append_line", "claim_folder", "write_atomically"]


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file under a temporary name, flush it to disk, then rename it into place.

    Args:
        path: the file to write; its folder must exist.
        content: the whole new content; text is written as UTF-8.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def append_line(path: Path, line: str) -> None:
    """Append one line to a log; a torn last line from an earlier kill is closed first.

    Args:
        path: the log, created when missing.
        line: the text, without a line break.
    """
    with open(path, "ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(line.encode() + b"\n")


def claim_folder(folder: Path, job: Mapping[str, Any]) -> None:
    """Make a folder a job's own, by its `job.json`; the same job may come back to it.

    Args:
        folder: created when missing; a list of refused rows may lie in it already.
        job: plain JSON values.

    Raises:
        ValueError: if the folder belongs to another job, or holds something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "job.json"
    if path.exists():
        old = json.loads(path.read_text(encoding="utf-8"))
        changed = [key for key in {**job, **old} if old.get(key) != job.get(key)]
        if changed:
            raise ValueError(
                f"{folder} belongs to another job (it differs in {', '.join(changed)}); "
                f"choose another folder with `out`, or delete that one."
            )
    elif any(path.name != "quarantine.csv" for path in folder.iterdir()):
        raise ValueError(f"{folder} is not empty and holds no run; choose another folder.")
    else:
        write_atomically(path, json.dumps(job, indent=2, ensure_ascii=False))
