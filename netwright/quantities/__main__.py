"""Print `docs/quantities.md`: `python -m netwright.quantities > docs/quantities.md`."""

from netwright.quantities._page import page

__all__: list[str] = []

if __name__ == "__main__":
    print(page(), end="")
