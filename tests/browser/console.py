#!/usr/bin/env python3
"""Drives the console in a real Chromium: every page, login, roles, the replay flow, live updates, axe.

    console.py BASE_URL SCREENSHOTS      tokens in FLOTILLA_TEST_VIEWER and FLOTILLA_TEST_OPERATOR

Prints one line for each thing it has seen; ends with 1 at the first that is not so. Screenshots of every
page in two widths and both themes are kept in the folder.
"""

import os
import sys
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

BASE, SHOTS = sys.argv[1].rstrip("/"), Path(sys.argv[2])
PAGES = ["/", "/jobs", "/lanes", "/workers", "/dead", "/replays", "/platforms", "/accounts", "/schedules", "/flows", "/audit"]
SIZES = {"wide": (1440, 900), "phone": (390, 844)}
AXED = {("wide", "light"), ("phone", "dark")}
PATIENCE = 120_000  # ms: a bound for a slow machine; nothing waits for it to pass
PARTS = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], "resultTypes": ["violations"]}


def said(what):
    print(f"seen: {what}", flush=True)


def login(page, token, to="/"):
    page.goto(f"{BASE}/login?to={to}")
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("navigation")).to_be_visible(timeout=PATIENCE)


def context(browser, size="wide", theme="light", **more):
    width, height = SIZES[size]
    made = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme, **more)
    made.set_default_timeout(PATIENCE)
    return made


def watched(page, trouble):
    page.on("console", lambda it: it.type == "error" and trouble.append(f"{page.url}: {it.text}"))
    page.on("pageerror", lambda it: trouble.append(f"{page.url}: {it}"))
    return page


def accessible(page, what):
    found = Axe().run(page, options=PARTS).response["violations"]
    lines = [f"{it['id']}: {it['help']}: {[node['html'][:160] for node in it['nodes'][:3]]}" for it in found]
    assert not lines, f"axe on {what}: " + "\n".join(lines)


def every_page(browser, token, paths):
    trouble = []
    for size in SIZES:
        for theme in ("light", "dark"):
            with_size = context(browser, size, theme)
            page = watched(with_size.new_page(), trouble)
            login(page, token)
            for path in paths:
                answer = page.goto(f"{BASE}{path}")
                assert answer.status == 200, f"{path}: {answer.status}"
                expect(page.locator("h1")).to_be_visible()
                wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
                assert wider <= 0, f"{path} is {wider} px wider than the {size} screen"
                name = "".join(c if c.isalnum() else "-" for c in path.strip("/")) or "overview"
                page.screenshot(path=SHOTS / f"{name[:24]}-{size}-{theme}.png", full_page=True)
                if (size, theme) in AXED:
                    accessible(page, f"{path} {size} {theme}")
            with_size.close()
    assert not trouble, "\n".join(trouble)
    said(f"{len(paths)} pages in {len(SIZES)} widths and two themes, without a violation")


