import zlib

import numpy as np
import pytest

from netwright.claims import _damage
from netwright.claims._damage import damaged_files, damaged_runs, open_all

# A program that opens nothing: the file's content says what becomes of it.
PROGRAM = """
import json, sys, time
from pathlib import Path
print("ready", flush=True)
for line in sys.stdin:
    place, unpacked = json.loads(line)
    word = Path(place).read_text()
    if word == "crash":
        raise MemoryError
    if word == "hang":
        time.sleep(60)
    said = {"same": {"gap": 0}, "other": {"gap": 0.5}}.get(word, {"refused": word})
    print(json.dumps(said | {"grown": len(word)}), flush=True)
"""


@pytest.fixture
def opened(monkeypatch, tmp_path):
    monkeypatch.setattr(_damage, "_OPENER", PROGRAM)

    def run(**words):
        paths = []
        for name, word in words.items():
            paths.append(tmp_path / f"file-{name}.onnx")
            paths[-1].write_text(word)
        feed = {"image": np.zeros(1, np.uint8)}
        return open_all({"all": iter(paths)}, feed, tmp_path / "whole", scratch=tmp_path)["all"]

    return run


def test_each_outcome_is_counted(opened):
    found = opened(
        a="same",
        b="other",
        c="file-c.onnx is damaged",
        d="no idea",
        e="file-e is bad " * 300,
        f="crash",
        g="same",
    )
    assert (found.n, found.same, found.other, found.refused) == (7, 2, 1, 1)
    assert (found.unclear, found.crashed, found.hung) == (2, 1, 0)
    assert found.grown == len("file-e is bad " * 300)
    assert "no idea" in found.worst


def test_hang_is_ended_and_the_rest_goes_on(opened, monkeypatch):
    monkeypatch.setattr(_damage, "_SECONDS", 4.0)
    found = opened(a="hang", b="same")
    assert (found.hung, found.same) == (1, 1)


def test_damage_is_drawn_from_the_seed_and_fits_a_checksum():
    whole = bytes(range(256)) * 8
    first = list(damaged_files(whole, 100, seed=1))
    assert first == list(damaged_files(whole, 100, seed=1))
    assert first != list(damaged_files(whole, 100, seed=2))
    assert sum(content != whole for content in first) > 95
    for content in damaged_files(whole, 50, seed=1, signed=True):
        if len(content) > 8:
            assert content[4:8] == zlib.crc32(content[8:]).to_bytes(4, "little")


def test_runs_are_damaged_in_one_place_and_the_original_is_not(tmp_path):
    (tmp_path / "run").mkdir()
    for name in ("model.onnx", "findings.json", "serve.db"):
        (tmp_path / "run" / name).write_bytes(name.encode() * 50)
    for made in damaged_runs(tmp_path / "run", tmp_path / "out", 40, seed=0):
        changed = [
            name
            for name in ("model.onnx", "findings.json")
            if not (path := made / name).is_file()
            or path.is_symlink()
            or path.read_bytes() != name.encode() * 50
        ]
        assert len(changed) <= 1
        assert not (made / "serve.db").exists()
    assert (tmp_path / "run" / "model.onnx").read_bytes() == b"model.onnx" * 50
