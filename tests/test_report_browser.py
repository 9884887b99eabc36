"""The report in a browser: no request leaves it, nothing is refused, tables sort by keyboard, both palettes, paper."""

import base64
import re
from collections.abc import Iterator

import pytest

from benchmarks.browser import Page, open_page
from given_report import ABOUT, published
from miglink.stages.publish.report import render_report
from miglink.stages.publish.report.palette import DARK, LIGHT

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render_report(published(), ABOUT), encoding="utf-8")
    with open_page(path.as_uri()) as opened:
        yield opened


def emulate(page: Page, media: str, scheme: str, width: int = 1000) -> None:
    page.send(
        "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
    )
    feature = {"name": "prefers-color-scheme", "value": scheme}
    page.send("Emulation.setEmulatedMedia", media=media, features=[feature])


def first_column(page: Page) -> list[str]:
    found = page.evaluate(
        "Array.from(document.querySelector('table').tBodies[0].rows, r => r.cells[0].textContent)"
    )
    return [str(text) for text in found]


def test_it_opens_without_a_request_or_a_refusal(page: Page) -> None:
    asked = [event["request"]["url"] for event in page.told("Network.requestWillBeSent")]
    assert len(asked) == 1 and asked[0].startswith("file://")
    assert page.told("Log.entryAdded") == page.told("Runtime.exceptionThrown") == []
    assert page.told("Runtime.consoleAPICalled") == []


def test_tables_are_sorted_by_keyboard(page: Page) -> None:
    assert first_column(page)[0] == "2016"
    page.evaluate("document.querySelector('table').closest('.scroll').focus()")
    page.press("Tab")
    where = "document.activeElement.closest('th')"
    assert page.evaluate(f"{where}.textContent") == "year"
    for key, direction, first in (("Enter", "ascending", "2016"), ("Enter", "descending", "2020")):
        page.press(key)
        assert page.evaluate(f"{where}.getAttribute('aria-sort')") == direction
        assert first_column(page)[0] == first
        assert direction in page.evaluate("document.getElementById('said').textContent")
    page.press("Tab")
    page.press("Enter")
    # By immigration: a number, whose thin spaces do not matter; 2020 has none and is last.
    assert first_column(page) == ["2016", "2017", "2018", "2019", "2020"]
    assert page.evaluate("document.querySelectorAll('[aria-sort]').length") == 1


def test_it_follows_light_and_dark(page: Page) -> None:
    for scheme, palette in (("light", LIGHT), ("dark", DARK)):
        emulate(page, "screen", scheme)
        red, green, blue = (int(palette["page"][at : at + 2], 16) for at in (1, 3, 5))
        assert (
            page.evaluate("getComputedStyle(document.body).backgroundColor") == f"rgb({red}, {green}, {blue})"
        )
    # Paper is white, whatever the screen is.
    emulate(page, "print", "dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_a_narrow_window_has_all_of_it(page: Page) -> None:
    emulate(page, "screen", "light", width=400)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_it_is_printed_with_the_data_of_its_charts(page: Page) -> None:
    emulate(page, "screen", "light")
    page.evaluate(
        "window.onbeforeprint = () => { window.shown = document.querySelectorAll('details[open]').length; }"
    )
    printed = base64.b64decode(page.send("Page.printToPDF", printBackground=True)["data"])
    assert printed.startswith(b"%PDF") and len(re.findall(rb"/Type ?/Page\b", printed)) > 3
    assert page.evaluate("window.shown") >= 10
    assert page.evaluate("document.querySelectorAll('details[open]').length") == 0


def test_its_policy_is_in_force(page: Page) -> None:
    """Last, for the browser then tells of refusals: what a page without the policy would load and run is refused."""
    page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', "
        '\'<img src="https://example.org/x.png"><p style="color:red" id="styled">x</p>\');'
        "const added = document.createElement('script'); added.textContent = 'window.ran = true';"
        "document.body.append(added)"
    )
    assert page.evaluate("window.ran === undefined") is True
    assert page.evaluate("getComputedStyle(document.getElementById('styled')).color") != "rgb(255, 0, 0)"
    refused = " ".join(event["entry"]["text"] for event in page.told("Log.entryAdded"))
    assert refused.count("Content Security Policy") == 3
    assert "Loading the image 'https://example.org/x.png' violates" in refused
