import os
import signal
import subprocess
import sys
import time

from netwright._files import append_line, write_atomically


def test_write_replaces_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    write_atomically(path, "old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_torn_last_line_is_closed(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b'{"whole": 1}\n{"to')
    append_line(path, '{"next": 2}')
    assert path.read_text(encoding="utf-8").splitlines() == ['{"whole": 1}', '{"to', '{"next": 2}']


def test_a_killed_writer_leaves_a_whole_file(tmp_path):
    path = tmp_path / "big"
    code = (
        "import sys, pathlib\n"
        "from netwright._files import write_atomically\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "while True:\n"
        "    for letter in 'ab':\n"
        "        write_atomically(path, letter * 300_000)\n"
    )
    for pause in (0.02, 0.05, 0.11):
        writer = subprocess.Popen([sys.executable, "-c", code, str(path)])
        while not path.exists():
            time.sleep(0.01)
        time.sleep(pause)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        content = path.read_text(encoding="utf-8")
        assert len(content) == 300_000 and len(set(content)) == 1
