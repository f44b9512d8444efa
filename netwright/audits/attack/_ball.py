"""The sets of offsets that an attack may add to an input.

An attack takes a ball as an argument and asks it for random members, steps and projections, so that
one algorithm serves every norm. All methods treat the first axis as the batch.
"""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from netwright.audits.attack._hyperplane import Crossing, cross_l2, cross_linf

__all__ = ["Ball", "L2Ball", "LinfBall", "check_radius"]

_SLACK = 1e-4  # of a pixel level: float32 keeps k/255 to a few 1e-5 of a level


@runtime_checkable
class Ball(Protocol):
    """Offsets whose norm is at most `radius`.

    Attributes:
        radius: in units of the input.
    """

    @property
    def radius(self) -> float: ...  # honest: a protocol

    def random(  # honest: a protocol
        self, like: Float[Tensor, "batch *input"], generator: torch.Generator | None
    ) -> Float[Tensor, "batch *input"]:
        """Draw one offset for each row, uniformly over the ball."""
        ...

    def step(  # honest: a protocol
        self, gradient: Float[Tensor, "batch *input"], step_size: float
    ) -> Float[Tensor, "batch *input"]:
        """Return the offset of norm `step_size` along which a linear loss grows most."""
        ...

    def project(  # honest: a protocol
        self, offset: Float[Tensor, "batch *input"]
    ) -> Float[Tensor, "batch *input"]:
        """Return the nearest offsets inside the ball."""
        ...

    def round(  # honest: a protocol
        self, offset: Float[Tensor, "batch *input"], levels: int
    ) -> Float[Tensor, "batch *input"]:
        """Return offsets inside the ball that are whole multiples of `1 / levels`."""
        ...

    def length(  # honest: a protocol
        self, offset: Float[Tensor, "batch *input"]
    ) -> Float[Tensor, "batch"]:
        """Return the norm of each offset."""
        ...

    def cross(self, way: Crossing) -> Float[Tensor, "batch dims"]:  # honest: a protocol
        """Return the offsets of smallest norm that reach a hyperplane."""
        ...


