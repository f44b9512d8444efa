import numpy as np
import pyarrow as pa

from netwright.data._cells import Cells
from netwright.data._groups import group_names


def names(values, train=None):
    train = np.ones(len(values), bool) if train is None else train
    return group_names(Cells(pa.array(values)), train).tolist()


def test_words_and_few_numbers_are_groups_themselves():
    assert names(["f", "m", None]) == ["f", "m", "missing"]
    assert names([1, 2, 1]) == ["1", "2", "1"]


def test_many_numbers_are_cut_at_the_quartiles_of_training_rows():
    values = [*range(1, 101), 1000, None]
    train = np.array([True] * 100 + [False] * 2)
    found = names([float(v) if v else None for v in values], train)
    assert found[0] == "up to 25.75" and found[-2] == "above 75.25" and found[-1] == "missing"
    assert [found[:100].count(name) for name in dict.fromkeys(found[:100])] == [25] * 4
