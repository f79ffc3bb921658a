"""The dashboard of a real ring in a real browser.

Run by scripts/test --integrations, which installs what this needs; the name keeps it out of a plain run of pytest. The
screenshots are in build/e2e-dashboard.
"""

import http.server
import json
import threading
import time
import urllib.error
import urllib.request

import pytest

import harness
from browser import Browser

SHOTS = harness.ROOT / "build" / "e2e-dashboard"
SECONDS_MAX = 60 * harness.PATIENCE
LOOKS = [(width, dark) for width in (1280, 390) for dark in (False, True)]

# The least contrast of a text with what it stands on (WCAG 2.2, AA); large is 24 px, or 18.66 px and bold.
CONTRASTS = """
const channels = (colour) => {
  const numbers = colour.match(/[0-9.]+/g).map(Number);
  return {rgb: numbers.slice(0, 3), alpha: numbers.length > 3 ? numbers[3] : 1};
};
const luminance = (rgb) => rgb.map((one) => one / 255)
    .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
    .reduce((sum, one, i) => sum + one * [0.2126, 0.7152, 0.0722][i], 0);
const groundOf = (element) => {
  for (let one = element; one !== null; one = one.parentElement) {
    const {rgb, alpha} = channels(getComputedStyle(one).backgroundColor);
    if (alpha === 1) return rgb;
  }
  return [255, 255, 255];
};
const poor = [];
for (const element of document.querySelectorAll("body *")) {
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== "");
  if (!own || element.closest(".unseen, .skip, noscript, [hidden], defs, title, option") || element.getClientRects().length === 0) continue;
  const style = getComputedStyle(element);
  const colour = channels(element instanceof SVGElement ? style.fill : style.color).rgb;
  const [light, dim] = [luminance(colour), luminance(groundOf(element))].sort((a, b) => b - a);
  const contrast = (light + 0.05) / (dim + 0.05);
  const size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  if (contrast < (large ? 3 : 4.5)) poor.push(`${element.tagName} "${element.textContent.slice(0, 30)}" ${contrast.toFixed(2)}`);
}
return poor;
"""


@pytest.fixture(scope="module")
def browser():
    SHOTS.mkdir(parents=True, exist_ok=True)
    with Browser() as one:
        yield one


def is_shown(browser, words):
    return lambda: browser.text("#verdict-word") == words


def row_of(browser, name):
    """What the table says of the node: {"Node": name, "State": ...}."""
    return browser.run("""
        const row = [...document.querySelectorAll("#rows tr")].find((one) => one.querySelector(".node-link").textContent === arguments[0]);
        return row === undefined ? null : Object.fromEntries([...row.cells].map((cell) => [cell.dataset.title, cell.innerText.trim()]));
        """, name)


def fits(browser):
    return browser.run("return document.documentElement.scrollWidth <= window.innerWidth")


def complaints_but_of_the_network(browser):
    """A node that is dead refuses connections: the browser writes that to the console whatever the page does."""
    return [one for one in browser.complaints() if "net::ERR_" not in one]


# ---- A real ring -------------------------------------------------------------------------------------------------


