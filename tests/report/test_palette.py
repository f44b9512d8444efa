import pytest

from netwright.report._palette import DARK, LIGHT, N_SERIES, stylesheet


def channels(colour):
    return [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]


def luminance(rgb):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def over(top, bottom, opacity):
    return [opacity * t + (1 - opacity) * b for t, b in zip(top, bottom, strict=True)]


@pytest.mark.oracle
def test_contrast_agrees_with_the_published_examples():
    # W3C, "Understanding Success Criterion 1.4.3": #767676 on white is 4.54, black on white 21.
    assert contrast(channels("#767676"), channels("#ffffff")) == pytest.approx(4.54, abs=0.005)
    assert contrast(channels("#000000"), channels("#ffffff")) == pytest.approx(21)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_texts_stand_out_from_their_grounds(theme):
    for ground in ("page", "surface"):
        for ink in ("ink", "muted", "accent"):
            assert contrast(channels(theme[ink]), channels(theme[ground])) >= 4.5, (ink, ground)
    for verdict in ("met", "broken", "undecided"):
        assert contrast(channels(theme[verdict]), channels(theme["page"])) >= 4.5
        for ink in (verdict, "ink"):
            assert contrast(channels(theme[ink]), channels(theme[f"{verdict}-wash"])) >= 4.5
    assert contrast(channels(theme["page"]), channels(theme["accent"])) >= 4.5  # "shipped"


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_series_stand_out_and_their_names_can_be_read(theme):
    for k in range(N_SERIES):
        assert contrast(channels(theme[f"c{k}"]), channels(theme["page"])) >= 3.0, k
    for k in range(4):  # at most four lines are named in their own colour
        assert contrast(channels(theme[f"c{k}"]), channels(theme["page"])) >= 4.5, k


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("tone", ["heat", "heat-error"])
def test_numbers_can_be_read_on_every_tint(theme, tone):
    most = float(theme["heat-most"])
    for level in range(10):
        opacity = most * (0.08 + 0.92 * level / 9)
        ground = over(channels(theme[tone]), channels(theme["surface"]), opacity)
        assert contrast(channels(theme["ink"]), ground) >= 4.5, level


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_neighbouring_series_differ_for_colour_blind_readers(theme):
    # Viénot, Brettel and Mollon (1999): protanopia and deuteranopia in linear RGB.
    maps = {
        "protanopia": ((0.11238, 0.88762, 0), (0.11238, 0.88762, 0), (0.00401, -0.00401, 1)),
        "deuteranopia": ((0.29275, 0.70725, 0), (0.29275, 0.70725, 0), (-0.02234, 0.02234, 1)),
    }
    for name, rows in maps.items():
        seen = []
        for k in range(4):
            linear = [
                c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
                for c in channels(theme[f"c{k}"])
            ]
            seen.append([sum(m * c for m, c in zip(row, linear, strict=True)) for row in rows])
        for i in range(4):
            for j in range(i):
                # Distance in cube-root space, where 0.05 is easily told apart.
                far = sum(
                    (abs(a) ** (1 / 3) - abs(b) ** (1 / 3)) ** 2
                    for a, b in zip(seen[i], seen[j], strict=True)
                )
                assert far**0.5 > 0.1, (name, i, j)


def test_both_themes_define_the_same_variables_and_the_toggle_wins():
    assert set(LIGHT) == set(DARK)
    css = stylesheet()
    assert "@media (prefers-color-scheme:dark){:root:not([data-theme=light])" in css
    assert css.index(":root[data-theme=dark]") > css.index("@media (prefers-color-scheme:dark)")
    assert css.count("{") == css.count("}")
