"""The command line without a process of its own, which would spend most of its time importing."""

import contextlib
import io
import os
import sys
from unittest import mock

from netwright.cli import main


def netwright_here(*arguments, folder):
    """Run a command in a folder.

    Args:
        arguments: what stands behind `netwright`.
        folder: where it runs.

    Returns:
        Exit code, and what it wrote to standard output and to standard error.
    """
    out, err = io.StringIO(), io.StringIO()
    environment = {**os.environ, "COLUMNS": "120", "NO_COLOR": "1"}
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", ["netwright", *map(str, arguments)]),
        mock.patch.dict(os.environ, environment),
    ):
        try:
            main()
        except SystemExit as stop:
            return stop.code or 0, out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()
