"""What a user demands of a network, as text, and how a measurement is judged against it.

`Quantity` says what can be demanded; the catalogue of quantities is the folder `quantities/`, one
file each, and names in a requirement are resolved there when it is parsed.
"""

import difflib
import importlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from netwright.finding import Judgement, Measurement

__all__ = ["Argument", "Quantity", "Requirement"]

Dimension = Literal["ratio", "score", "bytes", "seconds", "count", "nats", "target"]
_UNITS: dict[str, dict[str, float]] = {
    "ratio": {"": 1.0, "%": 0.01},
    "score": {"": 1.0},
    "bytes": {
        "B": 1.0,
        "bytes": 1.0,
        "kB": 1e3,
        "MB": 1e6,
        "GB": 1e9,
        "KiB": 2.0**10,
        "MiB": 2.0**20,
        "GiB": 2.0**30,
    },
    "seconds": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6},
    "count": {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9},
    "nats": {"": 1.0, "nats": 1.0},
    "target": {"": 1.0},
}
_OBLIGATORY = ("bytes", "seconds")
_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_PATTERN = re.compile(
    rf"""\s*(?P<name>[A-Za-z_]\w*)\s*
         (?:\((?P<arguments>[^()]*)\))?\s*
         (?P<comparison><=|>=|≤|≥|<|>|=+)\s*
         (?P<bound>{_NUMBER}(?:\s*/\s*{_NUMBER})?)\s*
         (?P<unit>[A-Za-zµ%]*)\s*
         (?:@\s*(?P<settings>.*?))?\s*""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument that a quantity takes.

    Attributes:
        name: its keyword.
        kind: `float` (fractions such as 4/255 are read), `int` or `str`.
        default: value when it is left out; None means it has none.
        summary: what it means, with unit.
        required: whether it must be given; of several `required=False` arguments without default,
            the quantity itself says which it needs.
    """

    name: str
    kind: type
    summary: str
    default: float | int | str | None = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something that can be measured on a network and demanded of it.

    Attributes:
        name: the word used in requirements.
        summary: one line for people.
        dimension: decides the units that a bound may carry.
        better: which direction is better.
        measure: `measure(subject, **arguments)`, where `subject` is a `measure.Subject`.
        arguments: what may stand in parentheses, in order.
        settings: what may stand after `@`.
        targets: the kinds of target it applies to; empty for all.
        needs: the most expensive thing it asks the subject for: "network" (parameters, MACs),
            "artefact" (bytes, latency), "predictions" or "attack". A search measures the cheap ones
            before it trains.
    """

    name: str
    summary: str
    dimension: Dimension
    better: Literal["higher", "lower"]
    measure: Callable[..., Measurement]
    arguments: tuple[Argument, ...] = ()
    settings: tuple[Argument, ...] = ()
    targets: tuple[str, ...] = ()
    needs: Literal["network", "artefact", "predictions", "attack"] = "predictions"


@dataclass(frozen=True, slots=True)
class Requirement:
    """A bound on a quantity.

    Attributes:
        text: as the user wrote it, white space tidied.
        quantity: the quantity's name.
        arguments: what stood in parentheses, with defaults filled in; sorted by name.
        settings: what stood after `@`, with defaults filled in; sorted by name.
        comparison: ">=" or "<=".
        bound: in base units (bytes, seconds, fractions of one).
        unit: the unit the user wrote.
    """

    text: str
    quantity: str
    arguments: tuple[tuple[str, Any], ...]
    settings: tuple[tuple[str, Any], ...]
    comparison: Literal["<=", ">="]
    bound: float
    unit: str

    @classmethod
    def parse(cls, text: str) -> "Requirement":
        """Read a requirement such as ``latency_p95 <= 2 ms @batch=1,threads=1``.

        Args:
            text: `quantity(arguments) <= bound unit @setting=value,...`.

        Raises:
            ValueError: if the text has another form, names no known quantity, argument or unit, or
                leaves out a unit that is obligatory (bytes and seconds).

        Example:
            >>> small = Requirement.parse("size <= 200 kB")
            >>> small.quantity, small.bound
            ('size', 200000.0)
        """
        found = _PATTERN.fullmatch(text)
        if found is None:
            raise ValueError(
                f"A requirement reads `quantity(arguments) >= bound unit @setting=value`, for "
                f"example `size <= 200 kB`; got {text!r}."
            )
        comparison = found["comparison"].replace("≤", "<=").replace("≥", ">=")
        if comparison not in ("<=", ">="):
            raise ValueError(
                f"Compare with `>=` or `<=`; got `{found['comparison']}` in {text!r}. A measured "
                f"value has an interval, so equality and strict bounds cannot be judged."
            )
        quantity = _lookup(found["name"])
        arguments = _read_arguments(found["arguments"], quantity.arguments, quantity.name, text)
        settings = _read_arguments(found["settings"], quantity.settings, quantity.name, text)
        scale = _scale(found["unit"], quantity, text)
        bound = float(_fraction(found["bound"], "bound", text)) * scale
        return cls(
            text=" ".join(text.split()),
            quantity=quantity.name,
            arguments=arguments,
            settings=settings,
            comparison=comparison,  # type: ignore[arg-type]  # checked above
            bound=bound,
            unit=found["unit"],
        )

    @property
    def keywords(self) -> dict[str, Any]:
        """Arguments and settings together, as `Quantity.measure` takes them."""
        return {**dict(self.arguments), **dict(self.settings)}

    def holds(self, value: float) -> bool:
        """Say whether one number satisfies the bound.

        Args:
            value: in base units.
        """
        return value >= self.bound if self.comparison == ">=" else value <= self.bound

    def judge(self, measurement: Measurement) -> Judgement:
        """Judge at the bad end of the interval: met only if the whole interval satisfies the bound.

        Args:
            measurement: what was measured, in base units.

        Returns:
            met or broken when the interval lies on one side of the bound, else undecided, with how
            many more samples would decide if the rate stayed as it is.
        """
        low, high, value = measurement.low, measurement.high, measurement.value
        if measurement.unresolved:
            return Judgement("undecided", measurement.unresolved)
        if not (math.isfinite(low) and math.isfinite(high) and math.isfinite(value)):
            return Judgement("undecided", "The measurement is not a finite number.")
        bad, good = (low, high) if self.comparison == ">=" else (high, low)
        span = f"the {measurement.confidence:.0%} interval"
        if self.holds(bad):
            reason = "Exact." if low == high else f"All of {span} satisfies the bound."
            return Judgement("met", reason)
        if not self.holds(good):
            reason = "Exact." if low == high else f"No value in {span} satisfies the bound."
            return Judgement("broken", reason)
        more = _more_samples(self, measurement)
        if more is None:
            return Judgement("undecided", f"The bound lies inside {span}, at the measured value.")
        side = "met" if self.holds(value) else "broken"
        kind = "timings" if measurement.method == "order statistics" else "test samples"
        return Judgement(
            "undecided",
            f"The bound lies inside {span}; about {more:,} more {kind} at this rate would show it "
            f"{side}.",
            more,
        )


def _lookup(name: str) -> Quantity:
    # The catalogue stands above this file; it is resolved by name, at call time.
    catalogue: Mapping[str, Quantity] = importlib.import_module("netwright.quantities").CATALOGUE
    if name in catalogue:
        return catalogue[name]
    near = difflib.get_close_matches(name, catalogue, n=1)
    hint = f" Did you mean `{near[0]}`?" if near else ""
    raise ValueError(
        f"No quantity is called `{name}`.{hint} Known: {', '.join(sorted(catalogue))}."
    )


def _scale(unit: str, quantity: Quantity, text: str) -> float:
    units = _UNITS[quantity.dimension]
    if unit in units:
        return units[unit]
    known = ", ".join(u for u in units if u) or "none"
    if not unit and quantity.dimension in _OBLIGATORY:
        raise ValueError(f"`{quantity.name}` needs a unit ({known}); got none in {text!r}.")
    raise ValueError(f"`{quantity.name}` takes these units: {known}; got `{unit}` in {text!r}.")


def _fraction(number: str, name: str, text: str) -> Fraction:
    above, _, below = number.partition("/")
    try:
        return Fraction(above.strip()) / (Fraction(below.strip()) if below else 1)
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(
            f"`{name}` must be a number or a fraction; got {number!r} in {text!r}."
        ) from error


def _read_arguments(
    given: str | None, known: tuple[Argument, ...], owner: str, text: str
) -> tuple[tuple[str, Any], ...]:
    by_name = {argument.name: argument for argument in known}
    values: dict[str, Any] = {a.name: a.default for a in known if a.default is not None}
    seen: set[str] = set()
    for place, part in enumerate(p.strip() for p in (given or "").split(",") if p.strip()):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:  # positional
            if place >= len(known):
                raise ValueError(
                    f"`{owner}` takes {len(known)} arguments; got {part!r} in {text!r}."
                )
            key, value = known[place].name, part
        if key not in by_name:
            listed = ", ".join(f"`{name}`" for name in by_name) or "none"
            raise ValueError(f"`{owner}` takes {listed} here; got `{key}` in {text!r}.")
        if key in seen:
            raise ValueError(f"`{key}` is given twice in {text!r}.")
        seen.add(key)
        values[key] = _convert(value, by_name[key], text)
    missing = [a.name for a in known if a.required and a.name not in values]
    if missing:
        raise ValueError(
            f"`{owner}` needs `{missing[0]}` ({by_name[missing[0]].summary}) in {text!r}."
        )
    return tuple(sorted(values.items()))


def _convert(value: str, argument: Argument, text: str) -> float | int | str:
    if argument.kind is str:
        return value
    number = _fraction(value, argument.name, text)
    if argument.kind is int:
        if number.denominator != 1:
            raise ValueError(
                f"`{argument.name}` must be a whole number; got {value!r} in {text!r}."
            )
        return int(number)
    return float(number)


def _more_samples(requirement: Requirement, measured: Measurement) -> int | None:
    if measured.low == measured.high or measured.value == requirement.bound or not measured.n:
        return None
    # Every interval used here shrinks as 1/sqrt(n) at a fixed rate. The end that must clear the
    # bound is the one on the bound's side of the value.
    reach = measured.high if requirement.bound > measured.value else measured.low
    ratio = (reach - measured.value) / (requirement.bound - measured.value)
    return max(1, math.ceil(measured.n * (ratio**2 - 1)))
