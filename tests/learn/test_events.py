import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from netwright.learn import Epoch
from netwright.learn._events import event_log


def epoch(number):
    return Epoch(number, number * 50, 1.0, 0.1 / number, 1.0 / number, 0.5 / number, 0.9)


@pytest.mark.oracle
def test_tensorboard_reads_what_was_written(tmp_path):
    with event_log(tmp_path) as log:
        for number in (1, 2, 3):
            log(epoch(number))
    with event_log(tmp_path, step=100) as log:  # resumed from epoch 2; epoch 3 comes out anew
        log(epoch(3))
    found = EventAccumulator(str(tmp_path / "events"))
    found.Reload()
    assert set(found.Tags()["scalars"]) == {
        "loss/train",
        "loss/validation",
        "score/validation",
        "learning_rate",
    }
    losses = found.Scalars("loss/train")
    assert [event.step for event in losses] == [50, 100, 150]
    assert [event.value for event in losses] == pytest.approx([1.0, 1 / 2, 1 / 3])  # float32


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with event_log(None) as log:
        log(epoch(1))
    assert list(tmp_path.iterdir()) == []
