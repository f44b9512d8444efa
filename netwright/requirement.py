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

from netwright._intervals import proportion
from netwright.finding import Judgement, Measurement, format_value

__all__ = ["Argument", "Quantity", "Requirement", "units"]

Dimension = Literal["ratio", "score", "points", "bytes", "seconds", "count", "nats", "target"]
_GREEK = "\u03bcs"  # microseconds with the Greek mu, which looks like the micro sign
_UNITS: dict[str, dict[str, Fraction]] = {
    "ratio": {"": Fraction(1), "%": Fraction(1, 100)},
    "score": {"": Fraction(1), "%": Fraction(1, 100)},
    "points": {
        "": Fraction(1),
        "%": Fraction(1, 100),
        "points": Fraction(1, 100),
        "point": Fraction(1, 100),
    },
    "bytes": {
        "B": Fraction(1),
        "bytes": Fraction(1),
        "kB": Fraction(10**3),
        "MB": Fraction(10**6),
        "GB": Fraction(10**9),
        "KiB": Fraction(2**10),
        "MiB": Fraction(2**20),
        "GiB": Fraction(2**30),
    },
    "seconds": {
        "s": Fraction(1),
        "ms": Fraction(1, 10**3),
        "us": Fraction(1, 10**6),
        "\u00b5s": Fraction(1, 10**6),
        _GREEK: Fraction(1, 10**6),
    },
    "count": {"": Fraction(1), "k": Fraction(10**3), "M": Fraction(10**6), "G": Fraction(10**9)},
    "nats": {"": Fraction(1), "nats": Fraction(1)},
    "target": {"": Fraction(1)},
}
_LONGEST = 1000  # characters of a requirement
_MOST_SAMPLES = 10**9  # more than anyone will gather
# Exponents are short, so that no number takes gigabytes to write out.
_NUMBER = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?"
_FRACTION = re.compile(rf"({_NUMBER})(?:\s*/\s*({_NUMBER}))?")
_QUOTED = r"(?:\"[^\"]*\"|[^()\"])*"
_UNQUOTED = r'(?=(?:[^"]*"[^"]*")*[^"]*$)'  # what stands before an even number of quotes
_PATTERN = re.compile(
    rf"""\s*(?P<name>[A-Za-z_][A-Za-z_0-9]*)\s*
         (?:\((?P<arguments>{_QUOTED})\))?\s*
         (?P<comparison>[<>=≤≥⩽⩾!]+)\s*
         (?P<bound>{_NUMBER}(?:\s*/\s*{_NUMBER})?)\s*
         (?P<unit>[A-Za-z\u00b5\u03bc%]*)\s*
         (?:@\s*(?P<settings>.*?))?\s*""",
    re.VERBOSE | re.DOTALL,
)
_COMPARISONS: dict[str, Literal["<=", ">="]] = {
    "<=": "<=",
    "≤": "<=",
    "⩽": "<=",
    ">=": ">=",
    "≥": ">=",
    "⩾": ">=",
}


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument that a quantity takes.

    Attributes:
        name: its keyword.
        kind: `float` (fractions such as 4/255 are read), `int` or `str`.
        default: value when it is left out; None means it has none.
        summary: what it means, with unit.
        required: whether it must be given; of several `required=False` arguments without default,
            the quantity's `check` says which it needs.
        least: smallest number that is allowed; None allows all.
    """

    name: str
    kind: type
    summary: str
    default: float | int | str | None = None
    required: bool = False
    least: float | None = None


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something that can be measured on a network and demanded of it.

    Attributes:
        name: the word used in requirements.
        summary: one line for people.
        dimension: decides the units that a bound may carry.
        better: which direction is better.
        measure: `measure(subject, **arguments)`, where `subject` is a `measure.Subject`. With a
            keyword `confidence` besides, it can be measured by group (`gap`).
        arguments: what may stand in parentheses, in order.
        settings: what may stand after `@`.
        targets: the kinds of target it applies to; empty for all.
        needs: the most expensive thing it asks the subject for: "network" (parameters, MACs),
            "artefact" (bytes, latency), "predictions" or "attack". A search measures the cheap ones
            before it trains.
        check: `check(arguments, schema)` raises ValueError for arguments that make no sense
            together, or with this `data.Schema`, which is None while there is no task.
        shows_learning: whether only a network that has learned its task can have a good value;
            false for costs, and for gaps and calibration, where a constant answer does well.
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
    shows_learning: bool = False
    check: Callable[[Mapping[str, Any], Any], None] | None = None


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

        Text values may stand in double quotes, which lets them hold commas and parentheses.

        Args:
            text: `quantity(arguments) <= bound unit @setting=value,...`.

        Raises:
            ValueError: if the text has another form, names no known quantity, argument or unit, or
                leaves out a unit that is obligatory (bytes and seconds), or if the bound is beyond
                what the quantity can reach.

        Example:
            >>> small = Requirement.parse("size <= 200 kB")
            >>> small.quantity, small.bound
            ('size', 200000.0)
            >>> Requirement.parse("gap(accuracy, by=sex) <= 2 %").arguments
            (('by', 'sex'), ('quantity', 'accuracy'))
        """
        found = _PATTERN.fullmatch(text) if len(text) <= _LONGEST else None
        if found is None:
            raise ValueError(
                f"A requirement reads `quantity(arguments) >= bound unit @setting=value`, for "
                f"example `size <= 200 kB`; got {_shorten(text)!r}."
            )
        if found["comparison"] not in _COMPARISONS:
            raise ValueError(
                f"Compare with `>=` or `<=`; got `{found['comparison']}` in {text!r}. A measured "
                f"value has an interval, so equality and strict bounds cannot be judged."
            )
        quantity = _lookup(found["name"])
        arguments = _read_arguments(
            found["arguments"], quantity.arguments, f"{quantity.name}(...)", text
        )
        settings = _read_arguments(
            found["settings"], quantity.settings, f"{quantity.name} @...", text
        )
        read = cls(
            text=re.sub(rf"\s+{_UNQUOTED}", " ", text).strip(),
            quantity=quantity.name,
            arguments=arguments,
            settings=settings,
            comparison=_COMPARISONS[found["comparison"]],
            bound=_read_bound(found["bound"], found["unit"], quantity, text),
            unit=found["unit"],
        )
        if quantity.check is not None:
            quantity.check(read.keywords, None)
        return read

    @property
    def keywords(self) -> dict[str, Any]:
        """Arguments and settings together, as `Quantity.measure` takes them."""
        return {**dict(self.arguments), **dict(self.settings)}

    def check(self, schema: Any) -> None:
        """Make sure that the requirement can be put to a network for this task.

        Args:
            schema: of the task, a `data.Schema`.

        Raises:
            ValueError: if the quantity does not apply to the kind of target, or to the input, or
                names a column that is not there.
        """
        quantity, kind = _lookup(self.quantity), schema.target.kind
        if quantity.targets and kind not in quantity.targets:
            raise ValueError(
                f"`{self.quantity}` does not apply to a target of kind `{kind}`, in "
                f"{self.text!r}; it is for: {', '.join(quantity.targets)}."
            )
        if quantity.check is not None:
            quantity.check(self.keywords, schema)

    def holds(self, value: float) -> bool:
        """Say whether one number satisfies the bound.

        Args:
            value: in base units.
        """
        return value >= self.bound if self.comparison == ">=" else value <= self.bound

    def judge(self, measurement: Measurement) -> Judgement:
        """Judge at the bad end of the interval: met only if the whole interval satisfies the bound.

        So a network that breaks the bound passes with probability (1 - confidence) / 2 at most, as
        far as the interval keeps its promise.

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
        exact = low == high
        span = "range" if measurement.method == "range" else "interval"
        span = f"the {span} from {_show(low, measurement)} to {_show(high, measurement)}"
        if self.holds(bad):
            return Judgement("met", "Exact." if exact else f"All of {span} satisfies the bound.")
        if not self.holds(good):
            reason = "Exact." if exact else f"Nothing in {span} satisfies the bound."
            return Judgement("broken", reason)
        inside = f"The bound lies inside {span}"
        more = _more_samples(self, measurement)
        if more is None:
            return Judgement("undecided", f"{inside}; {_no_way_out(self, measurement)}.")
        side = "met" if self.holds(value) else "broken"
        kind = "timings" if measurement.method == "order statistics" else "test samples"
        return Judgement(
            "undecided", f"{inside}; about {more:,} more {kind} like these would show {side}.", more
        )


def units(quantity: Quantity) -> tuple[str, ...]:
    """List the units that a bound on a quantity may carry; an empty one if it may have none.

    Args:
        quantity: of the catalogue.

    Example:
        >>> from netwright.quantities import CATALOGUE
        >>> units(CATALOGUE["accuracy"])
        ('', '%')
    """
    return tuple(unit for unit in _UNITS[quantity.dimension] if unit != _GREEK)


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


def _read_bound(number: str, unit: str, quantity: Quantity, text: str) -> float:
    scales = _UNITS[quantity.dimension]
    known = ", ".join(f"`{u}`" for u in units(quantity) if u) or "no unit"
    if not unit and unit not in scales:
        raise ValueError(f"`{quantity.name}` needs a unit ({known}); got none in {text!r}.")
    if unit not in scales:
        near = {u.lower(): u for u in scales}.get(unit.lower())
        hint = f" Did you mean `{near}`?" if near else ""
        raise ValueError(f"`{quantity.name}` takes {known}; got `{unit}` in {text!r}.{hint}")
    exact = _fraction(number, "bound", text) * scales[unit]
    if quantity.dimension == "ratio" and not 0 <= exact <= 1:
        hint = f" Did you mean `{number} %`?" if not unit and 1 < exact <= 100 else ""
        raise ValueError(f"`{quantity.name}` lies in [0, 1]; got {number}{unit} in {text!r}.{hint}")
    return _as_float(exact, "bound", text)


def _fraction(number: str, name: str, text: str) -> Fraction:
    found = _FRACTION.fullmatch(number.strip())
    if found is None or len(number) > 100 or (found[2] and not Fraction(found[2])):
        raise ValueError(
            f"`{name}` must be a number or a fraction such as 4/255; got {_shorten(number)!r} in "
            f"{_shorten(text)!r}."
        )
    return Fraction(found[1]) / Fraction(found[2] or 1)


def _as_float(number: Fraction, name: str, text: str) -> float:
    try:
        return float(number)
    except OverflowError as error:
        raise ValueError(f"`{name}` is too large for a number, in {_shorten(text)!r}.") from error


def _read_arguments(
    given: str | None, known: tuple[Argument, ...], owner: str, text: str
) -> tuple[tuple[str, Any], ...]:
    by_name = {argument.name: argument for argument in known}
    listed = ", ".join(f"`{name}`" for name in by_name) or "nothing"
    values: dict[str, Any] = {a.name: a.default for a in known if a.default is not None}
    seen: set[str] = set()
    for place, (key, value) in enumerate(_split_arguments(given or "", text)):
        if key is None:  # positional
            if place >= len(known):
                raise ValueError(f"`{owner}` takes {listed}; got {value!r} too many in {text!r}.")
            key = known[place].name
        if key not in by_name:
            raise ValueError(f"`{owner}` takes {listed}; got `{key}` in {text!r}.")
        if key in seen:
            raise ValueError(f"`{key}` is given twice in {text!r}.")
        seen.add(key)
        values[key] = _convert(value, by_name[key], text)
    missing = [a for a in known if a.required and a.name not in values]
    if missing:
        what = f"`{missing[0].name}` ({missing[0].summary})"
        raise ValueError(f"`{owner}` needs {what}; got none in {text!r}.")
    return tuple(sorted(values.items()))


def _split_arguments(given: str, text: str) -> list[tuple[str | None, str]]:
    """Split at commas and at the first equals sign, neither of which counts inside quotes."""
    if not given.strip():
        return []
    parts = re.split(rf",{_UNQUOTED}", given)
    pairs: list[tuple[str | None, str]] = []
    for part in parts:
        found = re.fullmatch(r"\s*(?:([A-Za-z_][A-Za-z_0-9]*)\s*=)?(.*)", part, re.DOTALL)
        value = found[2].strip() if found else ""
        if len(value) >= 2 and value[0] == value[-1] == '"':
            value = value[1:-1]
        if not value or '"' in value:
            raise ValueError(f"Arguments read `name=value, name=value`; got {part!r} in {text!r}.")
        pairs.append((found[1] if found else None, value))
    return pairs


def _convert(value: str, argument: Argument, text: str) -> float | int | str:
    if argument.kind is str:
        return value
    number = _fraction(value, argument.name, text)
    if argument.least is not None and number < argument.least:
        raise ValueError(
            f"`{argument.name}` must be at least {argument.least:g}; got {value} in {text!r}."
        )
    if argument.kind is int:
        if number.denominator != 1:
            raise ValueError(f"`{argument.name}` must be a whole number; got {value} in {text!r}.")
        return int(number)
    return _as_float(number, argument.name, text)


def _shorten(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:100]}…"


def _show(value: float, measurement: Measurement) -> str:
    return format_value(value, measurement.unit)


def _no_way_out(requirement: Requirement, measured: Measurement) -> str:
    if measured.method == "range":
        return "repeated measurements differ by more than that"
    if measured.value == requirement.bound:
        return "the measured value is the bound itself, so more samples like these cannot decide"
    return "no number of samples can show it"


def _more_samples(requirement: Requirement, measured: Measurement) -> int | None:
    """Samples to add, at the same rate, until the interval clears the bound."""
    if measured.method == "range" or measured.value == requirement.bound or measured.n < 1:
        return None
    if measured.successes is None:
        # Every other interval shrinks as 1/sqrt(n). The end that must clear the bound is the one on
        # the bound's side of the value.
        end = measured.high if requirement.bound > measured.value else measured.low
        ratio = (end - measured.value) / (requirement.bound - measured.value)
        more = max(1, math.ceil(measured.n * (ratio**2 - 1)))
        return more if more <= _MOST_SAMPLES else None

    rate = Fraction(measured.successes, measured.n)
    upward = requirement.bound < measured.value  # then the low end must rise above the bound

    def clears(more: int) -> bool:
        n = measured.n + more
        # Whole successes, rounded to the bound's side, so that rounding never decides early.
        successes = math.floor(rate * n) if upward else math.ceil(rate * n)
        end = proportion(successes, n, confidence=measured.confidence)
        return end.low > requirement.bound if upward else end.high < requirement.bound

    enough = 1
    while not clears(enough):
        enough *= 2
        if enough > _MOST_SAMPLES:
            return None
    short = enough // 2
    while enough - short > 1:
        middle = (short + enough) // 2
        short, enough = (short, middle) if clears(middle) else (middle, enough)
    return enough
