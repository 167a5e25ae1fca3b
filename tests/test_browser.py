"""Neo4j Browser itself, in headless Chromium: it takes the style sheet and the favourites, and draws what the queries find.

With ETL_PICTURE=docs/images/browser.png the picture of the README is taken anew.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from etl.cli.server import first_page
from etl.errors import BadRequest, NotInStore
from etl.graph.trace import trace
from etl.readers import read
from etl.sinks.neo4j import live as neo4j
from etl.store import Store, status
from etl.store.browser import DIAMETERS, colours, contrast, favourites, first_query, folder, literal, selector, sheet, style
from etl.store.local import server as local
from etl.store.palette import PALETTE
from etl.store.queries import Query, find, queries, run
from tests.small import convolutional

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

pytestmark = pytest.mark.slow
T = TypeVar("T")
DIGITS = Path(__file__).parent / "data" / "digits_cnn.h5"
ODD = "a 'b' \"c\" {d}.e: f; é"
PARAM = re.compile(r":param \[\{(.*)\}\] => \{(RETURN .*)\}")
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --disable-dev-shm-usage --force-device-scale-factor=1 --window-size=1290,900"
)
PASTE = """
const transfer = new DataTransfer();
transfer.setData('text/plain', arguments[1]);
arguments[0].dispatchEvent(new ClipboardEvent('paste', {clipboardData: transfer, bubbles: true, cancelable: true}));
"""
DROP = """
const transfer = new DataTransfer();
transfer.items.add(new File([Uint8Array.from(atob(arguments[1]), c => c.charCodeAt(0))], arguments[0]));
for (const type of ['dragenter', 'dragover', 'drop'])
  document.querySelector('.filedrop').dispatchEvent(new DragEvent(type, {dataTransfer: transfer, bubbles: true, cancelable: true}));
"""


@dataclass
class Page:
    """Browser's page, logged in."""

    driver: Chrome

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements("css selector", selector)

    def wait(self, condition: Callable[[], T]) -> T:
        from selenium.common.exceptions import StaleElementReferenceException
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, 120, 0.1, [StaleElementReferenceException]).until(lambda _: condition())

    def press(self, name: str) -> None:
        self.wait(lambda: self.all(f"[data-testid={json.dumps(name)}]"))[0].click()

    def favourite(self, title: str) -> None:
        """Press the arrow beside a favourite: what is named is its picture, which takes no clicks."""
        self.all(f"[data-testid={json.dumps(f'navicon-{title}')}]")[0].find_element("xpath", "..").click()

    def new_frame(self, act: Callable[[], None]) -> WebElement:
        """Do what makes a frame; the frame, which tells of no error."""
        before = self.all("[data-testid=frame]")[0]
        act()
        self.wait(lambda: self.all("[data-testid=frame]")[0] != before)
        self.wait(
            lambda: re.search(r"Displaying|Started streaming|Completed after|Successfully|ERROR|node \{", self.all("[data-testid=frame]")[0].text)
        )
        frame = self.all("[data-testid=frame]")[0]
        assert "ERROR" not in frame.text, frame.text
        return frame

    def run(self, text: str) -> WebElement:
        """Paste a text into the editor, run it; its frame."""
        from selenium.webdriver.common.keys import Keys

        editor = self.all("[data-testid=activeEditor] textarea")[0]
        editor.send_keys(Keys.CONTROL, "a")
        editor.send_keys(Keys.DELETE)
        self.driver.execute_script(PASTE, editor, text)
        return self.new_frame(lambda: self.press("editor-Run"))

    def drop(self, path: Path) -> None:
        self.driver.execute_script(DROP, path.name, base64.b64encode(path.read_bytes()).decode())

    def drawn(self, frame: WebElement, count: int) -> list[tuple[str, str, float]]:
        """Caption (its lines together, without blanks), colour and diameter of the nodes that are drawn, once there are so many."""
        nodes = self.wait(lambda: (found := frame.find_elements("css selector", "svg g.node")) and len(found) == count and found)
        assert nodes
        looks = []
        for node in nodes:
            circle = node.find_element("css selector", "circle.b-outline")
            caption = "".join(text.text.replace(" ", "") for text in node.find_elements("css selector", "text.caption"))
            looks.append((caption, str(circle.get_attribute("fill")), 2 * float(circle.get_attribute("r") or "nan")))
        return sorted(looks)


@pytest.fixture(scope="module")
def digits(store: Store) -> Store:
    """The store with the digits' network, and one whose layer has a difficult name."""
    neo4j.load(trace(read(DIGITS)), store, "digits_cnn")
    neo4j.load(convolutional(names={"conv_0": ODD}), store, "odd", replace=True)
    return store


