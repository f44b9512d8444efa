"""A build whose ledger lies in a database: the run's folder still says everything."""

import json

import pytest

import netwright as nw
from netwright.design import Ledger
from tests.postgres import postgres  # noqa: F401

pytestmark = pytest.mark.slow


def test_a_build_on_postgresql_leaves_a_folder_that_reads_alone(postgres, tmp_path):  # noqa: F811
    def build():
        return nw.build("digits", budget="40 steps", out=tmp_path / "run", ledger=postgres)

    run = build()
    server = Ledger(run.folder, postgres).records()
    assert [r.candidate.number for r in server] == list(range(len(server)))
    assert Ledger(run.folder).records() == server
    assert run.report.stat().st_size > 10_000
    job = (run.folder / "job.json").read_text(encoding="utf-8")
    assert "127.0.0.1" not in job  # the same job, wherever its ledger lies
    # Torn down to the moment before the ledger's copy, it goes on from the server.
    for name in ("ledger.db", "findings.json", "report.html", "model.onnx"):
        (run.folder / name).unlink()
    log = run.folder / "log.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if json.loads(line)["event"] not in ("done", "shipped")]
    log.write_text("\n".join(kept) + "\n", encoding="utf-8")
    again = build()
    assert Ledger(again.folder).records() == server


def test_a_server_that_is_not_there_is_told_before_anything_is_trained(tmp_path):
    with pytest.raises(ValueError, match="Check that the server runs"):
        nw.build(
            "digits", budget="40 steps", out=tmp_path / "run",
            ledger="postgresql://nobody@127.0.0.1:1/none",
        )  # fmt: skip
    assert not (tmp_path / "run" / "candidates").exists()
