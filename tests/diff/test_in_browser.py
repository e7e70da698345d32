"""The page of a comparison in a real browser, opened from disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.browser import CHROMIUM, FLAGS, playwright
from tests.support.runs import Run
from wsss.cli import main

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium is installed (apt-get install chromium)"
)


@pytest.fixture
def address(tmp_path: Path) -> str:
    a = Run(tmp_path / "a", miou={0: 0.5, 1: 0.52}).write()
    b = Run(tmp_path / "b", miou={0: 0.6, 1: 0.62}, steps=4, brighter=0.125, shift=1).write()
    main(["diff", str(a), str(b), "--html", str(tmp_path / "diff.html")])
    return (tmp_path / "diff.html").as_uri()


@pytest.fixture
def page() -> Iterator["playwright.Page"]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser.new_context(offline=True).new_page()
        browser.close()


def test_every_picture_is_shown_side_by_side_and_nothing_is_asked_for(
    page: "playwright.Page", address: str
) -> None:
    trouble: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: trouble.append(message.text))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    page.wait_for_function("[...document.images].every((image) => image.complete)")
    widths = page.evaluate("[...document.images].map((image) => image.naturalWidth)")
    # of each seed the one image whose maps differ and four label maps: a photograph and three pictures each
    assert len(widths) == 2 * (1 + 4) * 4
    assert min(widths) > 0
    for card in page.locator(".card").all():
        tops = card.locator("figure").evaluate_all("all => all.map((f) => f.getBoundingClientRect().top)")
        assert len(set(tops)) == 1
    assert [url for url in requests if not url.startswith("data:")] == [address]
    assert trouble == []
