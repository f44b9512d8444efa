"""A .pt2 file is read without pickle, and one that could run code is refused."""

import contextlib
import io
import json
import pickle
import zipfile

import pytest
import torch
from torch import nn

from netwright.artefact import ArtefactError, read_network, read_pt2
from tests.artefact.shipped_networks import bag_of_words, small_cnn


def save(network, x, path, **settings):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        batch = ({0: torch.export.Dim("batch", min=1)},)
        program = torch.export.export(network, (x,), dynamic_shapes=batch, **settings)
        torch.export.save(program, path)
    return path


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pt2")
    return save(small_cnn().eval(), torch.zeros(2, 1, 8, 8), folder / "n.pt2")


def rewritten(source, target, change):
    """Copy an archive; `change(part, content)` returns what to write, or None to leave it out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = change(name.split("/", 1)[1], old.read(name))
            if content is not None:
                new.writestr(name, content)
    return target


def test_network_computes_and_differentiates_as_before(exported, generator):
    x = torch.rand(5, 1, 8, 8, generator=generator)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    read, network = read_pt2(exported), small_cnn().eval()
    assert torch.equal(read(ours), network(theirs))
    read(ours).square().sum().backward()
    network(theirs).square().sum().backward()
    assert torch.equal(ours.grad, theirs.grad)
    assert not read.train().eval().training


def test_names_of_weights_are_kept(exported):
    assert (
        dict(read_pt2(exported).named_parameters()).keys()
        == dict(small_cnn().named_parameters()).keys()
    )


def test_token_networks_and_symbolic_sizes_are_read(tmp_path):
    class Reshaping(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = bag_of_words()

        def forward(self, x):
            twice = torch.cat([x, x]).reshape(2, x.shape[0], -1)
            return self.inner(twice.flatten(0, 1))[: x.shape[0]] + x.shape[0] // 2

    x = torch.tensor([[2, 3, 1, 6, 0, 0]] * 3)
    read = read_pt2(save(Reshaping().eval(), x, tmp_path / "n.pt2"))
    assert torch.equal(read(x), Reshaping().eval()(x))


class Bomb:
    """Pickled, it makes a file when it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (self.path.touch, ())


def test_pickle_in_the_sample_inputs_is_never_opened(exported, tmp_path):
    mark = tmp_path / "ran"
    buffer = io.BytesIO()
    torch.save(Bomb(mark), buffer)
    hostile = rewritten(
        exported, tmp_path / "h.pt2", lambda part, c: buffer.getvalue() if "sample" in part else c
    )
    read_pt2(hostile)
    assert not mark.exists()
    # The bomb is real: torch itself opens it.
    with contextlib.suppress(AssertionError, TypeError):
        torch.export.load(hostile)
    assert mark.exists()


def test_pickled_weights_are_refused(exported, tmp_path):
    def change(part, content):
        if not part.endswith("weights_config.json"):
            return content
        table = json.loads(content)
        next(iter(table["config"].values()))["use_pickle"] = True
        return json.dumps(table)

    with pytest.raises(ArtefactError, match="as pickle, which could run code"):
        read_pt2(rewritten(exported, tmp_path / "h.pt2", change))


@pytest.mark.parametrize(
    "part",
    [
        "data/weights/model.pt",
        "data/constants/custom_obj_0",
        "data/constants/opaque_obj_0",
        "data/aotinductor/model/model.so",
        "extra/notes",
    ],
)
def test_parts_that_could_run_code_are_refused(exported, tmp_path, part):
    hostile = rewritten(exported, tmp_path / "h.pt2", lambda _, c: c)
    with zipfile.ZipFile(hostile, "a") as archive:
        root = archive.namelist()[0].split("/")[0]
        archive.writestr(f"{root}/{part}", pickle.dumps(Bomb(tmp_path / "ran")))
    with pytest.raises(ArtefactError, match=f"holds the part `{part}`"):
        read_pt2(hostile)
    assert not (tmp_path / "ran").exists()


def with_program(exported, path, old, new):
    def change(part, content):
        if part != "models/model.json":
            return content
        assert old in content.decode()
        return content.decode().replace(old, new)

    return rewritten(exported, path, change)


@pytest.mark.parametrize(
    "target",
    [
        "torch.load",
        "torch.ops.aten.relu.__class__",
        "torch.ops.aten.from_file.default",
        "os.system",
        "_operator.attrgetter",
    ],
)
def test_calls_of_anything_but_tensor_operators_are_refused(exported, tmp_path, target):
    path = with_program(exported, tmp_path / "h.pt2", "torch.ops.aten.relu.default", target)
    with pytest.raises(ArtefactError, match="not one of torch's tensor operators"):
        read_pt2(path)


def test_sizes_that_are_code_are_refused(exported, tmp_path):
    mark = tmp_path / "ran"
    code = json.dumps(f"Symbol('s31') + open('{mark}', 'w').close()")[1:-1]
    with zipfile.ZipFile(exported) as archive:
        name = next(n for n in archive.namelist() if n.endswith("models/model.json"))
        program = archive.read(name).decode()
    symbol = next(s for s in program.split('"') if s.startswith("Symbol("))
    with pytest.raises(ArtefactError, match="not plain arithmetic"):
        read_pt2(with_program(exported, tmp_path / "h.pt2", symbol, code))
    assert not mark.exists()


def test_training_mode_is_refused(tmp_path):
    path = save(small_cnn().train(), torch.zeros(2, 1, 8, 8), tmp_path / "n.pt2")
    with pytest.raises(ArtefactError, match=r"exported in training mode .*Call `eval\(\)`"):
        read_pt2(path)


def test_files_of_torch_save_are_refused(tmp_path):
    torch.save(small_cnn().state_dict(), tmp_path / "n.pt2")
    with pytest.raises(ArtefactError, match="holds no exported program"):
        read_pt2(tmp_path / "n.pt2")


@pytest.mark.parametrize("keep", [0, 10, 1000, -1])
def test_truncated_files_are_an_error(exported, tmp_path, keep):
    (tmp_path / "n.pt2").write_bytes(exported.read_bytes()[:keep])
    with pytest.raises(ArtefactError, match="damaged"):
        read_pt2(tmp_path / "n.pt2")


def test_flipped_bits_are_an_error_or_give_numbers(exported, tmp_path):
    import random

    chance, whole = random.Random(0), exported.read_bytes()
    for _ in range(25):
        content = bytearray(whole)
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        (tmp_path / "n.pt2").write_bytes(content)
        try:
            assert read_pt2(tmp_path / "n.pt2")(torch.zeros(1, 1, 8, 8)).shape == (1, 10)
        except ArtefactError as error:
            assert str(error)


def test_suffix_decides(exported, tmp_path):
    assert read_network(exported)(torch.zeros(1, 1, 8, 8)).shape == (1, 10)
    for name in ("n.pt", "n.pth", "n.pkl", "n.ckpt"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(ArtefactError, match="holds pickle.*torch.export.save"):
            read_network(tmp_path / name)
    (tmp_path / "n.h5").write_bytes(b"")
    with pytest.raises(ArtefactError, match="Convert it to ONNX"):
        read_network(tmp_path / "n.h5")
    (tmp_path / "n").write_bytes(b"")
    with pytest.raises(ArtefactError, match="must end in"):
        read_network(tmp_path / "n")
    with pytest.raises(FileNotFoundError, match="no file"):
        read_network(tmp_path / "absent.onnx")
