import re
from pathlib import Path

import numpy as np
import pandas as pd

from netwright.data import NAMED

PAGE = Path(__file__).parents[2] / "docs" / "data.md"


def test_what_the_page_says_to_type_runs(tmp_path, monkeypatch, rng, capsys):
    monkeypatch.chdir(tmp_path)
    amount = rng.normal(size=300)
    frame = pd.DataFrame({"amount": amount, "zip": rng.integers(8000, 8010, 300)})
    frame["id"] = [f"c{i}" for i in range(300)]
    frame.assign(churned=amount > 0).to_csv("customers.csv", index=False)
    frame.assign(grade=rng.integers(1, 7, 300)).to_csv("table.csv", index=False)
    frame.assign(churned=amount > 0).iloc[:20].to_csv("new.csv", index=False)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 3
    names = {"folder": tmp_path, "Path": Path}
    exec(blocks[0], names)
    assert {"quarantine.csv", "split.parquet", "task.json"} <= {p.name for p in tmp_path.iterdir()}
    assert "churned" in capsys.readouterr().out
    exec(blocks[1], names)
    frame.assign(churned=amount > 0).to_csv("table.csv", index=False)
    exec(blocks[2], names)


def test_the_page_names_sets_that_exist():
    named = re.findall(r'nw\.load\("(\w+)"\)', PAGE.read_text())
    assert named and set(named) <= set(NAMED) and np.all([name in NAMED for name in named])
