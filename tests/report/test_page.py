"""The page, in a real browser: it renders, alone and offline, holds the numbers of results.json, and can be read.

Screenshots are left in `build/screenshots`.
"""

import importlib.util
import re
import shutil
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import kdlab.report
from kdlab.measure.reopen import measure_again, reopen
from kdlab.report import collect, write_report
from kdlab.report.figures.gallery import Example
from kdlab.report.run_page import Gallery, run_page
from kdlab.results import Fit, Results, Row, read
from tests.conftest import ILLUSTRATED

SCREENSHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"
CHROMIUM = shutil.which("chromium")
SCHEMES = {"light": {}, "dark": {"color_scheme": "dark"}, "phone": {"viewport": {"width": 390, "height": 844}}}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("playwright is not installed: pip install -e '.[dev]'")
    if CHROMIUM is None:
        pytest.skip("there is no chromium to open pages with: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def run(illustrated: Path) -> Path:
    return illustrated


@pytest.fixture(scope="module")
def sweep(reported_grid: Path) -> Path:
    return reported_grid


Open = Callable[..., Any]


@pytest.fixture
def opened(browser) -> Iterator[Open]:
    """Open a page, offline; what it asks of the network or says on the console is kept in `page.noise`."""
    contexts = []

    def open_page(path: Path, **options: Any) -> Any:
        context = browser.new_context(offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.noise = []
        page.on("console", lambda message: page.noise.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: page.noise.append(f"error: {error}"))
        page.on("request", lambda request: page.noise.append(request.url[:80]))
        page.goto(path.as_uri())
        page.noise = [line for line in page.noise if line != path.as_uri()[:80] and not line.startswith("data:image/")]
        return page

    yield open_page
    for context in contexts:
        context.close()


def table(page: Any, name: str) -> list[list[str]]:
    """Return the cells of a table, its header first, as a reader sees them."""
    cells = "rows => rows.map(row => [...row.cells].map(cell => cell.textContent.replace(/\\s+/g, ' ').trim()))"
    return page.eval_on_selector_all(f"#{name} tr", cells)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_page_of_a_run_renders_alone_and_offline(run, opened, scheme):
    page = opened(run / "report.html", **SCHEMES[scheme])
    assert page.noise == []
    pictures = page.eval_on_selector_all("img", "all => all.map(i => [i.complete && i.naturalWidth > 0, i.alt])")
    assert len(pictures) > 10
    assert all(decoded and len(alternative) > 20 for decoded, alternative in pictures)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"run_{scheme}.png", full_page=True)


def test_the_page_of_a_sweep_renders_alone_and_offline(sweep, opened):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    described = "all => all.map(f => [f.id, f.querySelector('img').alt.length > 20])"
    for scheme, options in SCHEMES.items():
        page = opened(sweep / "report.html", **options)
        assert page.noise == []
        names = page.eval_on_selector_all("figure", described)
        assert names == [["lines_baseline", True], ["heatmap_distilled", True], ["lines_distilled", True]]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.screenshot(path=SCREENSHOTS / f"sweep_{scheme}.png", full_page=True)


def test_the_page_of_a_sweep_over_seeds_renders_alone_and_offline(seeds_swept, opened):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for scheme, options in SCHEMES.items():
        page = opened(seeds_swept / "report.html", **options)
        assert page.noise == []
        pictures = page.eval_on_selector_all("img", "all => all.map(i => [i.complete && i.naturalWidth > 0, i.alt])")
        assert len(pictures) > 10
        assert all(decoded and len(alternative) > 20 for decoded, alternative in pictures)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.screenshot(path=SCREENSHOTS / f"seeds_{scheme}.png", full_page=True)
    page.click("text=Its own page")
    assert page.url == (seeds_swept / "0" / "report.html").as_uri()


def test_the_table_of_classes_over_seeds_holds_means_and_intervals(seeds_swept, opened):
    header, *lines = table(opened(seeds_swept / "report.html"), "per_class")
    found = [run.results for run in collect([seeds_swept]).runs]
    assert header == ["class", "teacher", "baseline", "distilled"]
    for name, *cells in lines:
        for arm, cell in zip(header[1:], cells, strict=True):
            values = [100 * results.find(arm, name, "accuracy").value for results in found]
            mean, half = statistics.fmean(values), 12.7062 * statistics.stdev(values) / 2**0.5
            assert cell.strip("[]").removesuffix(" %").split(" ± ") == [f"{mean:.2f}", f"{half:.2f}"]
            assert cell.startswith("[") == (name == "3" and arm != "teacher")


def test_the_pages_break_no_rule_of_accessibility_that_can_be_checked(run, sweep, seeds_swept, opened):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install -e '.[dev]'")
    for options in SCHEMES.values():
        for folder in (run, sweep, seeds_swept):
            page = opened(folder / "report.html", **options)
            page.eval_on_selector_all("details", "all => all.forEach(d => d.open = true)")
            found = axe.Axe().run(page)
            assert found.violations_count == 0, found.generate_report()
    page.evaluate("document.querySelector('img').removeAttribute('alt')")
    assert "image-alt" in axe.Axe().run(page).generate_report()


def test_dark_pages_are_dark_and_their_figures_follow(run, opened):
    colours = {}
    for scheme in ("light", "dark"):
        page = opened(run / "report.html", color_scheme=scheme)
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        colours[scheme] = sum(map(int, re.findall(r"\d+", paper)))
        box = page.locator("#loss_curves img")
        colours[f"{scheme} figure"] = sum(_mean_colour(box.screenshot()))
    assert colours["dark"] < 150 < 600 < colours["light"]
    assert colours["dark figure"] < 250 < 500 < colours["light figure"]


def _mean_colour(png: bytes) -> tuple[float, ...]:
    import io

    import numpy as np
    from PIL import Image

    return tuple(np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).reshape(-1, 3).mean(axis=0))


