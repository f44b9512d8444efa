"""Write files so that a kill at any moment leaves either the old content or the new."""

import os
from pathlib import Path

__all__ = ["append_line", "write_atomically"]


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
