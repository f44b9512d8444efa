from pathlib import Path

from netwright.quantities import CATALOGUE
from netwright.quantities._page import page
from netwright.requirement import Requirement

PAGE = Path(__file__).parents[2] / "docs" / "quantities.md"


def test_the_page_is_current():
    # Regenerate: python -m netwright.quantities > docs/quantities.md
    assert PAGE.read_text(encoding="utf-8") == page()


def test_the_page_has_every_quantity_and_argument():
    text = page()
    for quantity in CATALOGUE.values():
        assert f"### {quantity.name}\n" in text
        for argument in (*quantity.arguments, *quantity.settings):
            assert f"`{argument.name}`: {argument.summary}" in text


def test_the_examples_on_the_page_parse():
    block = page().split("```")[1].strip()
    examples = [part.strip() for line in block.splitlines() for part in line.split("   ") if part]
    examples = [example for example in examples if example]
    assert len(examples) == 6
    for example in examples:
        Requirement.parse(example)
