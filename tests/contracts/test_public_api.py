"""What every public name promises, checked for all of them at once."""

import dataclasses
import importlib
import inspect
import pkgutil
import re

import pytest

import netwright

MODULES = [
    importlib.import_module(found.name)
    for found in pkgutil.walk_packages(netwright.__path__, "netwright.")
    if not found.name.endswith("__main__")
]
FAMILIES = [m for m in MODULES if hasattr(m, "__path__")]
METHOD_FILES = [m for m in MODULES if not hasattr(m, "__path__")]
PUBLIC = {
    f"{m.__name__}.{name}": getattr(m, name)
    for m in METHOD_FILES
    for name in getattr(m, "__all__", ())
}
FUNCTIONS = {n: o for n, o in PUBLIC.items() if inspect.isfunction(o)}
CLASSES = {n: o for n, o in PUBLIC.items() if inspect.isclass(o)}
DATACLASSES = {n: c for n, c in CLASSES.items() if dataclasses.is_dataclass(c)}


def documented(obj) -> str:
    return inspect.getdoc(inspect.unwrap(obj)) or ""


def names_argument(doc: str, name: str) -> bool:
    return re.search(rf"^\s*\*{{0,2}}{re.escape(name)}\b.*:", doc, re.MULTILINE) is not None


@pytest.mark.parametrize("module", METHOD_FILES, ids=lambda m: m.__name__)
def test_module_says_what_it_offers(module):
    assert module.__doc__
    assert hasattr(module, "__all__")


@pytest.mark.parametrize("module", METHOD_FILES, ids=lambda m: m.__name__)
def test_a_cited_paper_comes_with_departures_and_notation(module):
    if "Paper:" in module.__doc__:
        for heading in ("Departs:", "Notation:"):
            assert heading in module.__doc__


@pytest.mark.parametrize("module", FAMILIES, ids=lambda m: m.__name__)
def test_family_offers_only_what_exists(module):
    assert module.__doc__
    assert sorted(set(getattr(module, "__all__", ()))) == sorted(getattr(module, "__all__", ()))
    for name in getattr(module, "__all__", ()):
        assert getattr(module, name) is not None


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_argument_is_documented(name):
    doc = documented(FUNCTIONS[name])
    arguments = [p for p in inspect.signature(FUNCTIONS[name]).parameters if p != "self"]
    assert [a for a in arguments if not names_argument(doc, a)] == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_generator_is_keyword_only_and_optional(name):
    parameter = inspect.signature(FUNCTIONS[name]).parameters.get("generator")
    if parameter is not None and "augment" not in name:
        assert parameter.kind is parameter.KEYWORD_ONLY


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_says_what_it_is(name):
    assert len(documented(CLASSES[name]).split()) >= 4


@pytest.mark.parametrize("name", DATACLASSES)
def test_every_field_is_documented(name):
    doc = documented(DATACLASSES[name])
    fields = [f.name for f in dataclasses.fields(DATACLASSES[name]) if f.name[0] != "_"]
    fields = [name for name in fields if name != "kind"]  # the tag of a union
    assert [f for f in fields if not names_argument(doc, f)] == []
