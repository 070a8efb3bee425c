"""A real headless browser in a host's network, by the WebDriver protocol.

Source: W3C, "WebDriver"; chromedriver speaks it over HTTP on loopback.
"""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from tests.lab.host import Host
from tests.lab.machine import ENVIRONMENT
from tests.waiting import wait_until

PORT = 9515
FORWARD = """
import json, sys, urllib.request, urllib.error
for line in sys.stdin:
    method, url, body = json.loads(line)
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            said = answer.read().decode()
    except urllib.error.HTTPError as error:
        said = error.read().decode()
    except OSError as error:
        said = json.dumps({"value": {"error": "unreachable", "message": str(error)}})
    print(json.dumps(json.loads(said)), flush=True)
"""


class BrowserError(Exception):
    """What the browser, or a page in it, said."""


class Browser:
    """One window. A context manager: it leaves nothing behind."""

    def __init__(self, host: Host, *, dark: bool = False, width: int = 1280) -> None:
        self._ended = contextlib.ExitStack()
        enter = ["nsenter", "--target", str(host.init_pid), "--net", "--"]
        environment = {**ENVIRONMENT, "HOME": str(host.directory)}
        self._driver = subprocess.Popen(
            [*enter, "chromedriver", f"--port={PORT}", "--log-level=SEVERE"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment,
            start_new_session=True,
        )  # fmt: skip
        self._ended.callback(self._end)
        self._asker = subprocess.Popen(
            [*enter, sys.executable, "-I", "-c", FORWARD],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._ended.callback(self._asker.communicate)
        wait_until(self._answers, 30, "chromedriver answers", interval_s=0.2)
        arguments = [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            f"--window-size={width},900",
            f"--user-data-dir={host.directory}/browser-{width}-{dark}",
        ]  # fmt: skip
        if dark:
            arguments.append("--blink-settings=preferredColorScheme=0")
        options = {"args": arguments, "binary": "/usr/bin/chromium"}
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        self._session = self._call("POST", "", wanted)["sessionId"]
        self._ended.callback(self._call, "DELETE", f"/{self._session}")

    def _end(self) -> None:
        self._driver.terminate()
        self._driver.wait(20)

    def _answers(self) -> bool:
        return "ready" in self._ask("GET", "/status", None)

    def _ask(self, method: str, path: str, body: Any) -> Any:
        assert self._asker.stdin is not None
        assert self._asker.stdout is not None
        line = json.dumps([method, f"http://127.0.0.1:{PORT}{path}", body])
        self._asker.stdin.write(line + "\n")
        self._asker.stdin.flush()
        return json.loads(self._asker.stdout.readline())["value"]

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        value = self._ask(method, f"/session{path}", body)
        if isinstance(value, dict) and "error" in value:
            raise BrowserError(f"{value['error']}: {value['message']}")
        return value

    def open(self, url: str) -> None:
        self._call("POST", f"/{self._session}/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """What `return` gives."""
        body = {"script": script, "args": list(arguments)}
        return self._call("POST", f"/{self._session}/execute/sync", body)

    @property
    def title(self) -> str:
        return self._call("GET", f"/{self._session}/title")

    @property
    def words(self) -> str:
        """What can be read."""
        return self.run("return document.body.innerText")

    def press(self, key: str) -> None:
        """One key of the keyboard, to whatever has the focus."""
        actions = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        body = {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]}
        self._call("POST", f"/{self._session}/actions", body)

    def picture(self, file: Path, height: int) -> None:
        """The first `height` pixels of the page, as PNG."""
        self.develops("Emulation.setScrollbarsHidden", hidden=True)
        size = {"width": self.run("return window.innerWidth"), "height": height}
        self.develops(
            "Emulation.setDeviceMetricsOverride", **size, deviceScaleFactor=1, mobile=False
        )
        shot = self._call("GET", f"/{self._session}/screenshot")
        self.develops("Emulation.clearDeviceMetricsOverride")
        file.write_bytes(base64.b64decode(shot))

    def as_a_telephone(self, width: int = 360) -> None:
        """A screen of a telephone, in pixels of CSS."""
        size = {"width": width, "height": 760}
        self.develops(
            "Emulation.setDeviceMetricsOverride", **size, deviceScaleFactor=2, mobile=True
        )

    def without_javascript(self) -> None:
        """No script of a page runs any more; those of `run` do."""
        self.develops("Emulation.setScriptExecutionDisabled", value=True)

    def develops(self, command: str, **parameters: Any) -> Any:
        """A command of Chrome's DevTools protocol."""
        body = {"cmd": command, "params": parameters}
        return self._call("POST", f"/{self._session}/goog/cdp/execute", body)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.close()


@contextlib.contextmanager
def browsing(host: Host, **how: Any) -> Iterator[Browser]:
    """A browser that ends before its host does."""
    with Browser(host, **how) as browser:
        yield browser
