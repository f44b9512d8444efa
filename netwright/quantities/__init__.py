"""What can be required of a network: one file a quantity.

Which one? `docs/quantities.md` lists them all. A file of this folder ends in
`QUANTITIES = (Quantity(...), ...)`. Dropping a file in adds it to the catalogue; two files that
claim one name are an error. Files that start with `_` are shared plumbing.
"""

import importlib
import pkgutil
from types import MappingProxyType

from netwright.requirement import Quantity

__all__ = ["CATALOGUE"]


def _collect() -> MappingProxyType[str, Quantity]:
    found: dict[str, Quantity] = {}
    names = (module.name for module in pkgutil.iter_modules(__path__))
    for module in sorted(name for name in names if not name.startswith("_")):
        for quantity in importlib.import_module(f"{__name__}.{module}").QUANTITIES:
            if quantity.name in found:
                raise ValueError(f"Two files of `quantities/` define `{quantity.name}`.")
            found[quantity.name] = quantity
    return MappingProxyType(found)


CATALOGUE = _collect()
