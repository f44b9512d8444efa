"""What is wrong with a request, field by field, and the answer that says so."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Problem", "RequestError"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a request.

    Attributes:
        field: where, for example `rows[0].age`.
        reason: what was required, and what came.
    """

    field: str
    reason: str


class RequestError(ValueError):
    """A request that cannot be answered, with the HTTP status that says why."""

    def __init__(
        self,
        status: int,
        message: str,
        problems: Sequence[Problem] = (),
        *,
        retry_after: int | None = None,
    ) -> None:
        """Say what is wrong.

        Args:
            status: 400 to 499, or 503 when the server is at fault for now.
            message: one sentence.
            problems: the faults, by field.
            retry_after: seconds after which to try again; None if that would not help.
        """
        super().__init__(message)
        self.status = status
        self.message = message
        self.problems = tuple(problems)
        self.retry_after = retry_after

    def body(self) -> dict[str, object]:
        """Return the answer's content."""
        found = [{"field": p.field, "reason": p.reason} for p in self.problems]
        return {"error": {"message": self.message, "problems": found}}
