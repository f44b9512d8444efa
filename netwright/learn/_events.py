"""TensorBoard event files."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netwright.learn._fit import Epoch

__all__ = ["event_log"]


@contextlib.contextmanager
def event_log(folder: Path | None, *, step: int = 0) -> Iterator[Callable[["Epoch"], None]]:
    """Open `folder/events` and yield a function that writes one epoch into it.

    Args:
        folder: the training's folder; None writes nothing.
        step: steps taken before a resume; what an earlier process wrote beyond them is hidden by
            TensorBoard.
    """
    if folder is None:
        yield lambda epoch: None
        return
    from tensorboardX import SummaryWriter  # slow to import

    writer = SummaryWriter(
        str(folder / "events"),
        purge_step=step + 1 if step else None,
        filename_suffix=f".{step}",  # else a restart within the same second would overwrite
    )

    def write(epoch: "Epoch") -> None:
        figures = {
            "loss/train": epoch.train_loss,
            "loss/validation": epoch.validation_loss,
            "score/validation": epoch.validation_score,
            "learning_rate": epoch.learning_rate,
        }
        for name, value in figures.items():
            writer.add_scalar(name, value, epoch.step)
        writer.flush()

    try:
        yield write
    finally:
        writer.close()