def test_a_node_dies_and_returns(browser):
    with harness.Ring(3, {"--zone": "rack1"}) as ring:
        asked, _, victim = ring.nodes
        with asked.resp() as client:
            client.pipeline([("SET", f"k{n}", "v" * 100) for n in range(2000)])
            client.pipeline([("GET", f"k{n}") for n in range(2500)])
        browser.look()
        browser.open(f"http://127.0.0.1:{asked.http_port}/ui")
        harness.wait_for(is_shown(browser, "OK"), "the page says OK", SECONDS_MAX)
        assert browser.text("#facts").startswith("3/3 up · copies 2 · acks 1")
        assert browser.run("return document.querySelectorAll('.arc').length") == 3
        for node in ring.nodes:
            row = row_of(browser, node.name)
            assert row["State"] == "alive" and row["Zone"] == "rack1" and row["Version"], row
            assert row["Memory"].endswith("%") and row["Up"].endswith("s"), row
        assert row_of(browser, "n1")["Hit"] != "–"
        fewest = "return Math.min(...[...series.values()].map((steps) => steps.size))"
        harness.wait_for(lambda: browser.run(fewest) >= 4, "the charts grow", SECONDS_MAX)
        assert browser.run("return document.querySelector('.chart .line').getAttribute('d')").count("L") >= 3
        # A second look has the minutes before it, at once.
        browser.open(f"http://127.0.0.1:{ring.nodes[1].http_port}/ui")
        harness.wait_for(is_shown(browser, "OK"), "another node says OK", SECONDS_MAX)
        assert browser.run("return series.size") == 3
        assert browser.run(fewest) >= 3
        browser.open(f"http://127.0.0.1:{asked.http_port}/ui")
        harness.wait_for(is_shown(browser, "OK"), "the page says OK again", SECONDS_MAX)

        victim.kill()
        harness.wait_for(is_shown(browser, "DEGRADED"), "the verdict changes", SECONDS_MAX)
        harness.wait_for(lambda: row_of(browser, "n3")["State"].startswith("dead"), "the row says dead", SECONDS_MAX)
        harness.wait_for(lambda: "n3 dead" in browser.text("#findings"), "the reason is said", SECONDS_MAX)
        assert row_of(browser, "n3")["Ops/s"] == "–"
        assert browser.run("return document.title").startswith("DEGRADED · gyre")
        for width, dark in LOOKS:
            browser.look(width, dark=dark)
            browser.screenshot(SHOTS / f"dead-{width}-{'dark' if dark else 'light'}.png")
            assert browser.run(CONTRASTS) == [] and fits(browser), (width, dark)
        browser.look()
        ring.restart(victim)
        ring.wait_settled()
        harness.wait_for(is_shown(browser, "OK"), "all is well again", SECONDS_MAX)
        assert row_of(browser, "n3")["State"] == "alive"
        assert browser.complaints() == []


def test_the_node_that_is_asked_goes_away(browser):
    with harness.Ring(3) as ring:
        asked = ring.nodes[0]
        browser.look()
        browser.open(f"http://127.0.0.1:{asked.http_port}/ui")
        harness.wait_for(is_shown(browser, "OK"), "the page says OK", SECONDS_MAX)
        asked.kill()
        harness.wait_for(lambda: "Connection lost, trying again." in browser.text("#lost"), "the banner", SECONDS_MAX)
        assert browser.text("#verdict-word") == "was OK" and browser.text("#freshness").endswith("s old")
        links = browser.run("return [...document.querySelectorAll('#lost-links a')].map((one) => one.href)")
        assert links == [f"http://127.0.0.1:{node.http_port}/ui" for node in ring.nodes[1:]]
        assert browser.run(CONTRASTS) == []
        browser.screenshot(SHOTS / "lost.png")
        ring.restart(asked)
        ring.wait_settled()
        harness.wait_for(lambda: browser.text("#lost") == "" and browser.text("#verdict-word") == "OK",
                         "the page goes on by itself", SECONDS_MAX)
        assert complaints_but_of_the_network(browser) == []


def test_a_hidden_page_asks_nothing(browser):
    with harness.Ring(1) as ring:
        browser.look()
        browser.open(f"http://127.0.0.1:{ring.nodes[0].http_port}/ui")
        harness.wait_for(lambda: row_of(browser, "n1"), "the page shows the node", SECONDS_MAX)
        asked = "return performance.getEntriesByType('resource').filter((one) => one.name.includes('ring.json')).length"
        hide = """Object.defineProperty(document, 'hidden', {value: arguments[0], configurable: true});
                  document.dispatchEvent(new Event('visibilitychange'))"""
        before = browser.run(asked)
        harness.wait_for(lambda: browser.run(asked) >= before + 2, "it asks again and again", SECONDS_MAX)
        browser.run(hide, True)
        harness.wait_for(lambda: not browser.run("return poll.asking"), "what was asked is answered", SECONDS_MAX)
        before = browser.run(asked)
        time.sleep(5)  # two and a half rounds of polling; that nothing comes cannot be waited for
        assert browser.run(asked) == before
        browser.run(hide, False)
        harness.wait_for(lambda: browser.run(asked) > before, "it asks again", SECONDS_MAX)


