"""Which changes of a table's row an attacker could make, and how much they count.

Paper:    Kireev, Kulynych, Troncoso. Adversarial Robustness for Tabular Data through Cost and
          Utility Awareness. NDSS 2023, arXiv:2208.13058. Section 3 (attackers change features, each
          at a cost); Simonetto et al. A Unified Framework for Adversarial Attack and Defense in
          Constrained Feature Space. IJCAI 2022, arXiv:2112.01156. Section 3 (bounds, mutable and
          integer features).
Departs:  a change of a number counts by its size in standard deviations of its column, a change of
          a category counts one.
Notation: none.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from netwright.data import Column

__all__ = ["TableRules", "rules_for"]


@dataclass(frozen=True, eq=False)
class TableRules:
    """What may change in a row, column by column.

    Attributes:
        low: smallest value of each column.
        high: largest value of each column.
        scale: what counts as a change of one, in units of the column.
        grid: 1 for columns of whole numbers and codes, 0 for others.
        frozen: columns that nobody can change.
        direction: 1 for columns that can only grow, -1 for those that can only fall, 0 for others.
        coded: columns whose values are codes without an order (categories).
        one_hot: groups of columns of which exactly one is 1 and the others 0.
    """

    low: Float[Tensor, "columns"]
    high: Float[Tensor, "columns"]
    scale: Float[Tensor, "columns"]
    grid: Bool[Tensor, "columns"]
    frozen: Bool[Tensor, "columns"]
    direction: Float[Tensor, "columns"]
    coded: Bool[Tensor, "columns"]
    one_hot: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        """Refuse rules that contradict each other."""
        width = len(self.low)
        for name in ("high", "scale", "grid", "frozen", "direction", "coded"):
            if len(getattr(self, name)) != width:
                raise ValueError(
                    f"`{name}` must have one entry for each of the {width} columns of `low`; got "
                    f"{len(getattr(self, name))}."
                )
        if not (self.low <= self.high).all():
            raise ValueError("`low` must not exceed `high` in any column.")
        if not (self.scale > 0).all():
            raise ValueError("`scale` must be positive in every column.")
        places = [place for group in self.one_hot for place in group]
        if len(places) != len(set(places)) or any(not 0 <= p < width for p in places):
            raise ValueError(
                f"`one_hot` groups must name columns 0 to {width - 1}, each in one group at most; "
                f"got {self.one_hot}."
            )

    def feasible(
        self, x: Float[Tensor, "batch columns"], clean: Float[Tensor, "batch columns"]
    ) -> Bool[Tensor, "batch"]:
        """Say which rows an attacker could have made of the clean ones.

        Args:
            x: changed rows.
            clean: what they were.
        """
        same = (x == clean) | (x.isnan() & clean.isnan())
        slack = 1e-5 * self.scale  # float32
        inside = (x >= self.low - slack) & (x <= self.high + slack)
        whole = ~self.grid | ((x - x.round()).abs() <= 1e-4)
        right_way = (x - clean) * self.direction >= -slack
        right_way |= self.direction == 0
        fine = same | (inside & whole & right_way & ~self.frozen)
        rows = fine.all(dim=1)
        for group in self.one_hot:
            part = x[:, list(group)]
            one = ((part == 0) | (part == 1)).all(1) & (part.sum(1) == 1)
            rows &= one | same[:, list(group)].all(1)
        return rows

    def project(
        self, x: Float[Tensor, "batch columns"], clean: Float[Tensor, "batch columns"]
    ) -> Float[Tensor, "batch columns"]:
        """Bring rows to nearby ones that an attacker could make; codes and groups stay as clean.

        Args:
            x: changed rows.
            clean: what they were.
        """
        fixed = self.frozen | self.coded
        for group in self.one_hot:
            fixed = fixed.index_fill(0, torch.tensor(group, device=x.device), True)
        low = torch.where(self.direction > 0, torch.maximum(self.low, clean), self.low)
        high = torch.where(self.direction < 0, torch.minimum(self.high, clean), self.high)
        # Whole numbers are rounded towards the clean value, so that no bound is crossed.
        toward = torch.where(x > clean, x.floor(), x.ceil())
        moved = torch.where(self.grid & (x != clean), toward, x)
        moved = torch.minimum(torch.maximum(moved, low), high)
        return torch.where(fixed | clean.isnan() | moved.isnan(), clean, moved)

    def cost(
        self, x: Float[Tensor, "batch columns"], clean: Float[Tensor, "batch columns"]
    ) -> Float[Tensor, "batch"]:
        """Say how much was changed: the sum over columns, groups counting once.

        Args:
            x: changed rows.
            clean: what they were.
        """
        change = torch.where(x.isnan() | clean.isnan(), 0.0, (x - clean).abs() / self.scale)
        change = torch.where(self.coded, (change > 0).to(x.dtype), change)
        for group in self.one_hot:
            places = list(group)
            moved = (x[:, places] != clean[:, places]).any(1).to(x.dtype)
            change[:, places] = 0.0
            change[:, places[0]] = moved
        return change.sum(1)


def rules_for(
    columns: Sequence[Column],
    *,
    frozen: Sequence[str] = (),
    integer: Sequence[str] = (),
    growing: Sequence[str] = (),
    falling: Sequence[str] = (),
    one_hot: Sequence[Sequence[str]] = (),
) -> TableRules:
    """Make the rules for the columns of a task.

    Values stay between the smallest and largest of the training rows; categories and booleans stay
    among those seen in training; missing values stay missing.

    Args:
        columns: of the task, `schema.input.columns`.
        frozen: names of columns that nobody can change, such as an age.
        integer: names of number columns that hold whole numbers only.
        growing: names of columns that can only grow, such as years of service.
        falling: names of columns that can only fall.
        one_hot: names of columns that together hold one category.

    Raises:
        ValueError: if a name is not one of the columns.

    Example:
        >>> age, income = (Column(n, "number", std=10.0, maximum=90.0) for n in ("age", "income"))
        >>> rules = rules_for([age, income], frozen=["age"])
        >>> clean = torch.tensor([[30.0, 40.0]])
        >>> rules.feasible(torch.tensor([[30.0, 55.5]]), clean).item()
        True
        >>> rules.feasible(torch.tensor([[31.0, 40.0]]), clean).item()
        False
    """
    names = [column.name for column in columns]
    grouped = [name for group in one_hot for name in group]
    for name in (*frozen, *integer, *growing, *falling, *grouped):
        if name not in names:
            raise ValueError(f"No column is called `{name}`. Known: {', '.join(names)}.")
    is_code = [column.kind == "category" for column in columns]
    is_bool = [column.kind == "boolean" for column in columns]
    low = [
        1.0 if code else 0.0 if flag else column.minimum
        for column, code, flag in zip(columns, is_code, is_bool, strict=True)
    ]
    high = [
        float(max(1, len(column.categories))) if code else 1.0 if flag else column.maximum
        for column, code, flag in zip(columns, is_code, is_bool, strict=True)
    ]
    scale = [
        1.0 if code or flag else column.std if column.std > 0 else 1.0
        for column, code, flag in zip(columns, is_code, is_bool, strict=True)
    ]
    whole = [
        code or flag or column.kind == "date" or column.name in integer
        for column, code, flag in zip(columns, is_code, is_bool, strict=True)
    ]
    direction = [float(name in growing) - float(name in falling) for name in names]
    if not all(map(math.isfinite, (*low, *high))):
        raise ValueError("`columns` must have finite minimum and maximum.")
    return TableRules(
        low=torch.tensor(low),
        high=torch.tensor(high),
        scale=torch.tensor(scale),
        grid=torch.tensor(whole),
        frozen=torch.tensor([name in frozen for name in names]),
        direction=torch.tensor(direction),
        coded=torch.tensor(is_code),
        one_hot=tuple(tuple(names.index(name) for name in group) for group in one_hot),
    )
