from types import SimpleNamespace

from netwright.data import Column
from netwright.nn import ColumnLike


def test_columns_of_a_schema_are_what_encoders_need():
    assert isinstance(Column("age", "number"), ColumnLike)


def test_something_without_statistics_is_not():
    assert not isinstance(SimpleNamespace(kind="number", mean=0.0, std=1.0), ColumnLike)
