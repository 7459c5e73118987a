# SPDX-License-Identifier: Apache-2.0
"""The daemon's page in a headless browser: a real daemon's, and one of 50,000 stacks.

    test_live_page.py BOLOMETER WRITE_FLAME
"""
import http.server
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time
import tempfile

from running import TOKEN, busy, running
from harness import SKIPPED, Stopwatch, expect, main
import devtools

SCREENSHOTS = os.environ.get("SCREENSHOTS")
REDRAW_MILLISECONDS = 3000  # of 50,000 stacks, on any machine
WRITE_FLAME = sys.argv[2] if len(sys.argv) > 2 else None


def wait(browser, condition, seconds=40):
    deadline = time.monotonic() + seconds
    while not browser.evaluate(condition):
        expect(time.monotonic() < deadline, f"never: {condition}")
        time.sleep(0.1)


def text(browser, selector):
    return browser.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")


def open_page(browser, url):
    browser.call("Network.setExtraHTTPHeaders", headers={"Authorization": f"Bearer {TOKEN}"})
    browser.visit(url)
    wait(browser, "document.querySelectorAll('#figures div').length > 0 && "
                  "document.querySelectorAll('#rows tr').length > 0")


def stays_zoomed(browser):
    """It goes on by itself, and is zoomed where it was, once the names on the way there are all known."""
    node = "window.flameGraph.nodeNamed('_PyEval_EvalFrameDefault')"
    wait(browser, f"{node} > 0")
    for _ in range(10):
        before = text(browser, "#facts")
        browser.evaluate(f"window.flameGraph.zoomTo({node})")
        wait(browser, f"document.querySelector('#facts').textContent !== {json.dumps(before)}")
        if browser.evaluate("window.flameGraph.state().zoomed") == "_PyEval_EvalFrameDefault":
            return
    expect(False, "the zoom is lost with each interval")


class Refusing(http.server.BaseHTTPRequestHandler):
    def do_POST(self):  # pylint: disable=invalid-name
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


def follows_the_daemon(bolometer):
    # A destination that nobody listens at: an exporter that fails; and one that takes nothing.
    failing = ("exporters: [{{{{type: otlp-http, name: nowhere, endpoint: 'http://127.0.0.1:1'}}}},"
               " {{{{type: otlp-http, name: refused, endpoint: '{url}'}}}}]\n")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server, \
            running(bolometer, "budget.cpu=5%", frequency=10000, extra=failing.format(url=f"http://127.0.0.1:{server.server_port}")) as daemon, \
            busy() as pid, devtools.Browser() as browser:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{daemon.port}/"
        daemon.wait_for_interval()
        open_page(browser, url)
        expect(re.search(r"on, \d{2,4} Hz of 10000", text(browser, "#figures")), text(browser, "#figures"))
        expect("Rate" in text(browser, "#figures"), "why the rate is lower")
        wait(browser, "document.querySelector('#figures .bad') !== null")
        wait(browser, "document.querySelector('#exporters').textContent.includes('last error')")
        wait(browser, "document.querySelector('#figures').textContent.includes('2 of 2 failing')")
        wait(browser, "document.querySelector('#exporters').textContent.includes('refused (')")
        colour = "getComputedStyle(document.querySelector('%s')).color"
        expect(browser.evaluate(colour % "#exporters .bad") == browser.evaluate(colour % "#figures .bad dd"),
               "an exporter that fails is told in the colour of what is bad")
        expect("nowhere (otlp-http)" in text(browser, "#exporters"), text(browser, "#exporters"))
        wait(browser, f"document.querySelector('#processes').textContent.includes('{pid}')")
        expect("samples lost" in text(browser, "#losses"), text(browser, "#losses"))
        if SCREENSHOTS:
            browser.screenshot(f"{SCREENSHOTS}/live.png")
        stays_zoomed(browser)
        # Frozen, by its key, it does not.
        browser.evaluate("document.body.focus()")
        browser.key("f")
        expect(browser.evaluate("document.getElementById('freeze').getAttribute('aria-pressed')") == "true",
               "not frozen")
        time.sleep(0.5)
        frozen = text(browser, "#facts")
        time.sleep(5)
        expect(text(browser, "#facts") == frozen, "it goes on although frozen")
        browser.key("f")
        daemon.unix("/api/stop", "POST")
        wait(browser, "document.querySelector('#figures').textContent.includes('Samplingoff')")
        expect(browser.problems(url) == [], browser.problems(url))
        daemon.end()
        wait(browser, "!document.querySelector('#connection').hidden")


def waits_for_the_first_interval(bolometer):
    """Until there is something to draw, the page says so, and shows neither an empty picture nor its buttons."""
    with running(bolometer, interval="60s") as daemon, devtools.Browser() as browser:
        browser.call("Network.setExtraHTTPHeaders", headers={"Authorization": f"Bearer {TOKEN}"})
        url = f"http://127.0.0.1:{daemon.port}/"
        browser.visit(url)
        wait(browser, "document.querySelector('#waiting').textContent.includes('first interval, 1 min, has ended')")
        for hidden in ("#canvas", ".bar"):
            expect(browser.evaluate(f"document.querySelector('{hidden}').offsetHeight") == 0, f"{hidden} is shown")
        daemon.unix("/api/stop", "POST")
        wait(browser, "document.querySelector('#canvas').offsetHeight > 0")  # what was sampled until then
        expect(browser.evaluate("document.querySelector('#waiting').offsetHeight") == 0, "it still waits")
        expect(browser.problems(url) == [], browser.problems(url))


class Replay(http.server.BaseHTTPRequestHandler):
    """The real page and state, with a flame graph of 50,000 stacks that is another one each time."""
    def do_GET(self):  # pylint: disable=invalid-name
        server = self.server
        policy = None
        if self.path == "/":
            body, kind, policy = server.page.body, "text/html", server.page.headers["Content-Security-Policy"]
        elif self.path == "/api/live":
            server.interval += 1
            body = json.dumps({**server.live, "interval": server.interval}).encode()
            kind = "application/json"
        else:
            body, kind = server.flame, "application/json"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if policy:
            self.send_header("Content-Security-Policy", policy)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


def large_flame():
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([WRITE_FLAME, "50000", f"{directory}/page.html"], check=True,
                       stdout=subprocess.DEVNULL)
        page = pathlib.Path(f"{directory}/page.html").read_text(encoding="utf-8")
    return re.search(r'<script type="application/json" id="profile">(.*?)</script>', page, re.DOTALL).group(1)


def draws_50000_stacks(bolometer):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Replay) as server:
        with running(bolometer) as daemon:
            server.live = daemon.wait_for_interval()
            server.page = daemon.unix("/")
        server.flame = large_flame().encode()
        server.interval = 0
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        with devtools.Browser() as browser:
            open_page(browser, url)
            nodes = browser.evaluate("window.flameGraph.state().nodes")
            expect(nodes >= 50000, f"{nodes} nodes")
            drawn = server.interval
            deadline = time.monotonic() + 60
            while server.interval < drawn + 3:
                expect(time.monotonic() < deadline, "it does not go on")
                time.sleep(0.1)
            watch = Stopwatch()
            taken = browser.evaluate("window.flameGraph.redraw()")
            watch.expect(taken < REDRAW_MILLISECONDS, f"a draw takes {taken} ms")
            expect(browser.problems(url) == [], browser.problems(url))
        server.shutdown()


if __name__ == "__main__":
    if not devtools.find_chromium():
        print("SKIPPED: there is no Chromium")
        sys.exit(SKIPPED)
    main([waits_for_the_first_interval, follows_the_daemon, draws_50000_stacks], needs_root=True)