@dataclass(frozen=True, slots=True)
class LinfBall:
    """Offsets that change no coordinate by more than `radius`.

    Attributes:
        radius: in units of the input, for example 4/255 for images in [0, 1].
    """

    radius: float

    def __post_init__(self) -> None:
        check_radius(self.radius)

    def random(
        self, like: Float[Tensor, "batch *input"], generator: torch.Generator | None
    ) -> Float[Tensor, "batch *input"]:
        """Draw one offset for each row, uniformly over the ball.

        Args:
            like: gives shape, dtype and device.
            generator: source of the draw, on the device of `like`.
        """
        unit = torch.rand(like.shape, dtype=like.dtype, device=like.device, generator=generator)
        return (2 * unit - 1) * self.radius

    def step(
        self, gradient: Float[Tensor, "batch *input"], step_size: float
    ) -> Float[Tensor, "batch *input"]:
        """Return the offset of norm `step_size` along which a linear loss grows most: its sign.

        Args:
            gradient: of the loss, by the input.
            step_size: in units of the input.
        """
        return gradient.sign() * step_size

    def project(self, offset: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        """Return the nearest offsets inside the ball.

        Args:
            offset: in units of the input.
        """
        return offset.clamp(-self.radius, self.radius)

    def round(
        self, offset: Float[Tensor, "batch *input"], levels: int
    ) -> Float[Tensor, "batch *input"]:
        """Return the nearest offsets inside the ball that are whole multiples of `1 / levels`.

        Args:
            offset: in units of the input, inside the ball.
            levels: steps between 0 and 1, 255 for pixels of one byte.
        """
        most = math.floor(self.radius * levels + _SLACK)
        return (offset * levels).round().clamp(-most, most) / levels

    def length(self, offset: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch"]:
        """Return the largest coordinate of each offset.

        Args:
            offset: in units of the input.
        """
        return offset.flatten(1).abs().amax(1)

    def cross(self, way: Crossing) -> Float[Tensor, "batch dims"]:
        """Return the offsets of smallest norm that reach a hyperplane.

        Args:
            way: to the hyperplane.
        """
        return cross_linf(way)


@dataclass(frozen=True, slots=True)
class L2Ball:
    """Offsets of Euclidean norm at most `radius`, over all coordinates of one input together.

    Attributes:
        radius: in units of the input.
    """

    radius: float

    def __post_init__(self) -> None:
        check_radius(self.radius)

    def random(
        self, like: Float[Tensor, "batch *input"], generator: torch.Generator | None
    ) -> Float[Tensor, "batch *input"]:
        """Draw one offset for each row, uniformly over the ball.

        Args:
            like: gives shape, dtype and device.
            generator: source of the draw, on the device of `like`.
        """
        kind = {"dtype": like.dtype, "device": like.device, "generator": generator}
        towards = torch.randn(like.shape, **kind)
        # In d dimensions the share of the ball within r is r^d.
        dimensions = like[0].numel() if len(like) else 1
        length = torch.rand(len(like), **kind) ** (1 / dimensions)
        return towards * _column(self.radius * length, like) / _norm(towards)

    def step(
        self, gradient: Float[Tensor, "batch *input"], step_size: float
    ) -> Float[Tensor, "batch *input"]:
        """Return the offset of norm `step_size` along the gradient; zero where that is zero.

        Args:
            gradient: of the loss, by the input.
            step_size: in units of the input.
        """
        # Scaled by the largest entry first, since the square of a tiny gradient is zero in float32.
        largest = _column(gradient.flatten(1).abs().amax(1), gradient)
        unit = gradient / torch.where(largest > 0, largest, 1.0)
        return step_size * unit / _norm(unit)

    def project(self, offset: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        """Return the nearest offsets inside the ball.

        Args:
            offset: in units of the input.
        """
        return offset * (self.radius / _norm(offset)).clamp(max=1.0)

    def round(
        self, offset: Float[Tensor, "batch *input"], levels: int
    ) -> Float[Tensor, "batch *input"]:
        """Return nearby offsets inside the ball that are whole multiples of `1 / levels`.

        Everything is rounded towards zero first, which cannot leave the ball; then the coordinates
        nearest to their next multiple are rounded up, as long as the norm allows.

        Args:
            offset: in units of the input, inside the ball.
            levels: steps between 0 and 1, 255 for pixels of one byte.
        """
        scaled = (offset * levels).flatten(1).double()  # squares of up to 255 summed over an image
        down = (scaled.abs() + _SLACK).floor()
        part = scaled.abs() - down
        order = part.argsort(dim=1, descending=True, stable=True)
        room = (self.radius * levels + _SLACK) ** 2 - (down**2).sum(1, keepdim=True)
        growth = torch.where(part >= 0.5, 2 * down + 1, 0.0)  # (n + 1)^2 - n^2
        fits = growth.gather(1, order).cumsum(1) <= room
        up = torch.zeros_like(down).scatter(1, order, fits.double())
        rounded = (down + up * (part >= 0.5)) * scaled.sign()
        return (rounded / levels).to(offset.dtype).view_as(offset)

    def length(self, offset: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch"]:
        """Return the Euclidean length of each offset.

        Args:
            offset: in units of the input.
        """
        return torch.linalg.vector_norm(offset.flatten(1), dim=1)

    def cross(self, way: Crossing) -> Float[Tensor, "batch dims"]:
        """Return the offsets of smallest norm that reach a hyperplane.

        Args:
            way: to the hyperplane.
        """
        return cross_l2(way)


def check_radius(radius: float) -> None:
    """Refuse what is no radius.

    Args:
        radius: in units of the input.

    Raises:
        ValueError: if it is negative or not finite.
    """
    if not (radius >= 0 and math.isfinite(radius)):
        raise ValueError(
            f"`radius` must be finite and not negative, in units of the input; got {radius}."
        )


def _norm(offset: Tensor) -> Tensor:
    norm = torch.linalg.vector_norm(offset.flatten(1), dim=1)
    return _column(torch.where(norm > 0, norm, 1.0), offset)  # 0 / 1 stays 0


def _column(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *(1 for _ in like.shape[1:]))
