"""The report page in a real browser: what a reader does with it, and that nothing leaves the file."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from made_runs import make_facts, make_items, make_training, write_run

from harness.report import report

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install .[dev])")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"><b>bold"


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("needs Chromium; .ci/browser installs it")
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def training_page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    return report(make_training(folder), folder / "out")


@pytest.fixture(name="visit")
def _visit(browser):
    """Open a page at a fragment; at the end no error, no console message and no request has been seen."""
    seen, contexts = [], []

    def visit(path, fragment="", **settings):
        context = browser.new_context(**settings)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: seen.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: seen.append(f"error: {error}"))
        page.on("request", lambda request: request.url.startswith(("file:", "data:")) or seen.append(request.url))
        page.goto(f"{path.as_uri()}{fragment}")
        _shows(page, "#count", re.compile(r" of |no item"))
        return page

    yield visit
    for context in contexts:
        context.close()
    assert seen == []


def _count(page):
    return int(page.text_content("#count").split(" of ")[0].replace(" ", ""))


def _shows(page, selector, text, seconds=10):
    """Wait until an element's text is, or matches, `text`; without eval, which the page's own policy forbids."""
    playwright.expect(page.locator(selector)).to_have_text(text, timeout=1000 * seconds)


def _wait_for_count(page, number):
    _shows(page, "#count", re.compile(rf"^{number} of "))


def _wait_for_address(page, part):
    playwright.expect(page).to_have_url(re.compile(re.escape(part)))


def test_every_item_of_the_best_run_is_listed_in_pages(visit, training_page):
    page = visit(training_page)

    assert page.text_content("#count") == "300 of 300 items, checkpoint-180"
    assert page.locator("#list li").count() == 50
    page.click("#next")
    _shows(page, "#where", "page 2 of 6")
    assert page.locator("#list .id").first.text_content() == "q00050"


def test_a_count_in_the_outcome_table_opens_just_those_items(visit, training_page):
    page = visit(training_page)
    cell = page.locator("#outcomes tbody tr", has_text="unknown column").locator("a").nth(1)
    expected = int(cell.text_content())
    cell.click()
    _wait_for_count(page, expected)

    assert page.input_value("#f-run") == "1"
    assert page.input_value("#f-outcome") == "unknown_column"
    assert set(page.locator("#list .tag").all_text_contents()) == {"unknown column"}


def test_flips_between_two_runs_add_up(visit, training_page):
    counts = {}
    for flip in ("any", "gain", "loss"):
        page = visit(training_page, f"#run=2&versus=1&flip={flip}")
        counts[flip] = _count(page)

    assert counts["any"] == counts["gain"] + counts["loss"] > counts["loss"] > 0


def test_lucky_and_rule_and_slice_filters_narrow(visit, training_page):
    page = visit(training_page, "#run=3&lucky=1")
    assert page.locator("#list .tag", has_text="lucky").count() == min(50, _count(page)) > 0
    page.click("#f-reset")
    _wait_for_count(page, 300)
    page.select_option("#f-run", "0")
    page.select_option("#f-rule", "bird")
    _wait_for_address(page, "rule=bird")
    playwright.expect(page.locator("#count")).not_to_have_text(re.compile("^300 of"))
    differing = _count(page)
    page.select_option("#f-slice", "joins:1")
    playwright.expect(page.locator("#count")).not_to_have_text(re.compile(f"^{differing} of"))

    assert 0 < _count(page) < differing < 300


def test_search_looks_into_question_sql_and_reason(visit, training_page):
    page = visit(training_page)
    page.fill("#f-q", "GROSS_tonnage")
    _wait_for_count(page, 50)
    page.fill("#f-q", "no such words anywhere")
    _wait_for_count(page, 0)

    assert page.locator("#list li").count() == 0


def test_a_filtered_view_is_a_link_to_the_same_view(visit, training_page):
    first = visit(training_page)
    first.select_option("#f-run", "2")
    first.select_option("#f-outcome", "timeout")
    first.fill("#f-q", "harvests")
    _wait_for_address(first, "q=harvests")
    playwright.expect(first.locator("#count")).not_to_have_text(re.compile("^(300|41) of"))
    second = visit(training_page, first.evaluate("location.hash"))

    assert second.text_content("#count") == first.text_content("#count")
    assert second.locator("#list li").all_text_contents() == first.locator("#list li").all_text_contents()


def test_nonsense_in_the_fragment_is_ignored(visit, training_page):
    page = visit(training_page, "#run=length&versus=99&slice=no:such&outcome=&page=-7&item=missing")

    _shows(page, "#count", "There is no item missing in this report.")
    assert page.locator("#list li").count() == 50


def test_an_item_shows_question_sql_differences_reason_and_rows(visit, training_page):
    page = visit(training_page, "#run=2&outcome=wrong_values")
    page.locator("#list a").first.click()
    page.wait_for_selector("dialog[open] mark")

    body = page.locator("#item-body")
    assert body.locator("mark.gone").count() > 0
    assert body.locator("mark.new").count() > 0
    assert "differ in the second column" in body.text_content()
    assert body.locator("tr.off td").all_text_contents() == ["≠", "b", "2", "≠", "b", "3"]
    assert body.locator("tr:not(.off) td").all_text_contents() == ["", "", "a", "1", "", "", "a", "1"]
    assert "2 rows, 1 without a partner" in body.text_content()
    assert "CREATE TABLE" in body.text_content()


def _visit_one(visit, folder, **changes):
    """The page of one wrong item with these columns, opened at it."""
    item = make_items(1, 0.0, 1)[0] | changes
    path = report([write_run(folder, make_facts("one", "one"), [item])], folder / "out")
    page = visit(path, f"#item={item['id']}")
    page.wait_for_selector("dialog[open] pre")
    return page.locator("#item-body")


def test_rows_are_marked_as_the_judge_paired_them_not_by_their_text(visit, tmp_path):
    gold = {"columns": ["n", "x"], "rows": [["9", "z"], ["1", "a"]], "total": 40, "only": 1}
    found = {"columns": ["x", "n"], "rows": [["a", "1.0"]], "total": 39, "only": 0}
    body = _visit_one(visit, tmp_path, gold_table=json.dumps(gold), table=json.dumps(found))

    assert body.locator("tr.off td").all_text_contents() == ["≠", "9", "z"]
    assert "40 rows, 1 shown without a partner" in body.text_content()
    assert "38 more rows not shown" in body.text_content()


def test_rows_of_runs_that_do_not_say_what_has_a_partner_are_marked_by_their_text(visit, tmp_path):
    gold, found = ({"columns": ["n"], "rows": [["1"], [last]]} for last in (None, "3"))
    body = _visit_one(visit, tmp_path, gold_table=json.dumps(gold), table=json.dumps(found))

    assert body.locator("tr.off td").all_text_contents() == ["≠", "NULL", "≠", "3"]


def test_a_lucky_match_shows_its_witness_with_its_rows_and_both_answers(visit, training_page):
    page = visit(training_page, "#run=3&lucky=1")
    page.locator("#list a").first.click()
    page.wait_for_selector("dialog[open] .witness")
    witness = page.locator(".witness")

    assert "Witness 2" in witness.locator("h4").first.text_content()
    assert re.fullmatch(r"\w+ NULL", " ".join(witness.locator("details tbody td").all_text_contents()))
    assert witness.locator("tr.off td").all_text_contents() == ["≠", "b", "2", "≠", "b", "3"]
    assert "correct, but lucky" in page.locator("#item-body").text_content()


def test_a_witness_shows_the_rows_of_the_tables_that_the_statements_read_first(visit, tmp_path):
    inserts = """INSERT INTO "side" ("a") VALUES (1);
