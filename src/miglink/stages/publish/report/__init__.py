"""The report of a run: one HTML file that asks nothing of a network, made from the published tables alone."""

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files

import jinja2
import polars as pl

from miglink.stages.publish.report import accounts, compared, evidence, linking, migration, people, revisions
from miglink.stages.publish.report.cells import About, Published
from miglink.stages.publish.report.palette import DARK, LIGHT, variables
from miglink.stages.publish.report.parts import Section, bound, breakable, kind_of

__all__ = ["REPORT", "About", "find_sections", "render_report"]

REPORT = "report.html"


def render_report(
    frames: Mapping[str, pl.LazyFrame], about: About, earlier: Mapping[str, pl.LazyFrame] | str = ""
) -> str:
    """Render the report of a run.

    Reads: the tables as they are published, by name; it sees nothing else, so that what is protected there is protected
        here. A table that is not among them is said to be missing. earlier: flows and stocks as the run before has
        published them, or why there are none.
    Gives: a page with its style, its script and its drawings within it. Its policy allows these two by their hash, and
        no request at all. No time and no path is in it: a run repeated gives the same bytes.
    Source: Content Security Policy Level 3; WCAG 2.2.
    """
    style = _read("report.css").replace("/*light*/", variables(LIGHT)).replace("/*dark*/", variables(DARK))
    script = _read("report.js")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"bound": bound, "breakable": breakable}
    environment.tests["part"] = lambda part, kind: kind_of(part) == kind
    page = environment.from_string(_read("report.html"))
    return page.render(
        about=about,
        sections=find_sections(frames, about, earlier),
        style=style,
        script=script,
        policy=_policy(style, script),
    )


def find_sections(
    frames: Mapping[str, pl.LazyFrame], about: About, earlier: Mapping[str, pl.LazyFrame] | str = ""
) -> list[Section]:
    """The sections of the report in their order."""
    published = Published(frames, about, earlier)
    sections = [
        migration.headline(published),
        migration.over_time(published),
        migration.stocks(published),
        people.age_and_sex(published),
        people.origins(published),
        compared.rules(published),
        revisions.revisions(published),
        accounts.population(published),
        linking.linkage(published),
        evidence.evidence(published),
        evidence.expired(published),
        evidence.mobility(published),
        accounts.rows_of_sources(published),
    ]
    return sections


def _policy(style: str, script: str) -> str:
    """What a browser may do with the page: use this style and this script, and nothing else."""
    allowed = (("style-src", style), ("script-src", script))
    hashes = [
        f"{name} 'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for name, text in allowed
    ]
    return "; ".join(["default-src 'none'", *hashes, "base-uri 'none'", "form-action 'none'"])


def _read(name: str) -> str:
    return (files(__name__) / name).read_text(encoding="utf-8")
