"""The second decoder, in JavaScript, gives the same bytes and refuses what the first refuses."""

import hashlib
import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

import netwright.compress
from netwright.compress import NwzError, decode, encode
from tests.compress.nwz_files import signed, tensors

SCRIPT = Path(netwright.compress.__file__).parent / "nwz.js"
SHOW = """
const { createHash } = require("crypto");
const { readFileSync } = require("fs");
const { decodeNwz } = require(process.argv[2]);
const shown = [];
for (const path of process.argv.slice(3)) {
  try {
    shown.push(decodeNwz(new Uint8Array(readFileSync(path))).map((t) =>
      [t.name, t.type, t.shape, createHash("sha256").update(t.data).digest("hex")]));
  } catch (error) {
    if (!error.message.startsWith("The .nwz file is damaged")) throw error;
    shown.push(null);
  }
}
console.log(JSON.stringify(shown));
"""


def by_javascript(paths, folder):
    (folder / "show.cjs").write_text(SHOW)
    command = ["node", str(folder / "show.cjs"), str(SCRIPT), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def by_numpy(data):
    try:
        found = decode(data)
    except NwzError:
        return None
    return [
        [name, array.dtype.name, list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]
        for name, array in found.items()
    ]


@pytest.mark.oracle
def test_both_decoders_give_the_same_bits_and_refuse_the_same_files(tmp_path):
    if shutil.which("node") is None:
        pytest.skip("node is not here")  # honest: no part of what Netwright needs
    whole = encode({n: a for n, a in tensors().items() if a.size < 4000}, about=b"graph")
    draw, files = random.Random(0), [whole]
    for _ in range(200):
        hostile = bytearray(whole)
        hostile[draw.randrange(8, len(hostile))] = draw.randrange(256)
        files.append(signed(bytes(hostile)))
    paths = []
    for k, data in enumerate(files):
        paths.append(tmp_path / f"{k}.nwz")
        paths[-1].write_bytes(data)
    ours = [by_numpy(data) for data in files]
    theirs = by_javascript(paths, tmp_path)
    assert ours[0] is not None and ours[0] == theirs[0]
    assert [k for k in range(len(files)) if ours[k] != theirs[k]] == []
