"""Printed designs build the same network in a process that has torch and nothing of Netwright."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from netwright._rng import seeded
from netwright.data import Input, Schema
from netwright.design import Design, build_network, portfolio
from netwright.design._bundle import Bundle
from netwright.design._source import _printed, load_weights, source
from netwright.nn import Calibrated

from .samples import CLASS, FAMILIES, INPUTS, LABELS, VALUE, reads, rows_for

ALONE = """
import pathlib, runpy, sys
for name in ("netwright", "jaxtyping", "safetensors", "einops"):
    sys.modules[name] = None  # importing it raises ImportError
import numpy, torch
for folder in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    printed = runpy.run_path(str(folder / "network.py"))
    network = printed["build"]()
    printed["load_weights"](network, folder / "model.safetensors")
    with torch.no_grad():
        y = network.eval()(torch.from_numpy(numpy.load(folder / "x.npy")))
    numpy.save(folder / "y.npy", y.numpy())
"""
WORDS = ('"', "\\", "it's", "'''", "ünï", "{", "a")


def cases():
    targets = {"class": CLASS, "labels": LABELS, "value": VALUE}
    for number, (name, parameters) in enumerate(FAMILIES.items()):
        for where in (where for where in INPUTS if reads(name, where)):
            kind = list(targets)[number % 3]
            yield f"{name}, {where}, small", Design("x", name, parameters), where, targets[kind]
            yield f"{name}, {where}, default", Design("x", name), where, CLASS
    for where in ("image 1x8x8", "image 3x64x48", "table mixed", "table numbers", "text"):
        for design in portfolio(Schema(INPUTS[where], CLASS), 1000):
            yield f"portfolio: {design.name}, {where}", design, where, CLASS


CASES = {name: case for name, *case in cases()}


def prepared(design, schema, generator, *, is_calibrated):
    network = build_network(design, schema, seed=1)
    if is_calibrated:
        network = Calibrated(network, 1.7)
    with seeded(2), torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network.eval(), rows_for(schema, 4, generator)


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """For each case the outputs here and in the other process."""
    root = tmp_path_factory.mktemp("printed")
    generator = torch.Generator().manual_seed(0)
    expected, found = {}, {}
    for number, (name, (design, where, target)) in enumerate(CASES.items()):
        schema, is_calibrated = Schema(INPUTS[where], target), target is CLASS and number % 2 == 0
        folder = root / f"{number:03d}"
        folder.mkdir()
        text = source(design, schema, is_calibrated=is_calibrated)
        (folder / "network.py").write_text(text, encoding="utf-8")
        network, x = prepared(design, schema, generator, is_calibrated=is_calibrated)
        save_file(network.state_dict(), folder / "model.safetensors")
        np.save(folder / "x.npy", x.numpy())
        with torch.no_grad():
            expected[name] = network(x).numpy()
    subprocess.run([sys.executable, "-W", "error", "-c", ALONE, str(root)], check=True, timeout=250)
    for number, name in enumerate(CASES):
        found[name] = np.load(root / f"{number:03d}" / "y.npy")
    return expected, found


@pytest.mark.slow
@pytest.mark.oracle
@pytest.mark.parametrize("name", CASES)
def test_same_outputs_from_the_same_weights_without_the_library(name, printed):
    expected, found = printed
    assert np.array_equal(expected[name], found[name])


@pytest.mark.parametrize("name", FAMILIES)
def test_same_names_of_weights_and_readable_lines(name):
    schema = Schema(next(i for where, i in INPUTS.items() if reads(name, where)), CLASS)
    text = source(Design("x", name, FAMILIES[name]), schema)
    assert max(map(len, text.splitlines())) <= 100
    assert "jaxtyping" not in text and "netwright" not in text
    made = {"__name__": "printed"}
    exec(compile(text, "printed", "exec"), made)
    with seeded(0):
        other = made["build"]()
    network = build_network(Design("x", name, FAMILIES[name]), schema, seed=0)
    shapes = {key: tensor.shape for key, tensor in network.state_dict().items()}
    assert {key: tensor.shape for key, tensor in other.state_dict().items()} == shapes
    assert list(other.state_dict()) == list(shapes)


def test_training_behaves_the_same(generator):
    schema = Schema(INPUTS["table mixed"], CLASS)
    design = Design("x", "tabm", FAMILIES["tabm"])
    made = {"__name__": "printed"}
    exec(compile(source(design, schema), "printed", "exec"), made)
    network, x = prepared(design, schema, generator, is_calibrated=False)
    with seeded(0):
        other = made["build"]()
        other.load_state_dict(network.state_dict())
    outputs = []
    for each in (network, other):
        with seeded(3):
            outputs.append(each.train()(x))
    assert torch.equal(*outputs)


def test_hostile_names_stay_text():
    name = '"""\nimport os; os.abort()\n"""\\'
    schema = Schema(Input("text", (5,), vocabulary=WORDS), CLASS)
    text = source(Design(name, "text_linear", {}), schema)
    made = {"__name__": "printed"}
    exec(compile(text, "printed", "exec"), made)
    assert made["VOCABULARY"] == WORDS
    assert "os.abort" in made["__doc__"]


def test_an_unknown_layer_is_named_with_its_place():
    class Odd(nn.Module):
        pass

    network = nn.Sequential(nn.ReLU(), nn.Sequential(Odd()))
    with pytest.raises(ValueError, match=r"`network\[1\]\[0\]` is a .*Odd, whose arguments"):
        _printed(network, "network", Bundle(), 0)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.int64, torch.bool])
def test_weights_are_read_without_the_library_of_their_format(kind, tmp_path, generator):
    network = nn.Module()
    network.register_buffer("one", torch.zeros(2, 3, dtype=kind))
    network.register_buffer("none", torch.zeros(0, dtype=kind))
    wanted = torch.randint(2, (2, 3), generator=generator).to(kind)
    save_file({"one": wanted, "none": torch.zeros(0, dtype=kind)}, tmp_path / "w.safetensors")
    load_weights(network, tmp_path / "w.safetensors")
    assert torch.equal(network.one, wanted)
