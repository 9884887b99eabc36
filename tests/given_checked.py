"""What a check says, as text of 80 columns, and all of it."""

from io import StringIO

from rich.console import Console

from miglink.check import Findings, findings_as_json, render_check


def text_of(findings: Findings) -> str:
    written = StringIO()
    Console(width=80, file=written).print(render_check(findings))
    return written.getvalue()


def everything_said(findings: Findings) -> str:
    return text_of(findings) + findings_as_json(findings)