# ---- Any ring ------------------------------------------------------------------------------------------------------


class Stage:
    """Serves a real node's page, with its headers, and in place of its ring any other."""

    def __init__(self, node):
        stage = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if self.path.split("?")[0] == "/ui/ring.json":
                    body, headers = json.dumps(stage.ring).encode(), {"Content-Type": "application/json"}
                else:
                    try:
                        with urllib.request.urlopen(f"http://127.0.0.1:{node.http_port}{self.path}", timeout=10) as answer:
                            body, headers = answer.read(), dict(answer.headers)
                    except urllib.error.HTTPError as error:
                        return self.send_error(error.code)
                self.send_response(200)
                for name, value in headers.items():
                    if name not in ("Connection", "Content-Length"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.ring = {}
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/ui"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture(scope="module")
def stage():
    with harness.Ring(1) as ring, Stage(ring.nodes[0]) as one:
        # What a node says of one, as the pattern of all.
        one.pattern = json.loads(ring.nodes[0].http("/ui/ring.json?history=1")[1])
        yield one


def ring_of(stage, count, name="n{}"):
    """As if so many nodes were there: one is dead, one fills, one is drained, one is silent, where there are enough."""
    ring = json.loads(json.dumps(stage.pattern))
    pattern, partitions = ring["nodes"][0], ring["partitions"]
    nodes = []
    for i in range(count):
        node = dict(pattern, id=f"id{i}", name=name.format(i + 1), zone=f"rack{i % 3 + 1}", self=i == 0,
                    owned_partitions=partitions // count + (i < partitions % count))
        if count > 5 and i in (1, 2, 3, 4):
            node.update({1: {"stale": True, "answered": False, "age_seconds": 7},
                         2: {"condition": "filling", "filled_percent": 62.5, "moving_bytes_per_second": 2e7, "eta_seconds": 5},
                         3: {"condition": "dead", "state": "dead", "answered": False, "since_seconds": 192.5},
                         4: {"condition": "drained", "state": "drained", "on_ring": False, "owned_partitions": 0}}[i])
        nodes.append(node)
    if count > 5:
        ring.update(verdict="DOWN", unowned_partitions=30, findings=[
            {"severity": severity, "code": "x", "text": f"{severity} of {name.format(7)}"} for severity in ("DOWN", "DEGRADED", "note")])
    ring.update(nodes=nodes, serving_nodes=count, wanted_nodes=count, asked=nodes[0]["name"])
    return ring


def shown(browser, stage, ring):
    stage.ring = ring
    browser.open(stage.url)
    harness.wait_for(lambda: browser.run("return document.querySelectorAll('#rows tr').length") == len(ring["nodes"]),
                     "all nodes are shown", SECONDS_MAX)


@pytest.mark.parametrize("count", [1, 2, 6, 14, 15, 50])
def test_a_ring_of_any_size(browser, stage, count):
    for width, dark in LOOKS:
        browser.look(width, dark=dark)
        shown(browser, stage, ring_of(stage, count))
        assert fits(browser), (width, dark)
        assert browser.run(CONTRASTS) == [], (width, dark)
        # Labels neither leave the picture nor stand on each other.
        picture, *labels = browser.run("""
            const box = (one) => { const {left, top, right, bottom} = one.getBoundingClientRect(); return [left, top, right, bottom]; };
            return [box(document.querySelector("#ring")), ...[...document.querySelectorAll("#ring .label")].map(box)];""")
        for left, top, right, bottom in labels:
            assert left >= picture[0] - 1 and right <= picture[2] + 1, (width, count)
            assert top >= picture[1] - 1 and bottom <= picture[3] + 1, (width, count)
        if count < 15:
            for i, one in enumerate(labels):
                for other in labels[i + 1:]:
                    apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
                    assert apart, (width, count, one, other)
        browser.screenshot(SHOTS / f"ring-{count}-{width}-{'dark' if dark else 'light'}.png")
    assert browser.complaints() == []


def test_what_others_say_is_text(browser, stage):
    evil = "<img src=x onerror=alert(1)>{}"
    ring = ring_of(stage, 6, evil)
    for node in ring["nodes"]:
        node.update(zone="</text><script>alert(2)</script>", version="<b>1</b>", http_address="javascript:alert(3)//a:80",
                    id="__proto__" + node["id"])
    ring["nodes"][5].update(condition="constructor", state="<i>", owned_partitions="7", history={"step_seconds": "x"})
    ring.update(cluster="<h1>gyre</h1>", verdict="<script>", findings=[{"severity": "toString", "text": "<img src=x>"}, None])
    browser.look()
    shown(browser, stage, ring)
    assert browser.run("return document.querySelectorAll('img, #ring script, b, i, #rows h1').length") == 0
    assert browser.run("return document.querySelectorAll('#rows a[href]').length") == 0
    assert browser.text("#rows .node-link") == evil.format(1)
    assert browser.text("#cluster") == "<h1>gyre</h1>"
    assert fits(browser)
    browser.screenshot(SHOTS / "hostile.png")
    assert browser.complaints() == []


@pytest.mark.parametrize("width", [1280, 390])
def test_the_keyboard_reaches_everything(browser, stage, width):
    browser.look(width)
    shown(browser, stage, ring_of(stage, 6))
    wanted = browser.run("""return [...document.querySelectorAll("a[href], button, select")].length""")
    seen = []
    for _ in range(wanted):
        browser.tab()
        seen.append(browser.run("""
            const one = document.activeElement;
            const style = getComputedStyle(one);
            return [one.tagName, one.textContent, style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2];"""))
    assert all(visible for _, _, visible in seen), [one for one in seen if not one[2]]
    names = [name for _, name, _ in seen]
    assert names[0] == "Skip to the nodes" and len(seen) == wanted
    for name in ("Node", "Zone", "State", "Up", "Version", "Memory", "Ops/s", "Hit", "p99", "Keys", "Owns", "n2", "n6"):
        assert name in names, name
    # Sorting, with the keyboard, and without losing the place.
    browser.run("document.querySelectorAll('#columns button')[0].focus()")
    order = "return [...document.querySelectorAll('#rows .node-link')].map((one) => one.textContent)"
    assert browser.run(order) == [f"n{i}" for i in range(1, 7)]
    browser.press(" ")
    assert browser.run(order) == [f"n{i}" for i in range(6, 0, -1)]
    assert browser.run("return document.activeElement.closest('th').getAttribute('aria-sort')") == "descending"
    # What is drawn anew every two seconds does not take the focus away.
    asked = browser.run("return poll.answeredAt")
    harness.wait_for(lambda: browser.run("return poll.answeredAt") > asked, "it was drawn anew", SECONDS_MAX)
    assert browser.run("return document.activeElement.textContent") == "Node"


def test_the_verdict_is_announced_and_nothing_moves_for_who_does_not_want_it(browser, stage):
    browser.look(reduced_motion=True)
    shown(browser, stage, ring_of(stage, 6))
    assert browser.run("return document.querySelector('#verdict').getAttribute('aria-live')") == "polite"
    assert browser.run("return document.querySelector('#verdict').textContent") == "DOWN: 2 findings"
    assert browser.run("return getComputedStyle(document.querySelector('.bar-full')).transitionDuration") == "0s"
    assert "n4 owns" in browser.run("return document.querySelector('#ring').getAttribute('aria-label')")