def test_the_tables_hold_the_numbers_of_results_json(run, opened):
    page, results = opened(run / "report.html"), read(run / "results.json")
    header, *lines = table(page, "outcome")
    assert header == ["arm", "correction", "unseen 46", "errors", "all 450", "errors", "seen 404", "errors"]
    assert len(lines) == 7
    for arm, correction, *cells in lines:
        for group, accuracy, errors in zip(("unseen", "all", "seen"), cells[::2], cells[1::2], strict=True):
            shown = float(accuracy.removesuffix(" %")) / 100
            assert shown == pytest.approx(results.find(arm, group, "accuracy", correction).value, abs=6e-5)
            assert int(errors) == results.find(arm, group, "errors", correction).value
    compared = {line[0]: line[1:] for line in table(page, "comparison")[1:]}
    assert compared["distilled errors, oracle"][0] == ""  # the source's is of other data
    assert int(compared["distilled errors"][1]) == results.find("distilled", "all", "errors").value
    for name, *cells in table(page, "per_class")[1:]:
        for arm, cell in zip(("teacher", "baseline", "distilled"), cells, strict=True):
            assert cell.startswith("[") == (name == "3" and arm != "teacher")
            value = results.find(arm, name, "accuracy").value
            assert float(cell.strip("[] %").removesuffix(" %")) == pytest.approx(100 * value, abs=6e-3)
    fits = table(page, "fits")[1:]
    assert [(line[0], line[1], int(line[2].replace(",", "")), int(line[3]), line[5]) for line in fits] == [
        (fit.arm, "trained", fit.parameters, fit.epochs, fit.key) for fit in results.fits
    ]
    assert [float(line[4]) for line in fits] == [pytest.approx(fit.seconds, abs=0.06) for fit in results.fits]


def test_the_page_has_the_question_the_loss_and_all_that_it_takes_to_repeat_the_run(run, opened):
    page, results = opened(run / "report.html"), read(run / "results.json")
    text = page.locator("main").inner_text()
    assert "How much of a digit that a student never saw do the soft targets carry over?" in text
    equations = dict(table(page, "equations")[1:])
    assert equations["distilled"] == "L = 0.9 · 20² · KL(softmax(z_t/20) ‖ softmax(z_s/20)) + 0.1 · CE(z_s, y)"
    assert equations["baseline"] == "L = CE(z_s, y)"
    share = results.find("distilled", "unseen", "accuracy").value
    assert f"distilled: {100 * share:.1f} % of the 46 test samples of class 3 that it never saw" in text
    assert f"python -m kdlab.train {' '.join(ILLUSTRATED)}" in text
    environment = dict(table(page, "environment")[1:])
    assert environment["torch"] == results.environment["torch"]
    assert environment["code"] == results.environment["code"]
    config = page.locator("details pre").last.text_content()
    assert "temperature: 20" in config
    assert "seed: 0" in config


