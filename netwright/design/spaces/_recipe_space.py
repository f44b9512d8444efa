"""Spaces in which a design's training is decided together with its architecture."""

from collections.abc import Sequence
from dataclasses import replace

from netwright.data._schema import Schema
from netwright.design._design import Design
from netwright.design.spaces._space import Code, Decision, Space, require_code
from netwright.learn._recipe import Recipe

__all__ = ["JoinedSpace", "joined", "recipe_decisions"]

# Augmentations. Signs, which are grey, are not mirrored.
_EITHER = (("trivial",), ("learned",))
_GREY = ((), ("shift",), ("shift", "rotate_scale"), ("shift", "rotate_scale", "cutout"), *_EITHER)
_SERIES = ((), ("jitter",), ("rescale",), ("slide", "rescale"), ("slide", "rescale", "mask_steps"))
_COLOUR = ((), ("flip",), ("flip", "shift"), ("flip", "shift", "cutout"), *_EITHER)


def recipe_decisions(schema: Schema) -> tuple[Decision, ...]:
    """List what can be decided about the training for a task.

    Args:
        schema: of the task.

    Returns:
        Decisions named after fields of `Recipe`: rate, weight decay and batch size; for images and
        sequences the augmentation; for classes label smoothing; for images of classes mixup.
    """
    found = [
        Decision("learning_rate", (1e-3, 2e-3, 5e-3, 1e-2, 2e-2), ordered=True),
        Decision("weight_decay", (0.0, 1e-3, 1e-2, 5e-2, 2e-1), ordered=True),
        Decision("batch_size", (32, 64, 128, 256), ordered=True),
    ]
    if schema.input.kind == "image":
        found.append(Decision("augment", _GREY if schema.input.shape[0] == 1 else _COLOUR))
    if schema.input.kind == "sequence":
        found.append(Decision("augment", _SERIES))
    if schema.target.kind == "class":
        found.append(Decision("label_smoothing", (0.0, 0.05, 0.1, 0.2), ordered=True))
        if schema.input.kind == "image":
            found.append(Decision("mixup", (0.0, 0.2, 0.5), ordered=True))
    return tuple(found)


class JoinedSpace:
    """Architectures of one space, with a recipe that is decided too; see `joined`.

    Attributes:
        decisions: those of the architecture, then those of the recipe.
    """

    def __init__(self, space: Space, decisions: Sequence[Decision]) -> None:
        """Join both.

        Args:
            space: of architectures.
            decisions: named after fields of `Recipe`.
        """
        self._space, self._recipe = space, tuple(decisions)
        self.decisions: tuple[Decision, ...] = (*space.decisions, *decisions)

    def design(self, code: Code) -> Design:
        """Describe architecture and training of a code.

        Args:
            code: an option of each decision.

        Raises:
            ValueError: if it is no code of this space.
        """
        code = self.canonical(code)
        n = len(self._space.decisions)
        design = self._space.design(code[:n])
        chosen = {
            decision.name: decision.options[place]
            for decision, place in zip(self._recipe, code[n:], strict=True)
        }
        shown = ", ".join(f"{name} {_text(value)}" for name, value in chosen.items())
        return replace(
            design, name=f"{design.name}; {shown}", recipe=replace(design.recipe, **chosen)
        )

    def canonical(self, code: Code) -> Code:
        """Return the one code that stands for all of the same network and training.

        Args:
            code: an option of each decision.

        Raises:
            ValueError: if it is no code of this space.
        """
        require_code(self, code)
        n = len(self._space.decisions)
        return (*self._space.canonical(code[:n]), *code[n:])


def joined(space: Space, decisions: Sequence[Decision]) -> JoinedSpace:
    """Let a search decide about the training together with the architecture.

    Args:
        space: of architectures.
        decisions: as from `recipe_decisions`, or a part of them: each is named after a field of
            `Recipe`, and its options are values of it.

    Raises:
        ValueError: if a decision is no field of `Recipe`, or an option is no value that it takes.

    Example:
        >>> from netwright.data import Input, Schema, Target
        >>> from netwright.design.spaces import tiny_cell_space
        >>> schema = Schema(Input("image", (1, 8, 8)), Target("class", ("digit",), ("one", "two")))
        >>> space = joined(tiny_cell_space(schema), recipe_decisions(schema))
        >>> space.design((0, 2, 0, 0, 1, 3, 0, 1, 1, 0, 0)).recipe.augment
        ('shift',)
    """
    for decision in decisions:
        if decision.name not in Recipe.__slots__:
            raise ValueError(
                f"`decisions` must be named after fields of `Recipe`; got {decision.name!r}. "
                f"Known: {', '.join(Recipe.__slots__)}."
            )
        for option in decision.options:
            Recipe(**{decision.name: option})  # which says what is wrong
    return JoinedSpace(space, decisions)


def _text(value: object) -> str:
    return "+".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)
