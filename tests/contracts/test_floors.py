"""Imports go down the floors of the house; heavy parts are loaded only when they are needed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "netwright"

# Lowest first. A file may import from its own package and from the rows before its own.
FLOORS = (
    ("_rng", "_files", "_threads", "finding"),
    ("_journal", "_intervals"),
    ("requirement",),
    ("data", "nn"),
    ("measure",),
    ("learn", "models"),
    ("artefact",),
    ("design", "audits", "compress", "generate", "agents", "reason", "science"),
    ("quantities",),
    ("report",),
    ("run",),
    (
        "_allot",
        "_candidate_facts",
        "_costs",
        "_evaluate",
        "_fidelity",
        "_moments",
        "_reachable",
        "_refit",
        "_workers",
        "_search_loop",
        "_strategies",
        "_search",
        "_ship",
        "_page",
        "_audit",
        "_audit_file",
        "_build",
        "_compress_shape",
        "_compress_sensitivity",
        "_compress_passes",
        "_compress_training",
        "_compress_candidates",
        "_compress_orders",
        "_compress_students",
        "_compress_chains",
        "_compress_search",
        "_compress_findings",
        "_compress_page",
        "_compress",
        "claims",
    ),
    ("serve",),
    ("cli", "_live", "_terminal", "_doctor", "_design_cli", "_serve_cli", "_verify_cli"),
    ("__main__",),
)
FLOOR = {name: level for level, names in enumerate(FLOORS) for name in names}
FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")
JOINERS = {"_search", "_ship", "_page", "_audit", "_audit_file", "_build", "claims", "cli"}
JOINERS |= {
    "_search_loop",
    "_allot",
    "_costs",
    "_evaluate",
    "_refit",
    "_workers",
    "_compress_shape",
    "_compress_sensitivity",
    "_compress_passes",
    "_compress_training",
    "_compress_candidates",
    "_compress_orders",
    "_compress_students",
    "_compress_chains",
    "_compress_search",
    "_compress_findings",
    "_compress_page",
    "_compress",
    "_live",
    "_doctor",
    "_terminal",
    "_verify_cli",
}
HEAVY = ("pandas", "sklearn", "onnx", "onnxruntime", "onnxscript", "optuna", "lightning_fabric")


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_parts(path: Path) -> set[str]:
    parts = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            parts.add(part_of(path))
        elif isinstance(node, ast.ImportFrom) and node.module == "netwright":
            parts |= {alias.name for alias in node.names if alias.name != "__version__"}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("netwright."):
            parts.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            names = [a.name.split(".") for a in node.names]
            parts |= {n[1] for n in names if n[0] == "netwright" and len(n) > 1}
    return parts


def violations(path: Path, imported: set[str]) -> list[str]:
    own = part_of(path)
    allowed = {p for p in FLOOR if FLOOR[p] < FLOOR[own]} | {own}
    if own in JOINERS:  # the files that join the stages also use each other
        allowed |= {p for p in FLOOR if FLOOR[p] == FLOOR[own]}
    return sorted(imported - allowed)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down(path):
    assert part_of(path) in FLOOR, f"{path.name} stands on no floor: add it to FLOORS"
    assert violations(path, imported_parts(path)) == []


def test_an_import_that_goes_up_is_seen():
    assert violations(ROOT / "data" / "_load.py", {"nn", "report"}) == ["nn", "report"]
    assert violations(ROOT / "audits" / "x.py", {"design", "data"}) == ["design"]


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_netwright_loads_nothing_heavy():
    loaded = loaded_by("import netwright")
    assert loaded & {"torch", "numpy", *HEAVY} == set()


def test_help_loads_nothing_heavy():
    loaded = loaded_by("import netwright.cli")
    assert loaded & {"torch", "numpy", *HEAVY} == set()


def test_packages_import_no_heavy_library():
    parts = ["data", "nn", "measure", "learn", "artefact", "design", "audits", "compress"]
    loaded = loaded_by("; ".join(f"import netwright.{part}" for part in parts))
    assert {f"netwright.{part}" for part in parts} <= loaded
    assert loaded & set(HEAVY) == set()
