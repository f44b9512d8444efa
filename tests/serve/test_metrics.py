from netwright.serve._metrics import Metrics


def test_text_is_what_prometheus_reads():
    metrics = Metrics()
    metrics.add("netwright_rows_total", 2)
    metrics.add("netwright_predictions_total", label='a"b\\c\nd')
    metrics.observe("netwright_batch_rows", 3)
    metrics.observe("netwright_batch_rows", 1000)
    lines = metrics.text().splitlines()
    assert "# TYPE netwright_rows_total counter" in lines
    assert "netwright_rows_total 2" in lines
    assert r'netwright_predictions_total{label="a\"b\\c\nd"} 1' in lines
    assert 'netwright_batch_rows_bucket{le="2"} 0' in lines
    assert 'netwright_batch_rows_bucket{le="4"} 1' in lines
    assert 'netwright_batch_rows_bucket{le="256"} 1' in lines
    assert 'netwright_batch_rows_bucket{le="+Inf"} 2' in lines
    assert "netwright_batch_rows_sum 1003" in lines
    assert metrics.text().endswith("\n")


def test_bound_itself_belongs_to_its_bucket():
    metrics = Metrics()
    metrics.observe("netwright_batch_rows", 4)
    assert 'netwright_batch_rows_bucket{le="4"} 1' in metrics.text().splitlines()
