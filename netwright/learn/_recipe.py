"""How a network is to be trained, as data: what a search varies and a run writes down."""

from dataclasses import dataclass

__all__ = ["Budget", "Recipe"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """The hyper-parameters of one training.

    Attributes:
        optimizer: a name from `learn`: "adamw" or "sgd".
        learning_rate: peak of the schedule.
        weight_decay: decoupled for AdamW, L2 for SGD.
        schedule: a name from `learn`: "one_cycle" or "cosine".
        batch_size: examples a step.
        label_smoothing: probability mass spread over all classes, in [0, 1).
        mixup: alpha of the Beta distribution; 0 switches it off.
        augment: names of whole-batch augmentations for images, or for numeric sequences, applied in
            order; "learned" learns how far images may be changed.
        clip_norm: gradients are scaled down to this L2 norm; 0 switches it off.
        average: decay of the exponential moving average of the weights; 0 switches it off.
        patience: stop after this many epochs without a better validation loss; 0 never stops early.
        epochs: most passes over the training rows, even where the budget allows more; 0 for no
            limit. The schedule ends with them.
        adversarial: name of a training on attacked images, "pgd", "trades", "fast" or "free"; empty
            for none.
        certified: name of a training whose networks can be proved robust, "ibp" or "crown_ibp";
            empty for none.
        radius: largest change that the training's attacker may make, or against which the network
            is to be proved, for images in [0, 1].
        attack_norm: what `radius` bounds: "linf", each pixel, or "l2", the whole change.
        attack_steps: gradient steps of the attacker, or replays of a batch for "free".
    """

    optimizer: str = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    schedule: str = "one_cycle"
    batch_size: int = 128
    label_smoothing: float = 0.0
    mixup: float = 0.0
    augment: tuple[str, ...] = ()
    clip_norm: float = 1.0
    average: float = 0.0
    patience: int = 0
    epochs: int = 0
    adversarial: str = ""
    certified: str = ""
    radius: float = 0.0
    attack_norm: str = "linf"
    attack_steps: int = 5

    def __post_init__(self) -> None:
        """Reject values that no training can use."""
        least = {"batch_size": 1, "weight_decay": 0, "mixup": 0, "patience": 0, "epochs": 0}
        for name, bound in least.items():
            if not getattr(self, name) >= bound:
                raise ValueError(f"`{name}` must be at least {bound}; got {getattr(self, name)}.")
        if not self.learning_rate > 0:
            raise ValueError(f"`learning_rate` must be positive; got {self.learning_rate}.")
        if not self.clip_norm >= 0:
            raise ValueError(f"`clip_norm` is an L2 norm, or 0 for none; got {self.clip_norm}.")
        for kind in ("adversarial", "certified"):
            if getattr(self, kind) and not self.radius > 0:
                raise ValueError(
                    f"`{kind}` training needs a positive `radius`, in units of the images; got "
                    f"{self.radius}."
                )
        if self.adversarial and self.certified:
            raise ValueError("`adversarial` and `certified` cannot be had together; leave one out.")
        if self.certified and self.attack_norm != "linf":
            raise ValueError(
                f"`certified` training bounds every pixel: `attack_norm` must be "
                f'"linf"; got {self.attack_norm!r}.'
            )
        if self.attack_norm not in ("linf", "l2"):
            raise ValueError(f'`attack_norm` must be "linf" or "l2"; got {self.attack_norm!r}.')
        if self.attack_steps < 1:
            raise ValueError(f"`attack_steps` must be at least 1; got {self.attack_steps}.")


@dataclass(frozen=True, slots=True)
class Budget:
    """How much work may be done: wall-clock seconds, or optimiser steps (then it is reproducible).

    Attributes:
        seconds: wall-clock limit; None when counted in steps.
        steps: optimiser steps over all candidates; None when counted in seconds.
    """

    seconds: float | None = None
    steps: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """Read `60s`, `5min`, `1.5h` or `2000 steps`.

        Args:
            text: a number and a unit.

        Raises:
            ValueError: if the text has another form or is not positive.

        Example:
            >>> Budget.parse("5min").seconds, Budget.parse("2000 steps").steps
            (300.0, 2000)
        """
        words = {"s": 1, "sec": 1, "min": 60, "h": 3600, "steps": 0, "step": 0}
        number = text.strip().rstrip("abcdefghijklmnopqrstuvwxyz ")
        unit = text.strip()[len(number) :].strip()
        try:
            amount = float(number)
        except ValueError:
            amount = 0.0
        if unit not in words or amount <= 0:
            raise ValueError(f"`budget` reads `60s`, `5min`, `1h` or `2000 steps`; got {text!r}.")
        if unit in ("steps", "step"):
            return cls(steps=int(amount))
        return cls(seconds=amount * words[unit])
