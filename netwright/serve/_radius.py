"""How much an image may change before its prediction breaks: found by attack, bounded by proof.

Between the two lies what neither can say. Radii are in 255ths, the steps that an 8-bit pixel takes;
every pixel may change by that much.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from netwright import _rng
from netwright.artefact import ArtefactError, OnnxNetwork, read_onnx
from netwright.audits.attack import LinfBall, pgd
from netwright.audits.verify import NetworkError, Program, certify_ball, read_bounded
from netwright.serve._model import ServedModel

__all__ = ["Attempt", "Radii", "RadiusFinder"]

LEVELS = 255
MOST = 128  # 255ths; beyond that a grey picture is within reach of any other
_STEPS = 20
_RESTARTS = 2
_TIGHTEN = 20  # steps of the optimisation of slopes


@dataclass(frozen=True, slots=True)
class Radii:
    """What is known of one image.

    Attributes:
        proved: largest radius, in 255ths, within which no change of pixels changes the prediction;
            0 if none was proved.
        broken: smallest radius, in 255ths, at which the attack changed it; None if it never did.
        proof: how `proved` was proved, or why it was not.
        complete: whether the time sufficed.
        seconds: spent.
    """

    proved: int
    broken: int | None
    proof: str
    complete: bool
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """One attack on one image.

    Attributes:
        fooled: whether the prediction changed.
        pixels: the image that was found, uint8 (channels, height, width).
        probabilities: of the attacked image, by ONNX Runtime.
    """

    fooled: bool
    pixels: np.ndarray
    probabilities: np.ndarray


class RadiusFinder:
    """Attacks and proves one model. Not for several threads at once."""

    def __init__(self, model: ServedModel) -> None:
        """Read the file's network for torch, and for bounds.

        Args:
            model: a classifier of images.
        """
        self._model = model
        self.reason = ""
        self.no_proof = ""
        self._network: OnnxNetwork | None = None
        self._program: Program | None = None
        schema = model.schema
        if schema.input.kind != "image" or schema.target.kind != "class":
            self.reason = "attacks change the pixels of an image; this model takes none"
            return
        try:
            self._network = read_onnx(model.path)
        except ArtefactError as error:
            self.reason = f"the network cannot be attacked: {error}"
            return
        try:
            self._program = read_bounded(model.path)
        except NetworkError as error:
            self.no_proof = f"bounds cannot be had: {error}"

    def attack(self, pixels: np.ndarray, radius: int) -> Attempt:
        """Try to change the prediction.

        Args:
            pixels: uint8 (channels, height, width).
            radius: 1 to 255, in 255ths.

        Raises:
            ValueError: if the model takes no images.
        """
        if self._network is None:
            raise ValueError(self.reason)
        x = torch.from_numpy(pixels)[None].float().div(LEVELS)
        before = int(self._model.answer({"image": pixels[None]})[0].argmax())
        found = self._attack(x, torch.tensor([before]), radius)
        moved = (found * LEVELS).round().to(torch.uint8).numpy()
        after = self._model.answer({"image": moved})[0]
        # What counts is what the shipped file says of real pixels.
        return Attempt(int(after.argmax()) != before, moved[0], after)

    def find(self, pixels: np.ndarray, *, seconds: float) -> Radii:
        """Find both radii by halving; what the time does not suffice for stays open.

        Args:
            pixels: uint8 (channels, height, width).
            seconds: after which no further attack or proof is begun.

        Raises:
            ValueError: if the model takes no images.
        """
        began = time.monotonic()

        def is_over() -> bool:
            return time.monotonic() - began > seconds

        high, low = MOST + 1, 0
        for radius in (1, 2, 4, 8, 16, 32, 64, MOST):  # the attack's cost grows with what it needs
            if is_over():
                break
            if self.attack(pixels, radius).fooled:
                high = radius
                break
            low = radius
        while high <= MOST and high - low > 1 and not is_over():
            middle = (high + low) // 2
            if self.attack(pixels, middle).fooled:
                high = middle
            else:
                low = middle
        attacked = high - low == 1 or high > MOST and low == MOST
        proved, proof = 0, self.no_proof
        if self._program is not None:
            proved, proof, finished = self._prove(pixels, high - 1, is_over)
        else:
            finished = True
        return Radii(
            proved=proved,
            broken=high if high <= MOST else None,
            proof=proof,
            complete=attacked and finished,
            seconds=round(time.monotonic() - began, 3),
        )

    def _attack(self, x: Tensor, y: Tensor, radius: int) -> Tensor:
        assert self._network is not None
        generator = _rng.child(radius, "serve/attack")
        ball = LinfBall(radius / LEVELS)
        found = pgd(
            self._network, x, y, ball=ball, n_steps=_STEPS, n_restarts=_RESTARTS, levels=LEVELS,
            generator=generator,
        )  # fmt: skip
        return found.x

    def _prove(
        self, pixels: np.ndarray, most: int, is_over: Callable[[], bool]
    ) -> tuple[int, str, bool]:
        assert self._program is not None
        program = self._program
        x = torch.from_numpy(pixels)[None].float().div(LEVELS)
        label = torch.tensor([int(self._model.answer({"image": pixels[None]})[0].argmax())])
        low, high, step, method = 0, most + 1, 1, ""

        def holds(radius: int, steps: int) -> bool:
            nonlocal low, method
            found = certify_ball(program, x, label, linf=radius / LEVELS, steps=steps)
            if bool(found.holds[0]):
                low, method = radius, f"{found.method[0]} bounds"
                return True
            return False

        late = "the time was up before the first proof"
        while high - low > 1:  # doubling, then halving
            if is_over():
                return low, method or late, False
            radius = min(low + step, high - 1) if high == most + 1 else (low + high) // 2
            if holds(radius, 0):
                step *= 2
            else:
                high = radius
        while low < most:  # what tighter bounds add is little, and dear
            if is_over():
                return low, method or late, False
            if not holds(low + 1, _TIGHTEN):
                break
        return low, method or "no radius could be proved", True
