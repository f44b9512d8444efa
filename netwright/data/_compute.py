"""Arrow's functions on columns; they are made at import, so that no type checker sees them."""

from typing import Any

import pyarrow.compute

__all__ = ["pc"]

pc: Any = pyarrow.compute
