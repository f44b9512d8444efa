import numpy as np
import pytest

from netwright.serve._drift import ANSWER, FEWEST, Window, fit_profile, summarise


def numbers(draw, n, mean=0.0):
    return {"a": draw.normal(mean, 1, n).tolist(), "b": draw.exponential(1, n).tolist()}


def states(found):
    return {column.name: column.state for column in found}


def test_index_of_two_known_distributions():
    # psi = sum (p - q) ln(p / q), over two words, by hand; the half rows move it by 1e-4.
    profile = fit_profile({"w": ["x"] * 50_000 + ["y"] * 50_000})
    (found,) = profile.compare({"w": ["x"] * 80_000 + ["y"] * 20_000})
    assert found.psi == pytest.approx(0.3 * np.log(1.6) - 0.3 * np.log(0.4), abs=1e-3)
    assert found.state == "shifted"


def test_same_rows_have_no_drift():
    draw = np.random.default_rng(0)
    values = numbers(draw, 3000)
    for column in fit_profile(values).compare(values):
        assert column.psi == pytest.approx(0, abs=1e-6)
        assert column.ks == pytest.approx(0, abs=1e-3)  # 2,000 of the 3,000 values are kept


@pytest.mark.oracle
def test_distance_equals_scipys():
    from scipy.stats import ks_2samp

    draw = np.random.default_rng(1)
    before, now = draw.normal(0, 1, 500).round(1), draw.normal(0.4, 1, 300).round(1)
    (found,) = fit_profile({"a": before.tolist()}).compare({"a": now.tolist()})
    assert found.ks == pytest.approx(ks_2samp(before, now).statistic, abs=1e-4)  # rounded


def test_false_alarms_are_as_rare_as_promised():
    # Once in 1,000 windows over all columns together; 300 windows of 200 rows may show 3 by chance
    # (a fourth has probability 3e-4).
    draw = np.random.default_rng(2)
    profile = fit_profile(numbers(draw, 5000))
    alarms = sum(
        "shifted" in states(profile.compare(numbers(draw, 200))).values() for _ in range(300)
    )
    assert alarms <= 3


def test_planted_shift_is_found_in_its_column_alone():
    draw = np.random.default_rng(3)
    profile = fit_profile(numbers(draw, 5000))
    moved = numbers(draw, 300, mean=0.8)
    assert states(profile.compare(moved)) == {"a": "shifted", "b": "steady"}


def test_missing_values_and_new_words_count():
    draw = np.random.default_rng(4)
    clean = {"a": draw.normal(0, 1, 1000).tolist(), "w": draw.choice(["x", "y"], 1000).tolist()}
    profile = fit_profile(clean)
    broken = {"a": [None] * 150 + clean["a"][:150], "w": ["z"] * 150 + clean["w"][:150]}
    assert set(states(profile.compare(broken)).values()) == {"shifted"}


def test_number_that_half_of_the_rows_share():
    draw = np.random.default_rng(5)
    values = np.where(draw.random(4000) < 0.6, 0.0, draw.random(4000)).tolist()
    profile = fit_profile({"a": values})
    fresh = np.where(draw.random(500) < 0.6, 0.0, draw.random(500)).tolist()
    assert states(profile.compare({"a": fresh})) == {"a": "steady"}
    fewer = np.where(draw.random(500) < 0.2, 0.0, draw.random(500)).tolist()
    assert states(profile.compare({"a": fewer})) == {"a": "shifted"}


def test_few_rows_say_nothing():
    profile = fit_profile({"a": [0.0, 1.0] * 500})
    (found,) = profile.compare({"a": [9.0] * (FEWEST - 1)})
    assert found.state == "too few rows"
    (found,) = profile.compare({"a": [9.0] * FEWEST})
    assert found.state == "shifted"


def test_window_forgets_the_oldest():
    window = Window(3)
    window.add([{"a": i} for i in range(5)])
    assert window.values() == {"a": [2, 3, 4]}
    window.add([{"b": 1}])
    assert window.values() == {"a": [3, 4, None], "b": [None, None, 1]}


def test_corner_that_lights_up_shows_in_its_field(digits_model):
    dark = np.zeros((2, 1, 8, 8), np.uint8)
    dark[1, 0, :2, 6:] = 255
    found = summarise({"image": dark}, digits_model.schema)
    assert found["brightness of field 1,4"] == [0.0, 1.0]
    assert found["brightness of field 4,1"] == [0.0, 0.0]
    assert found["brightness"] == [0.0, 4 / 64]


def test_texts_by_length_and_unknown_words(words_model):
    feed = {"text": np.array(["good film", "", "good xyz"], object)}
    found = summarise(feed, words_model.schema)
    assert found["length"] == [2.0, 0.0, 2.0]
    assert found["share of unknown words"] == [0.0, 0.0, 0.5]


def test_server_shows_drift_and_remembers_it(
    digits_model, digits_reference, digits_task, serve, tmp_path
):
    from netwright.serve import Log

    address = f"sqlite:///{tmp_path / 'kept.db'}"
    client = serve(digits_model, reference=digits_reference, log=Log(address))
    pixels = (digits_task.validation.take(range(179)) * 255).round().int()
    client.post("/predict", {"images": pixels.tolist()})
    found = {c["name"]: c["state"] for c in client.get("/monitor")[1]["drift"]}
    assert set(found.values()) == {"steady"}
    assert ANSWER in found
    client.post("/predict", {"images": (255 - pixels).tolist()})
    found = {c["name"]: c["state"] for c in client.get("/monitor")[1]["drift"]}
    assert found["brightness"] == "shifted"
    assert 'netwright_drift_psi{column="brightness"}' in client.get("/metrics")[1].decode()
    again = serve(digits_model, reference=digits_reference, log=Log(address))
    found = {c["name"]: c["state"] for c in again.get("/monitor")[1]["drift"]}
    assert found["brightness"] == "shifted"