INSERT INTO "Fli""ghts" ("id", "it's, (odd)") VALUES (1, 'x, y)'), (-2.5, 'O''Neil'), (NULL, '');
INSERT INTO "flights" (id) VALUES (3), (4, now(1, 2)), ('cut he
-- cut: 9,999 characters in all"""
    body = _visit_one(visit, tmp_path, witness_case=json.dumps({"witness": 1, "inserts": inserts}))
    shown = body.locator(".witness > .inserted")

    assert shown.locator("h4").all_text_contents() == ["flights"]
    assert shown.locator("td").all_text_contents() == ["3", "4", "now(1, 2)"]
    assert body.locator(".witness > pre").text_content() == "('cut he\n-- cut: 9,999 characters in all"
    other = body.locator(".witness details")
    assert other.locator("h4").all_text_contents() == ["side", 'Fli"ghts']
    assert other.locator("th").all_text_contents() == ["a", "id", "it's, (odd)"]
    assert other.locator("td").all_text_contents() == ["1", "1", "x, y)", "-2.5", "O'Neil", "NULL", ""]


def test_a_witness_on_which_the_answer_fails_shows_its_error(visit, tmp_path):
    gold = {"columns": ["n"], "rows": [["1"]], "total": 1, "only": 1}
    case = {"witness": 0, "inserts": "INSERT INTO t VALUES (1)", "gold": gold, "answer": {"error": "It divides by 0."}}
    body = _visit_one(visit, tmp_path, witness_case=json.dumps(case))

    assert body.locator(".witness .reason").text_content() == "It divides by 0."
    assert body.locator(".witness tr.off td").all_text_contents() == ["≠", "1"]


def test_the_keyboard_walks_items_closes_and_reaches_the_search(visit, training_page):
    page = visit(training_page)
    page.locator("#list a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open] pre")
    assert page.text_content("#item-title") == "q00000"
    page.keyboard.press("ArrowRight")
    _shows(page, "#item-title", "q00001")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog:not([open])", state="attached")
    assert "item=" not in page.evaluate("location.hash")
    playwright.expect(page.locator("#list a").nth(1)).to_be_focused()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "f-q"


def test_a_run_is_switched_inside_an_item(visit, training_page):
    page = visit(training_page, "#item=q00001")
    page.wait_for_selector("dialog[open] .runs button")
    page.locator(".runs button", has_text="base").click()
    _wait_for_address(page, "run=0")

    pressed = page.locator('.runs button[aria-pressed="true"]')
    assert "base" in pressed.text_content()


def test_a_models_markup_is_shown_as_text(visit, tmp_path):
    items = make_items(5, 0.5, 1)
    for item in items:
        item["completion"] = item["question"] = item["sql"] = item["reason"] = HOSTILE
        item["tags"] = [("complexity", HOSTILE + item["id"])]
        table = {"columns": [f"<i>{HOSTILE}"], "rows": [[HOSTILE]], "total": 1}
        item["gold_table"] = item["table"] = json.dumps(table)
        item["witness_case"] = json.dumps({"witness": HOSTILE, "inserts": HOSTILE, "gold": table, "answer": table})
    facts = make_facts("hostile", HOSTILE)
    path = report([write_run(tmp_path, facts, items)], tmp_path / "out", title=f"Report {HOSTILE}")
    page = visit(path, "#item=q00001")
    page.wait_for_selector("dialog[open] pre")

    assert page.title() == f"Report {HOSTILE}"
    assert page.locator(".ask").text_content() == HOSTILE
    assert HOSTILE in page.locator("#item-body pre").nth(1).text_content()
    assert page.locator(".witness pre").text_content() == HOSTILE
    assert page.locator("#item-body tbody td").all_text_contents() == [HOSTILE] * 4
    assert page.locator("img, b, i").count() == 0


@pytest.mark.parametrize(("scheme", "light"), [("light", True), ("dark", False)])
def test_the_page_follows_light_and_dark_and_the_button_turns_it(visit, training_page, scheme, light):
    page = visit(training_page, color_scheme=scheme)

    def is_light():
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return int(re.findall(r"\d+", colour)[0]) > 128

    assert is_light() is light
    page.click("#theme")
    assert is_light() is not light


def test_a_phone_scrolls_tables_but_never_the_page(visit, training_page):
    page = visit(training_page, viewport={"width": 375, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.locator("#list a").first.click()
    page.wait_for_selector("dialog[open] pre")

    assert page.evaluate("document.getElementById('item').scrollWidth") <= 375
    # the runs are one row, and the one that is shown is in sight
    assert page.locator(".runs").bounding_box()["height"] < 60
    playwright.expect(page.locator('.runs [aria-pressed="true"]')).to_be_in_viewport(ratio=1)
    page.keyboard.press("Escape")
    captions = page.evaluate("[...document.querySelectorAll('caption')].filter(c => c.offsetWidth > 375).length")
    assert captions == 0, "a caption is read without scrolling its table"


def test_labels_headings_and_captions_name_everything(visit, training_page):
    page = visit(training_page)
    unnamed = page.evaluate(
        "[...document.querySelectorAll('input, select, button')].filter(e => !(e.labels?.length || e.textContent.trim()"
        " || e.ariaLabel)).map(e => e.id)"
    )

    assert unnamed == []
    assert page.locator("main table").count() == page.locator("main table caption").count()
    assert page.locator("svg.chart").count() == page.locator('svg.chart[role="img"][aria-label]').count()


def test_many_blocks_of_items_stay_usable(visit, tmp_path):
    path = report([write_run(tmp_path, make_facts("large", "large"), make_items(6_000, 0.5, 1))], tmp_path / "out")
    page = visit(path)
    _shows(page, "#count", "6 000 of 6 000 items, large")
    page.locator("#list a").last.click()
    page.wait_for_selector("dialog[open] pre", timeout=3_000)
    page.keyboard.press("Escape")
    page.fill("#f-q", "q05998")
    _shows(page, "#count", "1 of 6 000 items, large")
