"""A real PostgreSQL on loopback, in a temporary folder, for the tests that import `postgres`."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

SUPERUSER = "netwright"


def programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`: Debian keeps it off the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def postgres():
    """The address of a running server, with a database of its own and no password."""
    place = programs()
    if place is None:
        pytest.skip("these tests need PostgreSQL: apt-get install postgresql")
    pytest.importorskip("psycopg")
    # Not below pytest's own folders, which only their owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="netwright-postgres-"))
    data = folder / "data"
    data.mkdir(mode=0o700)
    account = {}
    if os.getuid() == 0:  # as root the server refuses to run
        nobody = pwd.getpwnam("nobody")
        for path in (folder, data):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}

    def run(program, *arguments):
        # The server keeps what it inherits: a pipe would never end.
        with open(folder / f"{program}.txt", "w+b") as log:
            done = subprocess.run(
                [place / program, "-D", data, *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd="/", env={"PATH": os.environ["PATH"], "LC_ALL": "C"}, timeout=120, **account,
            )  # fmt: skip
            log.seek(0)
            assert done.returncode == 0, log.read().decode(errors="replace")

    port = free_port()
    run("initdb", "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-sync")
    run("pg_ctl", "-w", "-t", "100", "-l", str(data / "log"), "start",
        "-o", f"-h 127.0.0.1 -p {port} -k {data} -F")  # fmt: skip
    try:
        yield f"postgresql://{SUPERUSER}@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(folder)
