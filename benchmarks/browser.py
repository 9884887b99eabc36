"""Headless Chromium, spoken to over a pipe in its DevTools protocol: for tests of the report, and for its pictures."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_OPTIONS = (
    "--headless",
    "--no-sandbox",  # in a container there is none to be had; it opens our own files only
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)


@dataclass
class Page:
    """A page that is open: what is sent to the browser, and what it told meanwhile."""

    to_browser: int
    from_browser: int
    session: str | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    _last: int = 0
    _unread: bytearray = field(default_factory=bytearray)

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask the browser for something, and wait for its answer."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": params}
        if self.session is not None:
            message["sessionId"] = self.session
        unsent = json.dumps(message).encode() + b"\0"
        while unsent:
            unsent = unsent[os.write(self.to_browser, unsent) :]
        while True:
            told = self._read()
            if told.get("id") == self._last:
                if "error" in told:
                    raise RuntimeError(f"{method}: {told['error']['message']}")
                return dict(told["result"])
            self.events.append(told)

    def wait_for(self, method: str) -> dict[str, Any]:
        """Wait until the browser has told of an event."""
        while True:
            for told in self.events:
                if told.get("method") == method:
                    return dict(told["params"])
            self.events.append(self._read())

    def told(self, method: str) -> list[dict[str, Any]]:
        """What the browser told of one kind of event."""
        return [told["params"] for told in self.events if told.get("method") == method]

    def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript in the page."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']['text']}")
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key, such as Tab or Enter."""
        code = {"Tab": 9, "Enter": 13}[key]
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **text)

    def picture(self, target: Path, clip: Mapping[str, float]) -> None:
        """Save a part of the page (x, y, width, height) as PNG."""
        taken = self.send(
            "Page.captureScreenshot", captureBeyondViewport=True, clip={**clip, "scale": 1}, format="png"
        )
        target.write_bytes(base64.b64decode(taken["data"]))

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            chunk = os.read(self.from_browser, 1 << 20)
            if not chunk:
                raise RuntimeError("the browser has gone")
            self._unread += chunk
        message, _, rest = bytes(self._unread).partition(b"\0")
        self._unread = bytearray(rest)
        return dict(json.loads(message))


def find_browser() -> str:
    """The path of Chromium; FileNotFoundError with what to install where there is none."""
    for name in (os.environ.get("CHROMIUM", ""), *_NAMES):
        found = shutil.which(name) if name else None
        if found:
            return found
    raise FileNotFoundError(
        "no Chromium is installed: `apt-get install --no-install-recommends chromium`, or name it in CHROMIUM"
    )


@contextmanager
def open_page(address: str) -> Iterator[Page]:
    """Open an address in a browser of its own, with every request, message and refusal told from the start."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # Chromium reads from 3 and writes to 4.
        piped = ["sh", "-c", 'exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null', find_browser()]
        browser = subprocess.Popen(
            [*piped, *_OPTIONS, f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert browser.stdin is not None and browser.stdout is not None
        page = Page(browser.stdin.fileno(), browser.stdout.fileno())
        try:
            target = page.send("Target.createTarget", url="about:blank")["targetId"]
            attached = page.send("Target.attachToTarget", targetId=target, flatten=True)
            page.session = attached["sessionId"]
            for domain in ("Page", "Network", "Log", "Runtime", "Security"):
                page.send(f"{domain}.enable")
            page.send("Page.navigate", url=address)
            page.wait_for("Page.loadEventFired")
            yield page
        finally:
            page.session = None
            with suppress(OSError, RuntimeError):
                page.send("Browser.close")
            try:
                browser.wait(10)
            except subprocess.TimeoutExpired:
                browser.kill()
                browser.wait()
            browser.stdin.close()
            browser.stdout.close()
