"""Debian's chromium without a window for tests, driven over a pipe by its DevTools protocol."""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.conftest import ROOT
from tests.requirements import require

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
UNPACKED = ROOT / "var" / "browser" / "bin" / NAMES[0]
FLAGS = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
)
MIDDLE = "return [b.left + b.width / 2, b.top + b.height / 2]; })()"
# it reads commands from 3 and answers on 4
ON_3_AND_4 = """
import os, sys
commands, answers = os.dup(int(sys.argv[1])), os.dup(int(sys.argv[2]))
os.dup2(commands, 3), os.dup2(answers, 4)
os.set_inheritable(3, True), os.set_inheritable(4, True)
os.execv(sys.argv[3], sys.argv[3:])
"""


def find() -> str:
    """The program; skips the test without one."""
    program = next(filter(None, map(shutil.which, (str(UNPACKED), *NAMES))), None)
    absent = f"no browser is on PATH: apt install {NAMES[0]}, or .ci/browser, which unpacks it"
    require("browser", program is not None, absent)
    return str(program)


@dataclass
class Page:
    """An open page: what its console said, what it asked for."""

    _send: Any
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def ask(self, expression: str) -> Any:
        """The value of an expression of JavaScript. Fails where it throws."""
        answer = self._send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        """The value of an expression once it is true; it may throw while the page changes."""
        for _ in range(1000):
            if value := self.ask(f"(() => {{ try {{ return {expression} }} catch {{}} }})()"):
                return value
            time.sleep(0.1)
        self.ask(expression)  # what still throws says why
        raise AssertionError(self.ask("document.body.innerText"))

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements that a CSS selector finds."""
        quoted = json.dumps(selector)
        return list(
            self.ask(f"[...document.querySelectorAll({quoted})].map(e => e.textContent.trim())")
        )

    def table(self, key: str) -> list[list[str]]:
        """The cells of a table's body, by its id."""
        rows = f"document.querySelectorAll('#{key} tbody tr')"
        cells = "[...row.cells].map(cell => cell.textContent.trim())"
        return list(self.ask(f"[...{rows}].map(row => {cells})"))

    def drag(self, selector: str, points: int) -> None:
        """Move an element's content to the right by the mouse, from its middle."""
        box = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        x, y = self.ask(f"(() => {{ const b = {box};" + MIDDLE)
        moves = [("mouseMoved", x + points * n / 10) for n in range(11)]
        for kind, at in (("mousePressed", x), *moves, ("mouseReleased", x + points)):
            button = {"button": "left", "clickCount": 1, "buttons": int(kind != "mouseReleased")}
            self._send("Input.dispatchMouseEvent", type=kind, x=at, y=y, **button)

    def set_media(self, media: str = "screen", scheme: str = "light") -> None:
        """Show the page on a medium, in light or dark."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._send("Emulation.setEmulatedMedia", media=media, features=features)

    def print(self) -> bytes:
        """The page as PDF."""
        return base64.b64decode(self._send("Page.printToPDF", printBackground=True)["data"])

    def set_width(self, width: int) -> None:
        """Show the page so many points wide."""
        self._send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )

    def picture(self, path: Path, width: int = 1200, height: int = 800) -> None:
        """Keep the top of the page as a WebP."""
        self.set_width(width)
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        answer = self._send("Page.captureScreenshot", format="webp", quality=80, clip=clip)
        path.write_bytes(base64.b64decode(answer["data"]))


class Browser:
    """A running browser; one page at a time."""

    def __init__(self, to: IO[bytes], back: IO[bytes]) -> None:
        self._to, self._back, self._number = to, back, 0
        self._session: str | None = None
        self._target: str | None = None
        self._page = Page(self._send)

    def open(self, url: str, width: int | None = None) -> Page:
        """Load a page in place of the last one, and wait until it has loaded.

        width: in points, from the beginning: a page that becomes wider later shows more
        """
        last = self._target
        self._target = self._send("Target.createTarget", url="about:blank")["targetId"]
        if last is not None:
            self._send("Target.closeTarget", targetId=last)
        attached = self._send("Target.attachToTarget", targetId=self._target, flatten=True)
        self._session, self._page = attached["sessionId"], Page(self._send)
        for domain in ("Runtime", "Log", "Network", "Page"):
            self._send(f"{domain}.enable")
        if width is not None:
            self._page.set_width(width)
        answer = self._send("Page.navigate", url=url)
        assert "errorText" not in answer, answer
        while self._read().get("method") != "Page.loadEventFired":
            pass
        return self._page

    def set_cookies(self, url: str, cookies: Mapping[str, str]) -> None:
        """Give the pages of a server their cookies."""
        fixed = {"url": url, "httpOnly": True, "sameSite": "Strict"}
        values = [{"name": name, "value": value, **fixed} for name, value in cookies.items()]
        self._send("Storage.setCookies", cookies=values)

    def clear_cookies(self) -> None:
        self._send("Storage.clearCookies")

    def _send(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session and not method.startswith("Target."):
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        while True:
            answer = self._read()
            if answer.get("id") == message["id"]:
                assert "error" not in answer, answer
                return dict(answer["result"])

    def _read(self) -> dict[str, Any]:
        """The next message; events of the page are kept."""
        text = bytearray()
        while (byte := self._back.read(1)) != b"\0":
            assert byte, "the browser has ended"
            text += byte
        message: dict[str, Any] = json.loads(text)
        params = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self._page.console.append(json.dumps(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled" | "Log.entryAdded":
                self._page.console.append(json.dumps(params))
            case "Network.requestWillBeSent":
                self._page.requests.append(params["request"]["url"])
        return message


@contextmanager
def running(folder: Path) -> Iterator[Browser]:
    """A browser with its profile in a folder; it ends with the block."""
    program = find()
    commands, answers = os.pipe(), os.pipe()
    # as root, as in a container, it runs without its sandbox
    flags = [*FLAGS, f"--user-data-dir={folder}", *(["--no-sandbox"] if os.getuid() == 0 else [])]
    process = subprocess.Popen(
        [sys.executable, "-c", ON_3_AND_4, str(commands[0]), str(answers[1]), program, *flags],
        pass_fds=(commands[0], answers[1]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(folder.parent / f"{folder.name}.log").open("wb"),
        env=os.environ | {"HOME": str(folder)},
    )
    os.close(commands[0])
    os.close(answers[1])
    with os.fdopen(commands[1], "wb") as to, os.fdopen(answers[0], "rb") as back:
        try:
            yield Browser(to, back)
        finally:
            process.terminate()
            process.wait(60)
