"""Findings and runs as pages, tables and files.

Which one?
    `write_report` for people: one HTML file that opens offline. `findings_to_json` for programs.
    `verdict_table` for a terminal, `verdict_lines` where there is none.
"""

from netwright.report._html import MOST_BYTES, render_report, write_report
from netwright.report._view import ArtefactFile, KeyFigure, LeaderboardRow, RequirementRow, RunView

__all__ = [
    "MOST_BYTES",
    "ArtefactFile",
    "KeyFigure",
    "LeaderboardRow",
    "RequirementRow",
    "RunView",
    "render_report",
    "write_report",
]
