"""The status page in a real browser, while a primary is killed: `make page`.

Not collected by itself: the browser is 100 MB, and not what every run of the tests needs.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.lab.browser import browsing
from tests.lab.cluster import watched
from tests.lab.monitor import LISTEN_ADDRESS, LISTEN_PORT

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

URL = f"http://{LISTEN_ADDRESS}:{LISTEN_PORT}/"
TAB, ENTER = "\ue004", "\ue007"
PICTURES = Path(__file__).parents[2] / "docs"
UNNAMED = """
return [...document.querySelectorAll('a,button,summary,img,input,th')]
  .filter(one => !(one.innerText || one.alt || one.ariaLabel || '').trim())
  .map(one => one.outerHTML.slice(0, 80))
"""
CONTRAST = """
const parse = text => text.match(/[\\d.]+/g).map(Number);
const light = rgb => rgb.slice(0, 3).map(v => v / 255)
  .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
const behind = one => {
  for (; one; one = one.parentElement) {
    const paint = parse(getComputedStyle(one).backgroundColor);
    if (paint.length < 4 || paint[3] > 0) return paint;
  }
  return [255, 255, 255];
};
return [...document.querySelectorAll('body *')]
  .filter(one => [...one.childNodes].some(n => n.nodeType === 3 && n.data.trim())
    && one.offsetParent && !['SCRIPT', 'STYLE'].includes(one.tagName))
  .map(one => {
    const [a, b] = [light(parse(getComputedStyle(one).color)), light(behind(one))];
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), one.outerHTML.slice(0, 80)];
  }).filter(([ratio]) => ratio < 4.5)
"""
FOCUSED = "return document.activeElement.textContent"
OUTLINED = "return parseFloat(getComputedStyle(document.activeElement).outlineWidth) >= 2"
WIDER = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
REQUESTED = "return performance.getEntriesByType('resource').map(one => one.name)"


def photograph(browser, name, height):
    if os.environ.get("FAILOVERD_PICTURES"):
        browser.picture(PICTURES / f"{name}.png", height)


def test_a_failover_can_be_watched_on_the_page(lab):
    w = watched(lab)
    with browsing(lab.monitor) as browser:
        browser.open(URL)
        w.wait(lambda: "pg1 is the primary" in browser.words, 15, "the page is there")
        w.wait(lambda: "live" in browser.words, 15, "the page listens")
        browser.run("window.neverLoadedAgain = true")
        w.pg1.kill9_postmaster()
        w.wait(lambda: "pg2 is the primary" in browser.words, 30, "the page shows it")
        w.wait(lambda: "confirmed: pg2 is the primary" in browser.words, 10, "its events, too")
        w.wait(lambda: "1 succeeded crashed" in browser.words, 15, "the incident is listed")
        assert browser.run("return window.neverLoadedAgain") is True
        browser.run("document.querySelector('details').open = true")
        drawn = "return document.querySelector('details img').naturalWidth"
        w.wait(lambda: browser.run(drawn) > 100, 15, "its picture is drawn")
        # It stays open while the page goes on.
        w.pg1.start()
        shown = "return document.querySelector('article').innerText.match(/pg1 standby/) !== null"
        w.wait(lambda: browser.run(shown), 30, "pg1 is back on the page")
        assert browser.run("return document.querySelector('details').open") is True
        photograph(browser, "status-page", 1250)
        w.daemon.stop()
        w.wait(lambda: "no answer" in browser.words or "lost" in browser.words, 15, "it says so")
        w.restart()
        w.wait(lambda: "live" in browser.words.split("Skip")[0], 30, "it is live again")


@pytest.mark.parametrize("dark", [False, True])
def test_it_can_be_read_on_a_telephone_by_keyboard_and_by_a_screen_reader(lab, dark):
    w = watched(lab)
    with browsing(lab.monitor, dark=dark) as browser:
        browser.as_a_telephone()
        browser.open(URL)
        w.wait(lambda: "pg1 is the primary" in browser.words, 15, "it is there")
        assert browser.run("return window.innerWidth") == 360
        assert browser.run(WIDER) <= 0
        assert browser.run(UNNAMED) == []
        assert browser.run(CONTRAST) == []
        assert browser.run("return document.documentElement.lang") == "en"
        assert browser.run("return document.querySelectorAll('main h1, h1').length") == 1
        assert browser.run("return matchMedia('(prefers-color-scheme: dark)').matches") is dark
        browser.press(TAB)
        assert browser.run(FOCUSED) == "To the clusters"
        assert all(URL.rstrip("/") in one for one in browser.run(REQUESTED))
        if dark:
            photograph(browser, "status-page-telephone", 760)


def test_without_javascript_it_is_whole_comes_anew_by_itself_and_is_used_by_keyboard(lab):
    w = watched(lab)
    with browsing(lab.monitor, dark=True) as browser:
        browser.without_javascript()
        browser.open(URL)
        w.wait(lambda: "pg1 is the primary" in browser.words, 15, "it is there")
        assert "live" not in browser.words.split("main")[0]
        w.pg1.kill9_postmaster()
        w.wait_until_failed_over()
        w.wait(lambda: "1 succeeded crashed" in browser.words, 30, "it has come anew")
        assert "confirmed: pg2 is the primary" in browser.words
        # From its top, by keys alone: past what is above, to the incident, and into it.
        browser.open(URL)
        browser.press(TAB)
        assert browser.run(FOCUSED) == "To the clusters"
        browser.press(ENTER)
        assert browser.run("return location.hash") == "#main"
        browser.press(TAB)
        assert "1 succeeded crashed" in browser.run(FOCUSED)
        browser.press(ENTER)
        assert browser.run("return document.querySelector('details').open") is True
        drawn = "return document.querySelector('details img').naturalWidth"
        w.wait(lambda: browser.run(drawn) > 100, 15, "its picture is drawn")
        browser.press(TAB)
        assert browser.run(FOCUSED) == "Report"
        assert browser.run(OUTLINED) is True
        photograph(browser, "status-page-dark", 1250)
        browser.press(ENTER)
        w.wait(lambda: "Incident 1 of cluster main" in browser.words, 15, "the report is there")