def test_galleries_show_both_networks_probabilities_of_what_is_right_though_unseen_and_of_what_is_wrong(run, opened):
    page, results = opened(run / "report.html"), read(run / "results.json")
    titles = page.locator("h3").all_inner_texts()
    wrong = int(results.find("distilled", "all", "errors").value)
    right = 46 - int(results.find("distilled", "unseen", "errors").value)
    assert any(f"never saw the class ({right} of 46" in title for title in titles)
    assert any(f"wrong ({wrong} of 450" in title for title in titles)
    cards = page.eval_on_selector_all(
        "main > .cards .card", "all => all.map(c => [c.innerText, c.querySelectorAll('.bar').length])"
    )
    assert len(cards) == min(24, right) + min(24, wrong)
    assert all(bars == 6 for _, bars in cards)
    assert all("→" in text for text, _ in cards[min(24, right) :])
    for alternative in page.eval_on_selector_all("main > .cards .card img", "all => all.map(i => i.alt)"):
        assert re.search(r"class \d.*: teacher \d+%, student \d+%", alternative)


def test_a_page_has_one_small_script_asks_nothing_of_others_and_is_small(run, sweep):
    script = (Path(kdlab.report.__file__).parent / "templates" / "page.js").read_text()
    assert len(script.encode()) <= 6 * 1024
    for path, data in ((run / "report.html", 1), (sweep / "report.html", 0)):
        text = path.read_text()
        assert text.count(f"<script>{script.rstrip()}</script>") == 1
        assert text.count('<script type="application/json"') == data
        assert text.count("<script") == 1 + data
        assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:|#)""", text)
        assert "@import" not in text
        assert "url(" not in text
        assert path.stat().st_size < 3e6


def test_the_sweeps_tables_hold_means_and_the_best_point_by_validation(sweep, opened):
    page = opened(sweep / "report.html")
    runs = collect([sweep]).runs
    header, *lines = table(page, "settings")
    assert header[:5] == ["arm", "loss.temperature", "loss.alpha", "optimizer.lr", "correction"]
    for arm, temperature, alpha, lr, correction, accuracy, *_ in lines:
        if arm == "distilled":
            at = {"temperature": float(temperature), "alpha": float(alpha)}
            found = [run.results for run in runs if at.items() <= run.results.config["loss"].items()]
            found = [results for results in found if results.config["optimizer"]["lr"] == float(lr)]
            values = [100 * results.find(arm, "all", "accuracy", correction).value for results in found]
            assert accuracy == f"{statistics.fmean(values):.2f} ± {12.7062 * statistics.stdev(values) / 2**0.5:.2f}"
    assert len(lines) == 1 + 2 * 3 + 12 * 3
    best = page.locator(".finding").last.inner_text()
    assert "loss.temperature=4, loss.alpha=0.9, optimizer.lr=0.1 is the best of 12 points by validation" in best
    assert table(page, "fits")[1:][0] == ["teacher", "24", "2", "2", "1.0 ± 0.0", "2"]


def test_a_sweep_with_points_missing_says_which(grid, opened):
    (grid / "3" / "results.json").unlink()
    write_report(collect([grid]), grid)
    text = opened(grid / "report.html").locator("main").inner_text()
    assert "23 finished, 0 failed, 1 unfinished" in text
    assert f"{grid / '3'} [loss.temperature=1 seed=1]: unfinished" in text


def test_names_of_the_users_own_are_text_not_markup(opened, tmp_path):
    names = ["<b>bold</b>", "a & b"]
    example = Example(torch.zeros(3, 4, 4, dtype=torch.uint8), 0, torch.tensor([0.9, 0.1]), torch.tensor([0.2, 0.8]))
    rows = [Row("teacher", "test", c, "none", m, 1, 2) for c in ("all", "0", "1") for m in ("accuracy", "errors")]
    results = Results(
        "<i>x</i>", "mine", 0, [], {"question": "1 < 2?"}, {}, [Fit("teacher", "k", True, 1, 1.0, 1)], rows
    )  # fmt: skip
    path = tmp_path / "report.html"
    path.write_text(
        run_page(
            results,
            class_names=names,
            held_out={},
            softness="",
            pictures=[],
            galleries=[Gallery("all", [example], True)],
        )
    )
    page = opened(path)
    assert page.locator("h1").inner_text() == "<i>x</i>"
    assert "1 < 2?" in page.locator("main").inner_text()
    assert page.locator(".card strong").inner_text() == "<b>bold</b> → a & b"
    assert page.locator(".card img").get_attribute("alt").startswith("class <b>bold</b> → a & b (")


