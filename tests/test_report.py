"""The report: one file that asks for nothing, says what each figure is, and shows no more than the published tables."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from given_report import ABOUT, COUNTRIES, NASTY, flow, frames, published
from given_run import CONFIG, write
from miglink.config import describe_used, read_config
from miglink.stages.publish.report import find_sections, render_report
from miglink.stages.publish.report.palette import DARK, LIGHT, MARKS_ON, TEXT_ON, contrast
from miglink.stages.publish.report.parts import Chart, Listing
from miglink.tables import IDENTIFYING

_VOID = ("meta", "br", "rect", "line", "path", "circle")


class Reader(HTMLParser):
    """The elements of a page with their attributes, and the text of each."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.text.setdefault(tag, [])
        if tag not in _VOID:
            self.open.append(tag)
            self.text[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.text[tag][-1] += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def page() -> str:
    return render_report(published(), ABOUT)


@pytest.fixture(scope="module")
def read(page: str) -> Reader:
    return Reader(page)


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("\u202f", "").replace("\u00ad", "").replace("\u2212", "-"))


def body(read: Reader) -> str:
    return plain(read.text["main"][0])


def test_its_policy_allows_its_own_style_and_script_alone(read: Reader) -> None:
    first = read.all("meta")[1]
    assert first["http-equiv"] == "Content-Security-Policy"
    rules = dict(part.split(" ", 1) for part in first["content"].split("; "))
    for name, tag in (("style-src", "style"), ("script-src", "script")):
        (text,) = read.text[tag]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules.pop(name) == f"'sha256-{digest}'"
    assert rules == {name: "'none'" for name in ("default-src", "base-uri", "form-action")}


def test_it_refers_to_nothing_outside(page: str, read: Reader) -> None:
    assert "://" not in page
    assert not re.search(r"url\((?!#)|@import", page)
    for tag, attributes in read.elements:
        assert not {"src", "srcset", "style", "action", "data"} & set(attributes), tag
        assert not [name for name in attributes if name.startswith("on")], tag
        assert attributes.get("href", "#").startswith("#"), tag


def test_its_elements_are_closed_and_its_ids_unique(read: Reader) -> None:
    assert read.open == []
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = [a[name] for _, a in read.elements for name in ("aria-labelledby",) if name in a]
    linked = [attributes["href"][1:] for attributes in read.all("a")]
    assert {*named, *linked} <= set(ids)


