"""Search in a folder, and die by SIGKILL, as a power cut would have it.

Run: python -m tests.design.search_and_die FOLDER

In a folder for each place it is killed there, or at random moments.

Each kill strikes a forked child, so that the libraries are loaded once. What was told stands in
`told.log`, written after `tell` has returned.
"""

import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

from netwright.design import Candidate, Design, Ledger, Record
from netwright.finding import Measurement

N_CANDIDATES = 5
PLACES = {  # and how often to die there
    "between ask and tell": 2,
    "while asking, before it counts": 2,
    "after asking": 2,
    "while telling, before it counts": 2,
    "after telling": 2,
    "anywhere": 8,
}


def candidate(number: int) -> Candidate:
    design = Design(f"design {number}", "small_cnn", {"stem": number, "widths": [4, number]})
    return Candidate(number, design, 0.1 * (number + 1), number - 1 if number else None)


def record(number: int) -> Record:
    # Numbers that text could spoil, and a value that says how a search went wrong.
    value = 1 / 3 if number % 3 else float("inf")
    share = Measurement(value, -0.0, value, 100, "", "wilson", 33, 0.9, "bins: 15", "few rows")
    found = {"accuracy": share, "size <= 10 kB": Measurement(9e3, 9e3, 9e3, 1, "bytes")}
    return Record(candidate(number), found, 0.1 * number, "patience" if number % 2 else "steps")


def search(folder: Path, pause: float = 0.0) -> None:
    """Continue a search: what is complete must be as it was told, the rest is tried again."""
    ledger = Ledger(folder)
    assert len(ledger.unfinished()) <= 1
    log = os.open(folder / "told.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for number in range(N_CANDIDATES):
        known = ledger.completed(number)
        if known is None:
            ledger.ask(candidate(number))
            time.sleep(pause)
            ledger.tell(record(number))
            os.write(log, f"{number}\n".encode())
        else:
            assert known == record(number)


def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)


def die_after(method):
    def run(*args, **kwargs):
        method(*args, **kwargs)
        die()

    return run


def strike(folder: Path, place: str, delay: float) -> int:
    """Search in a child that dies at a place, or after a delay; return its wait status."""
    child = os.fork()
    if child:
        if place == "anywhere":
            time.sleep(delay)
            os.kill(child, signal.SIGKILL)
        return os.waitpid(child, 0)[1]
    import optuna

    storage = optuna.storages.RDBStorage
    if place == "between ask and tell":
        Ledger.tell = die
    elif place == "while asking, before it counts":  # within the transaction
        storage._set_trial_attr_without_commit = die_after(storage._set_trial_attr_without_commit)
    elif place == "after asking":
        storage._create_new_trial = die_after(storage._create_new_trial)
    elif place == "while telling, before it counts":  # the record is written, not yet visible
        storage.set_trial_user_attr = die_after(storage.set_trial_user_attr)
    elif place == "after telling":
        storage.set_trial_state_values = die_after(storage.set_trial_state_values)
    status = 1
    try:
        search(folder, pause=0.002)
        status = 0
    finally:  # leave nothing of the parent's to be done again
        if status:
            traceback.print_exc()
        os._exit(status)


if __name__ == "__main__":
    import optuna  # noqa: F401  # loaded before forking
    import sqlalchemy  # noqa: F401

    draw = random.Random(0)
    for place, n_kills in PLACES.items():
        folder = Path(sys.argv[1], place)
        folder.mkdir()
        for _ in range(n_kills):
            ended = strike(folder, place, draw.uniform(0.0, 0.3))
            how = "killed" if os.WIFSIGNALED(ended) else f"ended {os.WEXITSTATUS(ended)}"
            print(f"{place}: {how}", flush=True)
