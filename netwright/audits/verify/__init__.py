"""Prove that a network has a property on every input of a set, or find an input without it.

Which one? `verify` decides a VNN-LIB property of an ONNX or .nnet file; `verify_instances` a list
of them. `search` answers several `Query`s about one ReLU network of few inputs together, in memory;
`decide` answers one about a network of many inputs. A verdict "unsat" is a proof in real
arithmetic; `verify(..., proof=...)` also writes a certificate, which `check_proof` has checked by
code that shares nothing with the prover.

`certify_ball` bounds networks of convolutions, attention, branches, smooth activations and int8
rounding as well (`read_bounded`; `intervals`, `linear_bounds`, `tighten` and `optimised_bounds` are
its parts), and says for which images the class cannot change within a distance; `certify_box` for
any boxes, such as words that may be replaced (`read_text`). Neither is complete. `zonotopes` are
for those who study: between intervals and backward bounds in tightness, at one pass forward.

For any classifier of any size, `certify_smoothed` certifies the vote of noisy copies inside l2
balls, with a stated probability; `predict_smoothed` gives that vote.
"""

from netwright.audits.verify._affine_onnx import read_affine
from netwright.audits.verify._certify import (
    Certified,
    certify_ball,
    certify_box,
    read_bounded,
    read_text,
)
from netwright.audits.verify._checker import ProofError, check_tree
from netwright.audits.verify._falsify import falsify
from netwright.audits.verify._instances import (
    Instance,
    read_instances,
    verify_instances,
    with_timeout,
)
from netwright.audits.verify._intervals import Box, intervals
from netwright.audits.verify._layerwise import decide
from netwright.audits.verify._network import AffineReLU, NetworkError, NnetFile, read_nnet
from netwright.audits.verify._program import Program, Step
from netwright.audits.verify._proof import ProofCheck, check_proof, prove, write_proof
from netwright.audits.verify._propagate import (
    linear_bounds,
    optimised_bounds,
    tighten,
)
from netwright.audits.verify._query import Query, queries
from netwright.audits.verify._search import Decision, search
from netwright.audits.verify._smoothing import (
    Certificates,
    certify_smoothed,
    predict_smoothed,
)
from netwright.audits.verify._steps import Embedded, read_program
from netwright.audits.verify._verify import UnsoundError, Verdict, verify
from netwright.audits.verify._vnnlib import (
    Constraint,
    Property,
    PropertyError,
    Region,
    format_witness,
    read_vnnlib,
)
from netwright.audits.verify._zonotope import zonotopes

__all__ = [
    "AffineReLU",
    "Box",
    "Certificates",
    "Certified",
    "Constraint",
    "Decision",
    "Embedded",
    "Instance",
    "NetworkError",
    "NnetFile",
    "Program",
    "ProofCheck",
    "ProofError",
    "Property",
    "PropertyError",
    "Query",
    "Region",
    "Step",
    "UnsoundError",
    "Verdict",
    "certify_ball",
    "certify_box",
    "certify_smoothed",
    "check_proof",
    "check_tree",
    "decide",
    "falsify",
    "format_witness",
    "intervals",
    "linear_bounds",
    "optimised_bounds",
    "predict_smoothed",
    "prove",
    "queries",
    "read_affine",
    "read_bounded",
    "read_instances",
    "read_nnet",
    "read_program",
    "read_text",
    "read_vnnlib",
    "search",
    "tighten",
    "verify",
    "verify_instances",
    "with_timeout",
    "write_proof",
    "zonotopes",
]
