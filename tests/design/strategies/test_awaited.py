import pytest

from netwright.design import Candidate, Design
from netwright.design.strategies._awaited import Awaited

ONE, TWO = Design("one", "small_cnn"), Design("two", "small_cnn")


def test_notes_come_back_with_their_candidates():
    out: Awaited[str] = Awaited()
    first = out.send(ONE, 0.5, "a")
    second = out.send(TWO, 1.0, "b", parent=0)
    assert (first, second) == (Candidate(0, ONE, 0.5), Candidate(1, TWO, 1.0, 0))
    assert (len(out), out.fidelity, out.notes) == (2, 1.5, ("a", "b"))
    assert out.take(second) == "b" and out.take(first) == "a"
    assert (len(out), out.fidelity, out.n_sent) == (0, 0, 2)


def test_what_is_not_out_cannot_come_back():
    out: Awaited[None] = Awaited()
    sent = out.send(ONE, 1.0, None)
    with pytest.raises(ValueError, match="Candidate 0 was not asked for"):
        out.take(Candidate(0, TWO))
    assert len(out) == 1
    out.take(sent)
    with pytest.raises(ValueError, match="was told before"):
        out.take(sent)


def test_what_is_out_is_named():
    out: Awaited[None] = Awaited()
    out.require_none()
    out.send(ONE, 1.0, None)
    out.send(TWO, 1.0, None)
    with pytest.raises(RuntimeError, match="Tell candidates 0, 1 before"):
        out.require_none()