@pytest.fixture(scope="module")
def page(digits: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page that `etl neo4j open` opens, after logging in with the local server's password."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no chromium and chromedriver on the path (Debian: apt-get install chromium chromium-driver)")
    from selenium import webdriver
    from selenium.webdriver.common.keys import Keys

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    opened = Page(webdriver.Chrome(options=options, service=webdriver.ChromeService(driver)))
    try:
        opened.driver.get(first_page(status(), first_query(digits, "digits_cnn")))
        opened.wait(lambda: opened.all("input[type=password]"))[0].send_keys(local.password(status()), Keys.ENTER)
        opened.wait(lambda: "You are connected as user" in opened.all("[data-testid=stream]")[0].text)
        yield opened
    finally:
        opened.driver.quit()


def drawn_by(rows: list[dict[str, Any]], *names: str) -> list[tuple[str, str, float]]:
    """What a style sheet should make of these neurons of the digits' network, each once: worked out from the store, not from the sheet."""
    order = ["pixels", "strokes", "shapes", "pool", "digit"]
    sizes = {"pixels": 50.0, "digit": 80.0}
    found = {row[name]["id"]: row[name] for row in rows for name in names}
    return sorted(
        (n["layer"] + ",".join(map(str, n["index"])), PALETTE[order.index(n["layer"])], sizes.get(n["layer"], 60.0)) for n in found.values()
    )


def take_style(page: Page, store: Store, model: str, file: Path) -> None:
    """Drop a model's style sheet into the page."""
    file.write_text(style(store, model), "utf-8")
    page.new_frame(lambda: page.drop(file))


def test_opens_with_a_query_that_draws(page: Page, digits: Store) -> None:
    """The query of the address is in the editor; nothing needs typing but the password."""
    query = "MATCH (s)-[w:WEIGHT]->(:Neuron {model: $model, layer: $layer, index: [0]}) RETURN s.name AS name ORDER BY abs(w.weight) DESC LIMIT 25"
    rows = digits.read(query, model="digits_cnn", layer="digit")
    frame = page.new_frame(lambda: page.press("editor-Run"))
    shown = [caption for caption, _, _ in page.drawn(frame, 26)]  # without any style; what is wider than its neuron ends in dots
    assert "digit/0" in shown
    assert all(any(name.startswith(caption.rstrip("…")) for name in ("digit/0", *(row["name"] for row in rows))) for caption in shown), shown


def test_neighbourhood_is_drawn_in_the_model_s_style(page: Page, digits: Store, tmp_path: Path) -> None:
    take_style(page, digits, "digits_cnn", tmp_path / "digits_cnn.grass")
    query = find("neighbourhood")
    page.run(query.browser)
    expected = digits.read(query.text, model="digits_cnn", neuron=None, limit=30)
    frame = page.run(query.text)
    nodes = drawn_by(expected, "source", "target")
    assert page.drawn(frame, len(nodes)) == nodes
    assert len(frame.find_elements("css selector", "svg g.relationship")) == len(expected) == 15


def test_queries_become_favourites(page: Page, digits: Store, tmp_path: Path) -> None:
    """All of them, under their titles; one click runs one."""
    take_style(page, digits, "digits_cnn", tmp_path / "digits_cnn.grass")
    assert favourites(tmp_path / "queries.zip", digits, "digits_cnn") == len(queries())
    page.drop(tmp_path / "queries.zip")
    page.press("navigationFavorites")
    query = find("strongest_paths")
    shown = page.wait(lambda: {str(e.get_attribute("data-testid")) for e in page.all("[data-testid^=navicon-]")})
    assert {f"navicon-{each.about}: {each.title}" for each in queries().values()} <= shown
    page.run(query.browser.replace("5 AS limit", "12 AS limit"))
    frame = page.new_frame(lambda: page.favourite(f"{query.about}: {query.title}"))
    page.press("navigationFavorites")
    rows = run(digits, query.name, {"model": "digits_cnn", "limit": 12})
    on_paths = digits.read("MATCH (n:Neuron) WHERE n.id IN $ids RETURN n", ids=sorted({i for row in rows for i in row["neurons"]}))
    nodes = drawn_by(on_paths, "n")
    assert page.drawn(frame, len(nodes)) == nodes
    if picture := os.environ.get("ETL_PICTURE"):
        frame.find_element("css selector", "[aria-label=zoom-to-fit]").click()
        page.wait(lambda: frame.screenshot_as_png == frame.screenshot_as_png)  # it has come to rest
        Path(picture).write_bytes(frame.screenshot_as_png)


def test_style_finds_a_difficult_label(page: Page, digits: Store, tmp_path: Path) -> None:
    take_style(page, digits, "odd", tmp_path / "odd.grass")
    frame = page.run("MATCH (n:Neuron {model: 'odd'}) WHERE n.layer STARTS WITH \"a 'b'\" RETURN n LIMIT 3")
    assert {(colour, size) for _, colour, size in page.drawn(frame, 3)} == {(PALETTE[1], 60.0)}


@pytest.mark.parametrize("query", queries().values(), ids=list(queries()))
def test_file_runs_as_it_is(query: Query, digits: Store) -> None:
    """With all its comments, and with the parameters that its own line sets: of the declared types, integers as integers."""
    match = PARAM.fullmatch(query.browser)
    assert match, query.browser
    assert match[1].split(", ") == [p.name for p in query.parameters]
    (values,) = digits.read(match[2])
    assert json.dumps(query.bind(values), sort_keys=True) == json.dumps(values, sort_keys=True)
    digits.read(f"EXPLAIN {query.text}", **values)
    assert (folder() / f"{query.name}.cypher").read_text("utf-8") == query.text and query.text.startswith(f"// {query.title}")


def test_favourites_are_the_files(tmp_path: Path) -> None:
    favourites(tmp_path / "one.zip")
    favourites(tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        packed = {name: archive.read(name).decode() for name in archive.namelist()}
    assert packed == {f"{q.name}.cypher": q.text.replace("// ", f"// {q.about}: ", 1) for q in queries().values()}
    titles = [text.splitlines()[0] for text in packed.values()]
    assert titles == sorted(titles) and {q.about for q in queries().values()} == {"Measures", "Neurons", "Overview", "Paths", "Weights"}
    for wrong in ("queries.cypher", "nowhere/queries.zip"):
        with pytest.raises(BadRequest, match=re.escape(wrong)):
            favourites(tmp_path / wrong)


@pytest.mark.parametrize("model", ["digits_cnn", "odd"])
def test_favourites_have_parameters_of_the_model(digits: Store, tmp_path: Path, model: str) -> None:
    """Every query runs after its own line as it stands in the favourite, and finds what it names."""
    favourites(tmp_path / "filled.zip", digits, model)
    with zipfile.ZipFile(tmp_path / "filled.zip") as archive:
        packed = {name.removesuffix(".cypher"): archive.read(name).decode() for name in archive.namelist()}
    for name, text in packed.items():
        match = PARAM.search(text)
        assert match, text
        (values,) = digits.read(match[2])
        assert values["model"] == model and match[1].split(", ") == [p.name for p in queries()[name].parameters]
        run(digits, name, values)


def test_a_name_is_one_text_in_cypher(digits: Store) -> None:
    for name in ("it's", 'a "b"', "back\\slash", "line\nend", "') RETURN 1 //", "é {x} $y \u2028"):
        assert digits.read(f"RETURN {literal(name)} AS name") == [{"name": name}]


def test_the_first_query_is_about_the_model_that_is_named(digits: Store) -> None:
    for model, layer in (("digits_cnn", "digit"), ("odd", "dense_1")):
        rows = digits.read(first_query(digits, model))
        assert rows and {(row["target"]["model"], row["target"]["layer"]) for row in rows} == {(model, layer)}
    assert first_query(digits) == first_query(digits, "odd")
    with pytest.raises(NotInStore, match="did you mean digits_cnn"):
        first_query(digits, "digits_cn")


def test_colours_are_legible_and_neighbours_differ() -> None:
    """WCAG asks for a contrast of 4.5 (AA); black on white has 21."""
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert all(contrast(fill, colours(fill)["text-color-internal"]) >= 4.5 for fill in PALETTE)
    for count in (3, len(PALETTE), 11, 45, 300):
        rules = json.loads(sheet([(f"layer_{n}", "hidden") for n in range(count)]))
        fills = [rules[f"node.layer_{n}"]["color"] for n in range(count)]
        assert len(set(fills)) == count and all(contrast(fill, colours(fill)["text-color-internal"]) >= 4.5 for fill in fills)


def test_roles_and_labels() -> None:
    """A label is as large as its largest role; one that Browser can't be told of keeps the look of all neurons."""
    layers = [
        ("in", "input"),
        ("a.b", "hidden"),
        ("lstm", "hidden"),
        ("lstm", "output"),
        ("lstm", "hidden"),
        ("back\\slash", "hidden"),
        ("line\nend", "hidden"),
    ]
    rules = json.loads(sheet(layers))
    assert list(rules)[:4] == ["node", "node.Model", "node.Layer", "node.Neuron"]  # later ones win
    assert list(rules)[6:] == ["node.in", "node.a\\.b", "node.lstm"] and selector("a.b") == "node.a\\.b"
    assert [rules[name]["diameter"] for name in list(rules)[6:]] == [DIAMETERS[role] for role in ("input", "hidden", "output")]


def test_style_of_a_model_that_is_not_there(digits: Store) -> None:
    with pytest.raises(NotInStore, match=r"did you mean digits_cnn\?"):
        style(digits, "digits_cn")


def test_open_shows_the_page_or_prints_it(store: Store, tmp_path: Path) -> None:
    """With a browser, it gets the address; without a display, none is started and the address is printed."""
    shown = tmp_path / "shown"
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\nprintf %s "$1" > {shown}\n', "utf-8")
    script.chmod(0o700)
    bare = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")}
    said = [
        subprocess.run([sys.executable, "-m", "etl", "neo4j", "open"], env=env, capture_output=True, text=True, check=True).stdout.splitlines()[0]
        for env in (bare, bare | {"BROWSER": str(script)})
    ]
    assert said == [f"No browser here: open {first_page(status(), first_query(store))}", f"Opened {first_page(status(), first_query(store))}"]
    assert shown.read_text("utf-8") == first_page(status(), first_query(store))
