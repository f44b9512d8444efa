import base64
import dataclasses
import io

import numpy as np
import pytest

from netwright.claims import a6
from netwright.finding import Lines, Picture, Series


@pytest.mark.claim
@pytest.mark.slow
def test_claim_is_met():
    found = a6.run(full=False, seed=0)
    assert found.judgement.verdict == "met", found.summary
    assert sum(len(e.png) for e in found.evidence if isinstance(e, Picture)) < 600_000


def picture(pixels, alt="five words stand beside it"):
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return Picture("t", base64.b64encode(file.getvalue()).decode(), alt)


def test_planted_poor_pictures_are_refused():
    drawn = np.arange(200 * 200, dtype=np.uint32).reshape(200, 200).astype(np.uint8)
    good = picture(drawn)
    assert a6._drawn(good)
    assert not a6._drawn(picture(np.full((200, 200), 255, np.uint8)))  # empty
    assert not a6._drawn(picture(drawn[:40, :40]))  # too small to read
    assert not a6._drawn(dataclasses.replace(good, alt="digits"))  # says nothing in words


def test_planted_flat_or_broken_charts_are_refused():
    def chart(*y):
        return Lines("t", "x", "y", (Series("s", tuple(map(float, range(len(y)))), y),))

    assert a6._varied(chart(1.0, 2.0))
    assert not a6._varied(chart(1.0, 1.0))
    assert not a6._varied(chart(1.0, float("nan")))
