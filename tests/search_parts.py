"""Tiny designs, strategies and workers that the tests of the search share."""

from dataclasses import replace

from netwright._evaluate import evaluate
from netwright._workers import Lost
from netwright.data import SealedSplit, TensorSplit
from netwright.design import Candidate, Design
from netwright.design.spaces import Decision
from netwright.learn import Recipe

RECIPE = Recipe(learning_rate=1e-2, batch_size=32)
STEMS = (2, 4, 8, 16)  # `tiny` has 82, 162, 346 and 810 parameters, for ten classes


def tiny(stem, name=""):
    parameters = {"stem": stem, "widths": [stem], "strides": [2]}
    return Design(name or f"tiny {stem}", "small_cnn", parameters, RECIPE)


class Stems:
    """The space of `tiny` designs: one decision."""

    decisions = (Decision("stem", STEMS, ordered=True),)

    def design(self, code):
        return tiny(STEMS[code[0]])

    def canonical(self, code):
        return code


def few_rows(task, n=96):
    """The first rows of each split, the test split sealed as before."""

    def first(split):
        return TensorSplit(split.x[:n], split.y[:n], split.rows[:n])

    return replace(
        task,
        train=first(task.train),
        validation=first(task.validation),
        calibration=first(task.calibration),
        test=SealedSplit(first(task.test.open("a test"))),
    )


class Chain:
    """Proposes designs one after the other, `ahead` at once; who is told decides what comes next.

    After a kill it proposes the same only if it is told in the same order.
    """

    def __init__(self, designs, n, *, ahead=1):
        self.designs, self.n, self.ahead = designs, n, ahead
        self.asked, self.told = 0, []
        self.pending = {}

    @property
    def remaining(self):
        return float(self.n - len(self.told))

    def ask(self):
        if self.asked == self.n:
            return None
        if len(self.pending) == self.ahead:
            raise RuntimeError("waiting")
        place = sum((k + 1) * (n + 1) for k, n in enumerate(self.told)) % len(self.designs)
        design = replace(self.designs[place], name=f"{self.designs[place].name} #{self.asked}")
        candidate = Candidate(self.asked, design)
        self.pending[self.asked] = candidate
        self.asked += 1
        return candidate

    def tell(self, candidate, measurements):
        assert self.pending.pop(candidate.number) == candidate
        self.told.append(candidate.number)
        self.measurements = measurements


class Crew:
    """Two workers in one process: the later order is ready first, some are lost, or all is killed.

    Args:
        task: what candidates learn.
        lose: number of a candidate, and how often its worker dies.
        killed_after: outcomes after which Ctrl-C is pressed.
    """

    size = 2

    def __init__(self, task, lose=None, killed_after=None):
        self.task, self.lose, self.killed_after = task, dict(lose or {}), killed_after
        self.orders, self.finished, self.submitted = [], 0, []

    @property
    def free(self):
        return self.size - len(self.orders)

    def submit(self, order, inherited):
        self.orders.append((order, inherited))
        self.submitted.append(order.candidate.number)

    def wait(self, seconds):
        if self.finished == self.killed_after:
            raise KeyboardInterrupt
        order, inherited = self.orders.pop()
        if self.lose.get(order.candidate.number, 0):
            self.lose[order.candidate.number] -= 1
            return ((order, Lost("killed by the test")),)
        self.finished += 1
        return ((order, evaluate(order, self.task, inherited=inherited)),)
