"""How do I get a network that is accurate enough and small enough?

`python examples/build_against_requirements.py` builds one for handwritten digits.
"""

import tempfile
from pathlib import Path

import netwright as nw


def main(budget: str = "30s") -> nw.Run:
    task = nw.load("digits", seed=0)
    out = Path(tempfile.mkdtemp()) / "digits"
    require = ["accuracy >= 0.95", "size <= 200 kB"]
    run = nw.build(task, require=require, budget=budget, seed=0, out=out)
    for finding in run.findings:
        if finding.judgement is not None:
            print(f"{finding.judgement.verdict:<10}{finding.requirement:<20}{finding.summary}")
    print(run.report)
    return run


if __name__ == "__main__":
    main()
