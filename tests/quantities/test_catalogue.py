from types import SimpleNamespace

import pytest

import netwright.quantities
from netwright.quantities import CATALOGUE, _collect
from netwright.requirement import Quantity

PROMISED = (
    "accuracy balanced_accuracy f1 auroc log_loss ece rmse mae r2 size params macs latency_p50 "
    "latency_p95 memory robust gap"
).split()


def test_what_is_promised_is_there():
    assert set(PROMISED) <= set(CATALOGUE)


@pytest.mark.parametrize("quantity", CATALOGUE.values(), ids=lambda q: q.name)
def test_a_quantity_is_described(quantity):
    assert isinstance(quantity, Quantity)
    assert quantity.summary
    assert all(a.summary for a in (*quantity.arguments, *quantity.settings))
    assert callable(quantity.measure)


def test_a_file_more_is_a_quantity_more_and_plumbing_is_none(monkeypatch):
    mine = Quantity("charm", "how charming", "ratio", "higher", measure=lambda s: None)
    files = {"charm": (mine,), "accuracy": (CATALOGUE["accuracy"],)}
    pretend(monkeypatch, files, extra=("_plumbing",))
    assert set(_collect()) == {"charm", "accuracy"}


def test_two_files_of_one_name_are_an_error(monkeypatch):
    twice = (CATALOGUE["accuracy"],)
    pretend(monkeypatch, {"one": twice, "two": twice})
    with pytest.raises(ValueError, match="Two files of `quantities/` define `accuracy`"):
        _collect()


def pretend(monkeypatch, files, extra=()):
    """Let the folder hold these files."""
    names = [SimpleNamespace(name=n) for n in (*files, *extra)]
    module = netwright.quantities
    monkeypatch.setattr(module, "pkgutil", SimpleNamespace(iter_modules=lambda path: names))
    found = {f"{module.__name__}.{n}": SimpleNamespace(QUANTITIES=q) for n, q in files.items()}
    monkeypatch.setattr(module, "importlib", SimpleNamespace(import_module=found.__getitem__))
