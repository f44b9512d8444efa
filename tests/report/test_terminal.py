import dataclasses
import io

import pytest
from rich.console import Console

from netwright.finding import Finding, Judgement, Measurement
from netwright.report import RequirementRow, summarise, verdict_lines, verdict_table
from tests.report import samples


def printed(source, width=120):
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(verdict_table(source))
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_table_shows_every_requirement_with_its_word(width):
    text = printed(samples.digits(), width)
    for word in ("? undecided", "✓ met", "✗ broken", "31.2 kB", "0.919 to 0.966", "360"):
        assert word in text
    assert max(map(len, text.splitlines())) <= width


def test_only_what_is_not_met_is_explained():
    text = printed(samples.digits(), 80)
    for word in ("undecided", "broken"):
        (line,) = [line for line in text.splitlines() if f"{word}: " in line]
        assert line.split(": ")[1].strip()
    assert "met: " not in text


def test_run_and_findings_give_the_same_table():
    view = samples.digits()
    assert printed(view) == printed(view.findings)


def test_lines_need_no_terminal():
    first, second, third = verdict_lines(samples.digits())
    assert first.startswith("undecided  accuracy >= 0.95 ")
    assert second.split() == "met size <= 200 kB measured 31.2 kB (exact). Exact.".split()
    assert "measured 0.29 ms (0.27 to 0.33 ms), n = 600." in third


def test_text_from_data_cannot_steer_the_terminal():
    finding = Finding(
        "f", "F", "", Measurement(1.0, 1.0, 1.0, 1), "gap(by=[red]\x1b[2J\n) <= 1",
        Judgement("broken", "[link=x]\x1b]0;title\x07"),
    )  # fmt: skip
    assert "gap(by=[red]�[2J ) <= 1" in printed([finding])
    assert "[link=x]" in printed([finding])
    for text in (printed([finding]), *verdict_lines([finding])):
        assert "\x1b" not in text


VERDICTS = {
    (): ("none", "No requirement was stated; this is what was measured."),
    ("met",): ("met", "The network meets its only requirement."),
    ("met", "met"): ("met", "The network meets both requirements."),
    ("met",) * 3: ("met", "The network meets all 3 requirements."),
    ("broken",): ("broken", "The network breaks its only requirement."),
    ("broken", "broken"): ("broken", "The network breaks both requirements."),
    ("undecided",): (
        "undecided", "The only requirement cannot be decided with the data at hand."),
    ("undecided",) * 2: (
        "undecided", "None of the 2 requirements can be decided with the data at hand."),
    ("met", "undecided"): (
        "undecided", "1 of 2 requirements are met; 1 cannot be decided with the data at hand."),
    ("met", "undecided", "broken"): (
        "broken",
        "The network breaks 1 of 3 requirements; 1 cannot be decided with the data at hand."),
}  # fmt: skip


@pytest.mark.parametrize("verdicts", VERDICTS)
def test_all_verdicts_in_one_sentence(verdicts):
    rows = tuple(
        RequirementRow("r", Finding("f", "F", "", None, "r", Judgement(v, ""))) for v in verdicts
    )
    found = summarise(dataclasses.replace(samples.empty(), requirements=rows))
    assert (found.status, found.sentence) == VERDICTS[verdicts]


def test_requirement_without_judgement_is_undecided():
    rows = (RequirementRow("r", Finding("f", "F", "")),)
    assert summarise(dataclasses.replace(samples.empty(), requirements=rows)).status == "undecided"