# What the script adds.


def slide(page: Any, label: str, value: float) -> None:
    """Move the slider with this label to a value."""
    page.get_by_role("slider", name=label).evaluate("(it, value) => { it.value = value; it.oninput(); }", value)


@pytest.mark.parametrize("exponent", [-0.3, 0.0, 0.6, 1.3])
def test_the_bars_are_the_softmax_at_the_sliders_temperature(run, opened, exponent):
    page, (results, context, fits) = opened(run / "report.html"), reopen(run)
    logits = measure_again(results, context, fits).logits
    slide(page, "Temperature", exponent)
    bars = "all => all.map(b => [b.dataset.net, [...b.querySelectorAll('.bar')].map(it => +it.dataset.p)])"
    found = page.eval_on_selector_all("#play .bars", bars)
    assert len(found) == 2 * 6
    data = page.evaluate("JSON.parse(document.getElementById('play-data').textContent)")
    every = {name: (values.double() / 10**exponent).softmax(dim=1) for name, values in logits.items()}
    labels = context.data.test.labels
    for place, (net, shares) in enumerate(found):
        sample = data["samples"][place // 2]
        of_class = every[net][labels == sample["label"]]
        nearest = (of_class - torch.tensor(shares, dtype=torch.float64)).abs().amax(dim=1).min()
        assert float(nearest) < 1e-6
    assert page.get_by_role("slider", name="Temperature").get_attribute(
        "aria-valuetext"
    ) == f"T = {10**exponent:#.3g}".rstrip(".")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.locator("#play").screenshot(path=SCREENSHOTS / f"play_{exponent}.png")


def test_the_offset_slider_tells_the_errors_that_the_rows_have(run, opened):
    page, results = opened(run / "report.html"), read(run / "results.json")
    offset = results.find("distilled", "3", "offset", "oracle").value
    for value, correction in ((0.0, "none"), (offset, "oracle")):
        slide(page, "Offset of distilled's unseen logits", value)
        said = page.locator("[data-arm=distilled]").inner_text()
        told = [int(number) for number in re.findall(r"\d+(?= on | errors)", said)]
        expected = [results.find("distilled", of, "errors", correction).value for of in ("all", "seen", "unseen")]
        assert told == pytest.approx(expected, abs=2)  # the slider's step
    assert f"oracle: {offset:.2f}" in said


def test_a_table_sorts_by_the_column_that_is_clicked(run, opened):
    page = opened(run / "report.html")
    page.click("#per_class_accuracy ~ details summary")
    for direction in ("ascending", "descending"):
        page.click("#per_class thead th:nth-child(2) button")
        values = [float(line[1].strip("[]").removesuffix(" %")) for line in table(page, "per_class")[1:]]
        assert values == sorted(values, reverse=direction == "descending")
        assert page.get_attribute("#per_class thead th:nth-child(2)", "aria-sort") == direction


@pytest.mark.parametrize("how", ["without_scripts", "forbidden"])
def test_without_its_script_a_page_is_whole_and_shows_nothing_that_needs_it(run, opened, how, tmp_path):
    path = run / "report.html"
    if how == "forbidden":
        policy = '<meta http-equiv="Content-Security-Policy" content="script-src \'none\'">'
        (tmp_path / "page.html").write_text(path.read_text().replace("<head>", f"<head>{policy}", 1))
        page = opened(tmp_path / "page.html")
        assert all("Content Security Policy" in line for line in page.noise)  # the browser's own word
    else:
        page = opened(path, java_script_enabled=False)
        assert page.noise == []
    assert not page.locator("#play").is_visible()
    assert page.locator("th button").count() == 0
    assert page.locator("figure img").count() > 8
    assert "prior" in page.locator("#outcome").inner_text()
