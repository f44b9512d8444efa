"""The colours of the page, for light and for dark, in one place so that contrast can be checked.

Series colours start from Okabe and Ito's set for colour-blind readers (Color Universal Design,
2008), darkened or lightened until each stands out at 3:1 or more from the page it is drawn on.
"""

__all__ = ["DARK", "LIGHT", "N_SERIES", "stylesheet"]

LIGHT = {
    "page": "#ffffff",
    "surface": "#f5f7f9",
    "line": "#d5dbe1",
    "grid": "#e6eaee",
    "ink": "#171c22",
    "muted": "#525c67",
    "accent": "#0a5cab",
    "met": "#17692e",
    "met-wash": "#e7f5eb",
    "broken": "#b3261e",
    "broken-wash": "#fdeceb",
    "undecided": "#7d5200",
    "undecided-wash": "#fdf3dd",
    "c0": "#0a64ad",
    "c1": "#c14a00",
    "c2": "#007a5a",
    "c3": "#a03c86",
    "c4": "#8a6800",
    "c5": "#2b83b5",
    "c6": "#5b5fc7",
    "c7": "#5d6670",
    "heat": "#1f78c4",
    "heat-error": "#d95f0e",
    "heat-most": "0.66",
}
DARK = {
    "page": "#0f1419",
    "surface": "#171e25",
    "line": "#323d48",
    "grid": "#222b34",
    "ink": "#e7ebef",
    "muted": "#a0abb7",
    "accent": "#7db8f7",
    "met": "#63d283",
    "met-wash": "#12291a",
    "broken": "#ff8f85",
    "broken-wash": "#351615",
    "undecided": "#f0c05a",
    "undecided-wash": "#2e230c",
    "c0": "#63aef0",
    "c1": "#f2935c",
    "c2": "#4cc9a0",
    "c3": "#e08fca",
    "c4": "#dcbb4a",
    "c5": "#8fd3f4",
    "c6": "#a5a8f5",
    "c7": "#aab4bf",
    "heat": "#2f86d6",
    "heat-error": "#e0671a",
    "heat-most": "0.7",
}
N_SERIES = 8


def stylesheet() -> str:
    """Return CSS that defines every colour as a variable, by the reader's preference or choice."""
    light, dark = (";".join(f"--{k}:{v}" for k, v in theme.items()) for theme in (LIGHT, DARK))
    # Ten steps of tint for heatmaps, each paler than what the ink on top can be read against.
    heat = "".join(
        f".q{k}{{fill-opacity:calc(var(--heat-most)*{0.08 + 0.92 * k / 9:.3f})}}" for k in range(10)
    )
    series = "".join(f".s{k}{{--c:var(--c{k})}}" for k in range(N_SERIES))
    return (
        f":root{{color-scheme:light;{light}}}"
        f"@media (prefers-color-scheme:dark){{:root:not([data-theme=light])"
        f"{{color-scheme:dark;{dark}}}}}"
        f":root[data-theme=dark]{{color-scheme:dark;{dark}}}"
        f"@media print{{:root:root{{color-scheme:light;{light}}}}}"
        f"{series}{heat}"
    )
