"""Findings and runs as pages, tables and files.

Which one?
    `write_report` for people: one HTML file that opens offline. `findings_to_json` for programs.
    `verdict_table` for a terminal, `verdict_lines` where there is none.
"""

from netwright.report._html import MOST_BYTES, render_report, write_report
from netwright.report._json import (
    FINDINGS_VERSION,
    findings_from_json,
    findings_schema,
    findings_to_json,
)
from netwright.report._terminal import verdict_lines, verdict_table
from netwright.report._verdict import Summary, summarise
from netwright.report._view import ArtefactFile, KeyFigure, LeaderboardRow, RequirementRow, RunView

__all__ = [
    "FINDINGS_VERSION",
    "MOST_BYTES",
    "ArtefactFile",
    "KeyFigure",
    "LeaderboardRow",
    "RequirementRow",
    "RunView",
    "Summary",
    "findings_from_json",
    "findings_schema",
    "findings_to_json",
    "render_report",
    "summarise",
    "verdict_lines",
    "verdict_table",
    "write_report",
]
