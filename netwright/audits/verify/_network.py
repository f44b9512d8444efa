"""Networks of affine layers with ReLU between them, as float64 matrices.

Any chain of linear operations and ReLUs has this form: `read_affine` takes it out of an ONNX file,
`read_nnet` out of the text files of the ACAS Xu networks.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from netwright.audits.verify._rounding import gamma

__all__ = ["AffineReLU", "NetworkError", "NnetFile", "read_nnet"]


class NetworkError(ValueError):
    """A network that the prover cannot take; the message says what and where."""


@dataclass(frozen=True, eq=False)
class AffineReLU:
    """`W[-1] relu(... relu(W[0] x + b[0]) ...) + b[-1]`, computed in the reals.

    Attributes:
        weights: of each layer, float64 (outputs, inputs).
        biases: of each layer, float64 (outputs,).
        weight_errors: how far each true weight may lie from `weights`; None where they are exact.
        bias_errors: the same for biases.
        name: for people.
    """

    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
    weight_errors: tuple[np.ndarray | None, ...] = ()
    bias_errors: tuple[np.ndarray | None, ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        """Check that the layers fit together.

        Raises:
            NetworkError: if they do not.
        """
        if not self.weights or len(self.weights) != len(self.biases):
            raise NetworkError(
                f"A network has as many biases as weights, and at least one; got "
                f"{len(self.biases)} and {len(self.weights)}."
            )
        exact = (None,) * len(self.weights)
        object.__setattr__(self, "weight_errors", self.weight_errors or exact)
        object.__setattr__(self, "bias_errors", self.bias_errors or exact)
        width = self.weights[0].shape[1]
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if weight.shape != (len(bias), width):
                raise NetworkError(
                    f"Layer {k} has weights {weight.shape} and biases {bias.shape}, where "
                    f"{width} inputs arrive."
                )
            width = len(bias)

    @property
    def n_inputs(self) -> int:
        """Number of inputs."""
        return self.weights[0].shape[1]

    @property
    def n_outputs(self) -> int:
        """Number of outputs."""
        return len(self.biases[-1])

    @cached_property
    def finite(self) -> bool:
        """Whether every weight and bias is a finite number."""
        return all(np.isfinite(a).all() for a in (*self.weights, *self.biases))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Evaluate in float64.

        Args:
            x: inputs, (..., inputs).
        """
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = np.maximum(x @ weight.T + bias, 0.0)
        return x @ self.weights[-1].T + self.biases[-1]

    def jacobian(self, x: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Differentiate `directions @ outputs` with respect to the inputs, (batch, rows, inputs).

        Args:
            x: inputs, (batch, inputs).
            directions: of the outputs, (rows, outputs), or (batch, rows, outputs).
        """
        on = []
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = x @ weight.T + bias
            on.append(x > 0)
            x = np.maximum(x, 0.0)
        slope = directions @ self.weights[-1]
        for weight, active in zip(self.weights[-2::-1], on[::-1], strict=True):
            slope = (slope * active[:, None]) @ weight
        return np.broadcast_to(slope, (len(x), *slope.shape[-2:]))

    def layer_error(self, k: int, size: np.ndarray) -> np.ndarray:
        """Bound how far layer `k` as stored is from the true one.

        Args:
            k: place of the layer.
            size: bounds of |value| of the layer's inputs, (batch, inputs).

        Returns:
            For each output, (batch, outputs).
        """
        error = np.zeros((len(size), len(self.biases[k])))
        weight_error, bias_error = self.weight_errors[k], self.bias_errors[k]
        if weight_error is not None:
            error += size @ weight_error.T * (1 + gamma(len(weight_error.T) + 4))
        if bias_error is not None:
            error += bias_error
        return error


@dataclass(frozen=True, slots=True)
class NnetFile:
    """The content of a `.nnet` file.

    Attributes:
        network: from normalised inputs to normalised outputs.
        low: least value of each input, in physical units.
        high: largest value of each input, in physical units.
        mean: of each input, in physical units; the last entry is the outputs'.
        span: of each input, in physical units; the last entry is the outputs'. A normalised input
            is `(x - mean) / span`.
    """

    network: AffineReLU
    low: tuple[float, ...]
    high: tuple[float, ...]
    mean: tuple[float, ...]
    span: tuple[float, ...]


def read_nnet(source: Path | str) -> NnetFile:
    """Read a `.nnet` file, the text format of the ACAS Xu networks.

    Args:
        source: the file.

    Raises:
        NetworkError: if it is cut off or its sizes contradict each other.
        FileNotFoundError: if there is no such file.
    """
    path = Path(source)
    try:
        lines = [line for line in path.read_text().splitlines() if not line.startswith("//")]
        rows = [[float(v) for v in line.split(",") if v.strip()] for line in lines if line.strip()]
    except ValueError as error:  # UnicodeDecodeError is one
        raise NetworkError(f"{path.name} is not a .nnet text file: {error}") from error
    if len(rows) < 7:
        raise NetworkError(f"{path.name} has {len(rows)} lines; a .nnet file has at least 8.")
    sizes = [int(v) for v in rows[1]]
    low, high, mean, span = rows[3:7]
    at, weights, biases = 7, [], []
    for n_inputs, n_outputs in zip(sizes[:-1], sizes[1:], strict=True):
        block, at = rows[at : at + 2 * n_outputs], at + 2 * n_outputs
        if len(block) < 2 * n_outputs or {len(r) for r in block[:n_outputs]} != {n_inputs}:
            raise NetworkError(
                f"{path.name}: layer {len(weights)} should hold {n_outputs} rows of {n_inputs} "
                f"weights and {n_outputs} biases; the file holds fewer or others."
            )
        weights.append(np.array(block[:n_outputs]))
        biases.append(np.array([row[0] for row in block[n_outputs:]]))
    network = AffineReLU(tuple(weights), tuple(biases), name=path.stem)
    return NnetFile(network, tuple(low), tuple(high), tuple(mean), tuple(span))