def test_headings_are_in_order(read: Reader) -> None:
    levels = [int(tag[1]) for tag, _ in read.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_every_table_and_chart_can_be_heard(read: Reader) -> None:
    n_tables, n_charts = len(read.all("table")), len(read.all("figure"))
    assert n_tables > 15 and n_charts >= 10
    assert len(read.all("caption")) == n_tables
    assert all(head.get("scope") in ("col", "row") for head in read.all("th"))
    assert all(text.strip() for tag in ("th", "caption", "summary") for text in read.text[tag])
    drawings = [attributes for attributes in read.all("svg") if attributes.get("role") == "img"]
    assert len(drawings) == n_charts == len(read.all("desc"))
    assert all(len(text) > 20 for text in read.text["desc"])


def test_colours_have_contrast() -> None:
    for palette in (LIGHT, DARK):
        for text, ground in TEXT_ON:
            assert contrast(palette[text], palette[ground]) >= 4.5, (text, ground)
        for mark, ground in MARKS_ON:
            assert contrast(palette[mark], palette[ground]) >= 3, (mark, ground)


def test_headline_figures_say_what_they_are(read: Reader) -> None:
    tiles = [plain(text) for text in read.text["li"] if "in 2018" in text or "January" in text]
    # 1234 + 2018 immigrations, 1000 emigrations; 2019 is provisional, and so is the stock at its end.
    assert [tile.split(";")[0] for tile in tiles] == [
        "Immigration in 2018 3252 settled, final",
        "Emigration in 2018 1000 settled, final",
        "Net migration in 2018 2252 settled, final",
        "Stock at 1 January 2019 47697 settled, final",
    ]
    assert plain(read.text["title"][0]) == "national, New Zealand: migration statistics"
    assert "rule nz_12_16, policy unresolved · data to 31 December 2019" in body(read)


def test_an_interval_is_shown_where_there_is_one() -> None:
    rows = flow("unresolved", "2018", (120, 100))
    known = [row | {"n": 123.0, "lower": 110.0, "upper": 140.0} for row in rows]
    shown = body(Reader(render_report(frames({"flows": known}), ABOUT)))
    assert "123 estimate, final; interval 110 to 140 settled 120, undetermined 5" in shown
    assert "immigration 123 (from 110 to 140)" in shown


def test_intervals_are_bands_and_lines_with_the_point() -> None:
    """Of years bars of the estimate with a line upon each, of months a line of it upon a band."""
    rows = [*flow("unresolved", "2018", (120, 100)), *flow("unresolved", "2018-03", (12, 10))]
    known = [row | {"n": 123.0, "lower": 110.0, "upper": 140.0, "interval_flag": "too_wide"} for row in rows]
    sections = {section.anchor: section for section in find_sections(frames({"flows": known}), ABOUT)}
    bars, areas = (part for part in sections["flows"].parts if isinstance(part, Chart))
    assert bars.svg.count('class="line-interval"') == 1 + 3  # the legend, and each flow
    assert "mark-hatched" not in bars.svg and ": 123, 110 to 140" in bars.svg
    assert "estimate" in areas.svg and "undetermined" not in areas.svg
    assert [head[0] for head in areas.listing.heads][1:6] == [
        "immigration",
        "undetermined",
        "estimate",
        "from",
        "to",
    ]
    (tiles,) = (part for part in sections["headline"].parts if isinstance(part, tuple))
    assert "the interval is too wide to publish" in tiles[0].said


def test_provisional_periods_are_marked_in_words_and_in_the_drawing() -> None:
    sections = {section.anchor: section for section in find_sections(published(), ABOUT)}
    chart = next(part for part in sections["flows"].parts if isinstance(part, Chart))
    assert chart.svg.count('class="provisional"') == 2  # the year 2019, and its entry in the legend
    assert ">p</text>" in chart.svg and "p: provisional" in chart.svg
    *final, last = chart.listing.rows
    assert {row[-1] for row in final} == {"final"} and last[-1] == "provisional"


def test_few_countries_are_drawn_and_the_others_are_one_row() -> None:
    sections = {section.anchor: section for section in find_sections(published(), ABOUT)}
    chart = next(part for part in sections["origins"].parts if isinstance(part, Chart))
    rows = [*chart.listing.rows, *chart.listing.totals]
    assert rows[0][0] == "stateless persons" and rows[1][0] == "QVR"  # a code without a name stays
    assert rows[-1][0] == "other countries (3)"
    assert sum(row[1] for row in rows) == sum(range(1, len(COUNTRIES) + 1))
    assert "15 countries with the most migrations of 18" in chart.note


def test_what_is_empty_is_said_in_words() -> None:
    read = Reader(render_report({}, ABOUT))
    assert read.all("figure") == read.all("table") == read.all("ul")[1:] == []
    sections = [plain(text) for text in read.text["section"]]
    assert len(sections) == len(Reader(render_report(published(), ABOUT)).text["section"])
    assert all(re.search(r"[nN]o |not |nothing|[nN]either|Left out", text) for text in sections)


def test_only_the_published_tables_are_shown(read: Reader) -> None:
    assert "Counts are rounded to base 3." in plain(read.text["header"][0])
    withheld = {name: frame for name, frame in published().items() if name not in ("flows", "quality")}
    shown = body(Reader(render_report(withheld, ABOUT)))
    assert "3252" not in shown and "47697" in shown
    # A cell that is suppressed is neither shown nor drawn as zero.
    table = frames({"flows": [row | {"n_settled": None} for row in flow("unresolved", "2018", (9, 4))]})
    hidden = render_report(table, ABOUT)
    assert "Immigration in 2018" in plain(hidden) and 'class="mark-in" x=' in hidden
    assert not re.search(r'<rect class="mark-in"[^>]*><title>', hidden)


def test_figures_that_are_not_published_are_neither_zero_nor_drawn() -> None:
    counts = ("n_settled", "n_undetermined", "n", "opening", "immigration", "closing", "person_days", "value")
    hidden = {
        name: frame.with_columns(
            pl.lit(None, dtype=kind).alias(column)
            for column, kind in frame.collect_schema().items()
            if column in counts
        )
        for name, frame in published().items()
    }
    read = Reader(render_report(hidden, ABOUT))
    assert len(read.all("table")) >= 10
    shown = body(read)
    assert "Immigration in 2018 – settled, final; beside it – undetermined" in shown
    assert not re.search("3252|47697|2252", shown)
    # The swatches of legends are 14 wide.
    bars = [a for a in read.all("rect") if a["class"] in ("mark-in", "mark-out") and float(a["width"]) > 14]
    assert bars == []


def test_rules_and_policies_are_set_side_by_side(page: str, read: Reader) -> None:
    text = body(read)
    assert "Flows of 2018 under each rule and policy" in text
    assert "kept status" in text and '<td class="n">77</td>' in page
    alone = published() | {"flows": published()["flows"].filter(policy="unresolved")}
    alone |= {name: alone[name].filter(policy="unresolved") for name in ("stocks", "accounts")}
    assert "nothing to compare" in body(Reader(render_report(alone, ABOUT)))


def test_names_of_sources_cannot_become_markup(page: str) -> None:
    assert NASTY not in page
    assert "&lt;script&gt;alert(1)" in page


def test_long_series_many_rules_and_regions_stay_below_two_megabytes() -> None:
    given, strata = published(), pl.LazyFrame({"policy": [f"policy_{n}" for n in range(40)]})
    years = pl.LazyFrame({"year": [str(year) for year in range(1960, 2020)]})
    columns = given["flows"].collect_schema().names()
    series = given["flows"].filter(pl.col("period") < "2017", policy="unresolved").drop("policy")
    flows = (
        series.join(strata, how="cross")
        .join(years, how="cross")
        .with_columns(period=pl.col("year") + pl.col("period").str.slice(4))
    )
    regions = pl.LazyFrame({"name": [f"region {n}" for n in range(5000)]})
    last = given["stocks"].filter(period="2019-01-01", birth_group="total", policy="unresolved")
    stocks = last.join(regions, how="cross").with_columns(region="name").drop("name")
    long = {"flows": flows.select(columns), "stocks": pl.concat([given["stocks"], stocks])}
    report = render_report(given | long, ABOUT)
    assert len(report.encode()) < 2_000_000
    assert "Left out: 29 further rules and policies" in report
    assert "Left out: 4960 rows" in plain(report)


def test_the_configuration_tells_no_secret_and_no_place(tmp_path: Path) -> None:
    text = CONFIG.replace("key: {demo: true}", "key: {file: /vault/of/keys/secret.key}")
    used = describe_used(read_config(write(tmp_path, text, "config.yml")))
    assert "secret" not in used and "vault" not in used and str(tmp_path) not in used
    assert "key: not shown" in used and "files: border.csv" in used
    assert "accept_p_match: 0.65" in used  # a default, stated all the same
    assert "value: 365" in used  # of a rule that the configuration only names


def test_nothing_identifies(page: str) -> None:
    names = {column.name for column in IDENTIFYING} - {"sex", "citizenship", "birth_country"}
    assert not [name for name in names if f">{name}<" in page]
    assert not re.search(r"\b[0-9a-f]{40,}\b", page)


def test_listings_keep_totals_apart() -> None:
    (rows,) = (s for s in find_sections(published(), ABOUT) if s.anchor == "rows")
    sheet = next(part for part in rows.parts if isinstance(part, Listing))
    assert [row[0] for row in sheet.rows] == ["border"] and [row[0] for row in sheet.totals] == ["in all"]
