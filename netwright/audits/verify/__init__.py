"""Prove that a network has a property on every input of a set, or find an input without it.

Which one? `verify` decides a VNN-LIB property of an ONNX or .nnet file; `verify_instances` a list
of them. `search` answers several `Query`s about one ReLU network of few inputs together, in memory;
`decide` answers one about a network of many inputs. A verdict "unsat" is a proof in real
arithmetic; `verify(..., proof=...)` also writes a certificate, which `check_proof` has checked by
code that shares nothing with the prover.

For any classifier of any size, `certify_smoothed` certifies the vote of noisy copies inside l2
balls, with a stated probability; `predict_smoothed` gives that vote.
"""

from netwright.audits.verify._affine_onnx import read_affine
from netwright.audits.verify._checker import ProofError, check_tree
from netwright.audits.verify._falsify import falsify
from netwright.audits.verify._instances import (
    Instance,
    read_instances,
    verify_instances,
    with_timeout,
)
from netwright.audits.verify._layerwise import decide
from netwright.audits.verify._network import AffineReLU, NetworkError, NnetFile, read_nnet
from netwright.audits.verify._proof import ProofCheck, check_proof, prove, write_proof
from netwright.audits.verify._query import Query, queries
from netwright.audits.verify._search import Decision, search
from netwright.audits.verify._smoothing import (
    Certificates,
    certify_smoothed,
    predict_smoothed,
)
from netwright.audits.verify._verify import UnsoundError, Verdict, verify
from netwright.audits.verify._vnnlib import (
    Constraint,
    Property,
    PropertyError,
    Region,
    format_witness,
    read_vnnlib,
)

__all__ = [
    "AffineReLU",
    "Certificates",
    "Constraint",
    "Decision",
    "Instance",
    "NetworkError",
    "NnetFile",
    "ProofCheck",
    "ProofError",
    "Property",
    "PropertyError",
    "Query",
    "Region",
    "UnsoundError",
    "Verdict",
    "certify_smoothed",
    "check_proof",
    "check_tree",
    "decide",
    "falsify",
    "format_witness",
    "predict_smoothed",
    "prove",
    "queries",
    "read_affine",
    "read_instances",
    "read_nnet",
    "read_vnnlib",
    "search",
    "verify",
    "verify_instances",
    "with_timeout",
    "write_proof",
]
