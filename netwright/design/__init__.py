"""Design: what networks are proposed for a task, and how the proposals are searched.

Which one? `portfolio` proposes strong defaults for a task, and `build_network` turns one into a
plain module. `SuccessiveHalving` searches a short list of designs; `strategies` holds searches of
whole spaces. `Ledger` remembers a search on disk, `choose` picks the network to ship,
`pareto_front` and `binding` say what else could be had. `draw` shows a design, and `source` prints
it as a file that needs torch alone.
"""

from netwright.design._build_network import build_network, family
from netwright.design._choose import Choice, choose
from netwright.design._design import Candidate, Design, Strategy
from netwright.design._draw import Block, blocks_of, draw
from netwright.design._draw_cells import draw_cells
from netwright.design._harden import asks_for_proof, harden
from netwright.design._initialise import Initialisable, initialise
from netwright.design._json import design_from_json, design_to_json
from netwright.design._ledger import Ledger
from netwright.design._portfolio import portfolio, provable_portfolio
from netwright.design._price import Price, Rung, binding
from netwright.design._ranking import pareto_front, shortfall
from netwright.design._record import Record
from netwright.design._source import load_weights, source
from netwright.design._successive_halving import SuccessiveHalving

__all__ = [
    "Block",
    "Candidate",
    "Choice",
    "Design",
    "Initialisable",
    "Ledger",
    "Price",
    "Record",
    "Rung",
    "Strategy",
    "SuccessiveHalving",
    "asks_for_proof",
    "binding",
    "blocks_of",
    "build_network",
    "choose",
    "design_from_json",
    "design_to_json",
    "draw",
    "draw_cells",
    "family",
    "harden",
    "initialise",
    "load_weights",
    "pareto_front",
    "portfolio",
    "provable_portfolio",
    "shortfall",
    "source",
]
