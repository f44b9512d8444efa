"""Proofs are written, accepted by the independent checker, and refused when they show nothing."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from netwright.audits.verify import (
    AffineReLU,
    Constraint,
    ProofError,
    Property,
    Region,
    check_proof,
    check_tree,
    prove,
    read_nnet,
    verify,
    write_proof,
)
from netwright.audits.verify import _checker as checker

from .conftest import least_maximum, make_network, make_query

ONE = Fraction(1)


def above(network, low, high, bound):
    """The property that output 0 is never <= `bound` on a box."""
    row = Constraint((), ((0, ONE),), Fraction(bound))
    region = Region(tuple(map(Fraction, low)), tuple(map(Fraction, high)), ((row,),))
    return Property(network.n_inputs, network.n_outputs, (region,))


@pytest.fixture
def case():
    """A network and its least output on a box; 31 cuts prove it up to 0.05."""
    network = make_network(np.random.default_rng(3), [2, 4, 4, 1])
    query = make_query([-1, -1], [1, 1], [[1.0]], [0.0])
    least = least_maximum(network, query)
    return network, [-1, -1], [1, 1], least


@pytest.mark.oracle
@pytest.mark.parametrize("exact", [False, True])
def test_a_true_property_is_proved_and_accepted(case, tmp_path, exact):
    network, low, high, least = case
    prop = above(network, low, high, least - 0.05)
    verdict = verify(network, prop, proof=tmp_path / "proof.json")
    assert verdict.outcome == "unsat" and "Proof of" in verdict.note
    checked = check_proof(tmp_path / "proof.json", network, prop, exact=exact)
    assert checked.exact is exact and checked.n_leaves >= 1
    assert f"of {checked.n_leaves} boxes" in verdict.note


def test_a_proof_of_less_is_no_proof_of_more(case, tmp_path):
    network, low, high, least = case
    write_proof(
        tmp_path / "proof.json",
        network,
        above(network, low, high, least - 0.05),
        prove(network, above(network, low, high, least - 0.05)),
    )
    with pytest.raises(ProofError, match="allows alternative 0"):
        check_proof(tmp_path / "proof.json", network, above(network, low, high, least + 1e-6))
    wider = above(network, [-1, -1], [1, 1.5], least - 0.05)
    narrower = above(network, [-1, -1], [1, 0.5], least - 0.05)
    check_proof(tmp_path / "proof.json", network, narrower)
    if least_maximum(network, make_query([-1, -1], [1, 1.5], [[1.0]], [0.0])) < least - 0.05:
        with pytest.raises(ProofError):
            check_proof(tmp_path / "proof.json", network, wider)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda c: c["trees"][0].clear(),
        lambda c: c["trees"][0].pop(),
        lambda c: c["trees"][0].append(None),
        lambda c: c["trees"].clear(),
        lambda c: c["trees"].append([None]),
        lambda c: c.update(version=2),
        lambda c: c["network"].update(sha256="0" * 64),
        lambda c: c["trees"][0].__setitem__(0, ["axis", "cut"]),
        lambda c: c.pop("trees"),
    ],
)
def test_spoiled_proofs_are_refused(case, tmp_path, spoil):
    network, low, high, least = case
    prop, path = above(network, low, high, least - 0.05), tmp_path / "proof.json"
    write_proof(path, network, prop, prove(network, prop))
    content = json.loads(path.read_text())
    assert len(content["trees"][0]) > 1  # there is a cut to lose
    spoil(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ProofError):
        check_proof(path, network, prop)


def test_a_proof_is_about_its_own_network(case, tmp_path):
    network, low, high, least = case
    prop, path = above(network, low, high, least - 0.05), tmp_path / "proof.json"
    write_proof(path, network, prop, prove(network, prop))
    other = AffineReLU(network.weights, (*network.biases[:-1], network.biases[-1] - 1e-12))
    with pytest.raises(ProofError, match="another network"):
        check_proof(path, other, prop)


def test_weights_known_up_to_an_error_are_not_proved_about(case):
    network, low, high, least = case
    errors = (np.full(network.weights[0].shape, 1e-12), None, None)
    inexact = AffineReLU(network.weights, network.biases, errors)
    prop = above(network, low, high, least - 0.05)
    with pytest.raises(ValueError, match="exact weights"):
        prove(inexact, prop)
    assert "exact weights" in verify(inexact, prop, proof="nowhere.json").note


@pytest.mark.oracle
@pytest.mark.parametrize("exact", [False, True])
def test_the_checker_accepts_no_single_leaf_that_is_false(draw, exact):
    """Against a linear program for every pattern: bounds a hair beyond the truth are refused."""
    accepted = 0
    for _ in range(12):
        network = make_network(draw, [2, 3, 2, 1])
        low = np.round(draw.normal(size=2), 2)
        high = low + np.round(draw.choice([0.0, 0.05, 0.5], 2), 2)
        least = least_maximum(network, make_query(low, high, [[1.0]], [0.0]))
        for gap, true in ((-1e-7, False), (1e-6, True), (0.5, True)):
            bound = Fraction(float(least - gap))
            rows = [[([ONE], [Fraction(0)] * 2, bound)]]
            region = list(map(Fraction, low)), list(map(Fraction, high)), rows
            try:
                check_tree(network.weights, network.biases, region, [None], exact=exact)
            except ProofError:
                continue
            assert true, (least, gap)
            accepted += 1
    assert accepted > 4  # it does not refuse everything


def test_a_tie_is_not_excluded():
    """y = x on [1, 1]: y <= 1 is possible, y <= 1 - 2**-52 is not."""
    weights, biases = [np.array([[1.0]])], [np.zeros(1)]

    def leaf(bound, exact):
        region = [ONE], [ONE], [[([ONE], [Fraction(0)], bound)]]
        check_tree(weights, biases, region, [None], exact=exact)

    for exact in (False, True):
        with pytest.raises(ProofError):
            leaf(ONE, exact)
    leaf(ONE - Fraction(1, 2**52), True)
    with pytest.raises(ProofError):  # float64 gives the last bits away
        leaf(ONE - Fraction(1, 2**52), False)


def test_the_checker_shares_no_code_with_the_prover():
    source = Path(checker.__file__).read_text()
    assert "netwright" not in source.split('"""', 2)[2]
    assert len(source.splitlines()) < 220


@pytest.mark.claim  # a minute of exact arithmetic
def test_the_cell_of_the_reluplex_table_that_is_wrong(shared_data, tmp_path):
    """Point 4, delta 0.05: printed as SAT; UNSAT by a proof that exact arithmetic accepts."""
    from netwright.claims import e3

    file = read_nnet(e3.unpack(shared_data, tmp_path))
    cell = next(c for c in e3.cells(shared_data) if (c.point, c.delta) == (4, 0.05))
    assert cell.paper == "SAT"
    prop = e3.property_of(cell, file)
    verdict = verify(file.network, prop, proof=tmp_path / "proof.json", timeout=200)
    assert verdict.outcome == "unsat"
    checked = check_proof(tmp_path / "proof.json", file.network, prop, exact=True)
    assert checked.n_leaves > 100
