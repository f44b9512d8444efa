import math

import pytest

from netwright.finding import Finding, Measurement, format_value


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.9777778, "", "0.978"),
        (1.0, "", "1"),
        (0.0, "", "0"),
        (0.99987, "", "0.9999"),  # never 1.000: that would claim perfection
        (0.00042, "", "0.00042"),
        (-0.5, "", "−0.500"),
        (0.47, "target", "0.470"),
        (68.1234, "target", "68.12"),
        (206_855.8, "target", "206,856"),
        (0.12345, "nats", "0.123 nats"),
        (512, "bytes", "512 B"),
        (143_210, "bytes", "143.2 kB"),
        (999_999, "bytes", "1.0 MB"),
        (2_500_000, "bytes", "2.5 MB"),
        (3e9, "bytes", "3.0 GB"),
        (2.1e-4, "s", "0.21 ms"),
        (0.0123, "s", "12.3 ms"),
        (1.5, "s", "1.5 s"),
        (3e-6, "s", "3 µs"),
        (0.0, "s", "0 s"),
        (8970, "MACs", "8,970 MACs"),
        (1_250_000, "parameters", "1.25 M parameters"),
        (math.nan, "", "not a number"),
        (math.inf, "", "∞"),
    ],
)
def test_values_read_well(value, unit, shown):
    assert format_value(value, unit) == shown


@pytest.mark.parametrize("unit", ["", "bytes", "s", "MACs", "parameters", "nats", "target"])
def test_the_shown_value_grows_with_the_value(unit):
    # 15 decades in steps of 1 %: rounding must never make a larger value look smaller.
    scales = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "s": 1, "ms": 1e-3, "µs": 1e-6}
    scales |= {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
    last = 0.0
    for step in range(-1200, 2200):
        words = format_value(1.01**step, unit).replace(",", "").split()
        seen = float(words[0]) * scales.get(words[1] if len(words) > 1 else "", 1)
        assert seen >= last * (1 - 1e-12)
        assert seen == pytest.approx(1.01**step, rel=0.06) or unit in (
            "bytes",
            "MACs",
            "parameters",
        )
        last = seen


def test_findings_are_values():
    found = Finding("accuracy", "Accuracy", "Good.", Measurement(0.9, 0.8, 0.95, 100))
    assert found == Finding("accuracy", "Accuracy", "Good.", Measurement(0.9, 0.8, 0.95, 100))
    with pytest.raises(AttributeError):
        found.name = "other"