def a_login(browser, token):
    alone = context(browser)
    page = alone.new_page()
    page.goto(f"{BASE}/jobs?state=dead")
    assert "/login?to=" in page.url, page.url
    page.get_by_label("Token").fill("flt_wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("No such token")
    accessible(page, "login")
    page.screenshot(path=SHOTS / "login-wide-light.png")
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Jobs")
    assert page.url.endswith("/jobs?state=dead"), page.url
    page.goto(f"{BASE}/")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to content")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    page.goto(f"{BASE}/jobs")
    assert "/login" in page.url, page.url
    alone.close()
    said("login, a wrong token, keyboard, theme, logout")


def a_viewer_cannot(browser, token):
    alone = context(browser)
    page = alone.new_page()
    login(page, token, "/dead")
    for path in ["/dead", "/lanes", "/workers", "/platforms"]:
        page.goto(f"{BASE}{path}")
        forms = page.locator("form[method=post]")
        assert forms.count() == 2, f"a viewer is offered writes on {path}"
    csrf = page.locator("input[name=csrf]").first.input_value()
    send = "([path, csrf]) => fetch(path, {method: 'POST', body: new URLSearchParams({csrf, reason: 'x'})}).then(it => it.status)"
    for path in ["/lanes/language/pause", "/replays", "/workers/drain"]:
        assert page.evaluate(send, [path, csrf]) == 403, path
    alone.close()
    said("a viewer is offered no write and refused three")


def without_a_script(browser, token):
    alone = context(browser, java_script_enabled=False)
    page = alone.new_page()
    login(page, token, "/dead")
    expect(page.get_by_role("heading", name="By what went wrong")).to_be_visible()
    page.get_by_role("link", name="List").first.click()
    expect(page.locator("h1")).to_have_text("Dead letters")
    alone.close()
    said("pages and login without a script")


def live(browser, token):
    alone = context(browser)
    page = alone.new_page()
    login(page, token)
    clock = page.locator("#part-clock")
    first = clock.inner_text()
    expect(clock).not_to_have_text(first)
    page.goto(f"{BASE}/lanes")
    page.locator("#language .pop summary").click()
    page.locator("#language").get_by_label("Why").fill("the browser test <b>pauses</b>")
    other = alone.new_page()
    other.goto(f"{BASE}/lanes")
    page.locator("#language form button").click()
    expect(page.get_by_role("status")).to_contain_text("Lane language is paused")
    expect(other.locator("#language")).to_contain_text("the browser test <b>pauses</b>")
    page.locator("#language form button").click()
    expect(page.get_by_role("status")).to_contain_text("goes on")
    page.goto(f"{BASE}/audit")
    expect(page.locator("tbody")).to_contain_text("the browser test <b>pauses</b>")
    alone.close()
    said("the overview moves by itself, another page follows a pause, the audit log tells it")


def a_replay(browser, token):
    alone = context(browser)
    page = alone.new_page()
    login(page, token, "/dead")
    page.locator("table.groups").get_by_role("link", name="Replay…").first.click()
    expect(page.locator("h1")).to_have_text("Replay dead letters")
    expect(page.get_by_text("would go back")).to_be_visible()
    accessible(page, "a dry run")
    page.screenshot(path=SHOTS / "replay-new-wide-light.png", full_page=True)
    page.get_by_label("First so many, and wait").fill("0")
    page.get_by_label("Then per second").fill("0.01")
    page.get_by_label("Reached after (seconds)").fill("0")
    page.get_by_label("Why").fill("mended at the browser test")
    page.locator("form[action='/replays'] button.primary").click()
    expect(page.locator("h1")).to_have_text("Replay")
    for act, word in [("Pause", "paused"), ("Resume", "running"), ("Cancel", "cancelled")]:
        page.locator(".head summary", has_text=act).click()
        page.locator(".pop[open]").get_by_label("Why").fill(f"to see {word}")
        page.locator(".pop[open]").get_by_role("button").click()
        expect(page.locator("ol.timeline")).to_contain_text(f"to see {word}")
    accessible(page, "a replay")
    page.screenshot(path=SHOTS / "replay-wide-light.png", full_page=True)
    page.goto(f"{BASE}/replays")
    expect(page.locator("tbody")).to_contain_text("cancelled")

    page.goto(f"{BASE}/dead")
    page.locator(".head").get_by_role("link", name="Replay…").click()
    page.get_by_label("First so many, and wait").fill("1")
    page.get_by_label("Then per second").fill("100")
    page.get_by_label("Reached after (seconds)").fill("0")
    page.get_by_label("Stop when this share fails").fill("1")
    page.get_by_label("Why").fill("all of them")
    page.locator("form[action='/replays'] button.primary").click()
    badge = page.locator("#part-replay .badge").first
    expect(badge).to_have_text("done")
    alone.close()
    said("a replay: dry run, made, paused, resumed, cancelled; another one led to its end by a worker")


def a_discard(browser, token):
    alone = context(browser)
    page = alone.new_page()
    login(page, token, "/dead")
    page.locator(".head").get_by_role("link", name="Discard…").click()
    page.get_by_label("Why").fill("not wanted")
    count = page.locator("label strong").inner_text()
    page.get_by_label("to confirm").fill(str(int(count) + 1))
    page.get_by_role("button", name="Discard").click()
    expect(page.locator("main")).to_contain_text("you typed")
    page.go_back()
    page.get_by_label("Why").fill("not wanted")
    page.get_by_label("to confirm").fill(count)
    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_role("status")).to_contain_text("Put aside")
    alone.close()
    said("a discard wants the count that is there")


def main():
    viewer, operator = os.environ["FLOTILLA_TEST_VIEWER"], os.environ["FLOTILLA_TEST_OPERATOR"]
    SHOTS.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        given = os.environ.get("FLOTILLA_TEST_CHROMIUM")
        browser = playwright.chromium.launch(executable_path=given, args=["--no-sandbox"])
        a_login(browser, viewer)
        probe = context(browser)
        page = probe.new_page()
        login(page, viewer, "/jobs")
        jobs = page.locator("a.id").evaluate_all("all => all.map(it => it.getAttribute('href'))")
        probe.close()
        every_page(browser, operator, PAGES + jobs[:1] + jobs[-1:])
        a_viewer_cannot(browser, viewer)
        without_a_script(browser, viewer)
        live(browser, operator)
        a_replay(browser, operator)
        a_discard(browser, operator)
        browser.close()


main()
