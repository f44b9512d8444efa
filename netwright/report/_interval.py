"""The small graphic in a verdict table: a measured interval against its bound."""

from netwright.finding import Measurement
from netwright.report._scale import Axis, drawable
from netwright.report._svg import element

__all__ = ["draw_interval"]

_WIDTH, _HEIGHT = 168.0, 26.0
_FROM_ZERO = ("bytes", "s", "MACs", "parameters")


def draw_interval(
    measurement: Measurement,
    name: str,
    *,
    comparison: str | None = None,
    bound: float | None = None,
    verdict: str | None = None,
) -> str:
    """Draw the interval as a bar with a dot at the value, and the side that the bound allows.

    Args:
        measurement: what was measured.
        name: what the graphic says, in words, for people who do not see it.
        comparison: ">=" or "<=", if there is a bound.
        bound: in the measurement's units.
        verdict: met, broken or undecided; colours the bar.

    Returns:
        An SVG image; one without marks where nothing measured is finite.
    """
    ends = [v for v in (measurement.low, measurement.high, measurement.value) if drawable(v)]
    known = [*ends, *([bound] if bound is not None and drawable(bound) else [])]
    parts = []
    middle = _HEIGHT / 2
    if known:
        axis = _window(known, measurement.unit)

        def at(value: float) -> float:
            return min(max(axis.place(value, 6, _WIDTH - 6), 3.0), _WIDTH - 3)

        if bound is not None and drawable(bound):
            start, end = (at(bound), _WIDTH) if comparison == ">=" else (0.0, at(bound))
            parts.append(
                element(
                    "rect", class_="zone", x=start, y=3.0, width=end - start, height=_HEIGHT - 6
                )
            )
        parts.append(element("line", class_="rail", x1=0, x2=_WIDTH, y1=middle, y2=middle))
        if bound is not None and drawable(bound):
            parts.append(
                element("line", class_="limit", x1=at(bound), x2=at(bound), y1=1.0, y2=_HEIGHT - 1)
            )
        if ends:
            low, high, value = at(min(ends)), at(max(ends)), measurement.value
            if high - low > 1:
                parts.append(
                    element(
                        "rect",
                        class_="span",
                        x=low,
                        y=middle - 3,
                        width=high - low,
                        height=6.0,
                        rx=3,
                    )
                )
            if drawable(value):
                parts.append(element("circle", class_="dot", cx=at(value), cy=middle, r=4.5))
    return element(
        "svg",
        element("title", text=name),
        *parts,
        role="img",
        viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}",
        width=f"{_WIDTH:g}",
        height=f"{_HEIGHT:g}",
        class_=f"interval {verdict or 'plain'}",
        aria_label=name,
    )


def _window(known: list[float], unit: str) -> Axis:
    low, high = min(known), max(known)
    span = high - low if high - low > 1e-9 * abs(high) else abs(high) * 0.2
    span = max(span, 1e-99)
    if unit in _FROM_ZERO and low >= 0:
        return Axis(0.0, high + 0.2 * span, ())
    start, end = low - 0.3 * span, high + 0.3 * span
    if low >= 0:
        start = max(start, 0.0)
    if unit == "" and 0 <= low and high <= 1:
        end = min(end, 1.0)
    if not end > start:  # everything known is exactly 0, or exactly 1
        start, end = start - 0.5, end + 0.5
    return Axis(start, end, ())
