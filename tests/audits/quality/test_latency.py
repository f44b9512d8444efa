import dataclasses

import pytest
import torch

from netwright.artefact import write
from netwright.audits.quality import latency


def test_histogram_counts_every_call(digits_subject):
    found = latency(digits_subject, seconds=0.01)
    bars, table = found.evidence
    assert sum(bars.series[0].y) == found.measurement.n >= 200
    shares = [row[1] for row in table.rows]
    assert shares[2] <= shares[0] <= shares[1] <= shares[3]
    assert "torch" in found.summary and found.measurement.unit == "s"


def test_shipped_file_runs_in_its_own_runtime(digits, digits_network, digits_subject, tmp_path):
    sample = digits.validation.take([0])
    shipped = write(digits_network, digits.schema, design="{}", folder=tmp_path, sample=sample)
    subject = dataclasses.replace(digits_subject, artefact=shipped.onnx)
    found = latency(subject, batch_size=4, seconds=0.01)
    assert "4 rows a call, ONNX Runtime, threads: 1" in found.summary
    assert found.measurement.high < 1.0


def test_errors(classifier_subject):
    subject = classifier_subject(torch.eye(3), torch.arange(3))
    with pytest.raises(ValueError, match="`batch_size` must be at least 1; got 0"):
        latency(subject, batch_size=0)
