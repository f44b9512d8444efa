"""Runs `model.onnx`, which stands beside it, for MLflow: raw rows in, a column for each output.

Needs NumPy, pandas and ONNX Runtime. Netwright copies this file into the folder as it stands.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["NetwrightModel"]


class NetwrightModel:
    """A model as MLflow calls it."""

    def __init__(self, folder: Path) -> None:
        """Open the model.

        Args:
            folder: holds `model.onnx` and `netwright.json`.
        """
        import onnxruntime

        self.about = json.loads((folder / "netwright.json").read_text(encoding="utf-8"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        path = str(folder / "model.onnx")
        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(path, options, providers=providers)

    def predict(self, data: Any, params: Any = None) -> Any:
        """Answer raw rows.

        Args:
            data: for a table or texts a DataFrame (for texts, a column `text`); for images and
                sequences an array of the shape that the signature names.
            params: nothing is read from it.

        Returns:
            A DataFrame: the probability of each class, or the values, a row for each row.
        """
        import pandas

        found: Any = self._session.run([self.about["output"]], self._feed(data))[0]
        index = data.index if isinstance(data, pandas.DataFrame) else None
        names: Any = self.about["names"]
        return pandas.DataFrame(found.reshape(len(found), -1), index, names)

    def _feed(self, data: Any) -> dict[str, np.ndarray]:
        kind = self.about["kind"]
        if kind in ("image", "sequence"):
            dtype = np.uint8 if kind == "image" else np.float32
            return {kind: np.asarray(data, dtype)}
        if kind == "text":
            texts = np.empty(len(data), object)
            texts[:] = list(data["text"])
            return {"text": texts}
        return {c["input"]: _column(data[c["name"]], c["kind"]) for c in self.about["columns"]}


def _column(values: Any, kind: str) -> np.ndarray:
    """Bring a column into the type that the graph takes; NaN or an empty text is missing."""
    import pandas

    if kind == "category":
        pairs = zip(values, pandas.isna(values), strict=True)
        return np.array(["" if gone else str(v).strip() for v, gone in pairs], object)
    if kind == "date" and not pandas.api.types.is_numeric_dtype(values):
        since: Any = pandas.to_datetime(values) - pandas.Timestamp(0)
        values = since / pandas.Timedelta(days=1)
    numbers: Any = pandas.to_numeric(values)
    return numbers.to_numpy(np.float32, na_value=np.nan)


def _load_pyfunc(path: str) -> NetwrightModel:
    """Open the model of a folder, as MLflow asks for it."""
    return NetwrightModel(Path(path))
