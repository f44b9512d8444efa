from netwright._journal import Journal


def test_a_resumed_journal_counts_the_time_of_the_tries_before(tmp_path):
    path = tmp_path / "log.jsonl"
    first = Journal(path)
    first.record("begun", rows=3)
    path.write_text('{"event": "worked", "elapsed": 41.5}\n', encoding="utf-8")
    again = Journal(path)
    assert again.resumed
    assert again.elapsed >= 41.5
    again.record("more")
    assert again.find("more")[0].elapsed >= 41.5


def test_the_line_that_a_kill_tore_is_passed_over(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"event": "a", "elapsed": 1.0, "n": 2}\n{"event": "b", "ela')
    journal = Journal(path)
    assert [(e.name, dict(e.facts)) for e in journal.events] == [("a", {"n": 2})]
    journal.record("c")
    assert [e.name for e in Journal(path).events] == ["a", "c"]


def test_watchers_see_events_that_are_not_written(tmp_path):
    seen = []
    journal = Journal(tmp_path / "log.jsonl", seen.append)
    journal.record("written")
    journal.show(journal.events[0])
    assert [e.name for e in seen] == ["written", "written"]
    assert len(Journal(tmp_path / "log.jsonl").events) == 1


def test_of_a_damaged_log_what_still_is_an_event_counts(tmp_path):
    path = tmp_path / "log.jsonl"
    good = '{"event": "a", "elapsed": 1.0}'
    bad = ["[1, 2]", "3", '{"event": 5, "elapsed": 1}', '{"event": "b"}', "[" * 100_000]
    bad += ['{"event": "c", "elapsed": "x"}', '{"event": "d", "elapsed": NaN}']
    path.write_text("\n".join([*bad, good]))
    assert [event.name for event in Journal(path).events] == ["a"]


def test_an_earlier_try_is_taken_up_unless_it_was_finished(tmp_path):
    path, seen = tmp_path / "log.jsonl", []
    assert not Journal(path, seen.append).take_up() and not seen
    path.write_text('{"event": "worked", "elapsed": 41.5}\n', encoding="utf-8")
    journal = Journal(path, seen.append)
    assert not journal.take_up()
    assert seen[-1].facts["text"].startswith(f"Continuing {tmp_path} after 4")
    journal.record("done")
    assert Journal(path, seen.append).take_up()
    assert seen[-1].facts["text"] == f"Already done: {tmp_path}"
