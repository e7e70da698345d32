"""The comparison's page in a real browser, opened from disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.browser import CHROMIUM, FLAGS, playwright
from tests.support.compared import SYSTEMS, make_scene

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium is installed (apt-get install chromium)"
)


class Visit:
    """An open page, and all that it said and asked for."""

    def __init__(self, page: "playwright.Page", address: str) -> None:
        self.page = page
        self.trouble: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.trouble.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.trouble.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(address)
        page.locator("#cost .main-svg").first.wait_for()  # charts follow once their library is unpacked

    def systems(self) -> list[str]:
        """The table's systems from top to bottom."""
        return self.page.locator("#scores tbody th").all_inner_texts()

    def sort(self, title: str) -> list[str]:
        self.page.get_by_role("button", name=title, exact=True).click()
        return self.systems()

    def shown(self) -> list["playwright.Locator"]:
        return self.page.locator(".card:visible").all()

    def place(self) -> str:
        return str(self.page.locator(".place").first.inner_text())

    def shares(self) -> list[float]:
        return [float(card.get_attribute("data-disagreement")) for card in self.shown()]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    scene = make_scene(tmp_path_factory.mktemp("page"), runs=(0, 1))
    scene.compare()
    path: Path = scene.draw(kind="voc")
    return path.as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: "playwright.Browser", address: str) -> Iterator[Visit]:
    context = browser.new_context(offline=True)
    visit = Visit(context.new_page(), address)
    yield visit
    assert visit.trouble == []
    context.close()


def test_no_request_leaves_the_file(visit: Visit, address: str) -> None:
    visit.page.wait_for_timeout(500)
    assert [url for url in visit.requests if not url.startswith(("data:", "blob:"))] == [address]


def test_every_picture_is_there(visit: Visit) -> None:
    visit.page.evaluate("document.querySelectorAll('.card').forEach((card) => (card.hidden = false))")
    visit.page.evaluate("document.querySelectorAll('img').forEach((image) => (image.loading = 'eager'))")
    visit.page.wait_for_function("[...document.images].every((image) => image.complete)")
    widths = visit.page.evaluate("[...document.images].map((image) => image.naturalWidth)")
    # 6 training images: photograph, truth, map and labels of each system; 6 of val: two systems predict
    assert len(widths) == 6 * (2 + 2 * len(SYSTEMS)) + 6 * (2 + 2)
    assert min(widths) > 0


def test_every_chart_is_drawn_and_says_what_it_shows(visit: Visit) -> None:
    for name in ("cost", "classes", "curves", "sensitivity"):
        chart = visit.page.locator(f"#{name}")
        assert chart.locator(".main-svg").count() > 0
        assert "images" in chart.locator("figcaption").inner_text()


def test_a_choice_redraws_its_chart(visit: Visit) -> None:
    chart = visit.page.locator("#cost")
    assert chart.locator(".scatterlayer .trace").count() == 2
    chart.get_by_label("Score", exact=True).select_option("Seed")
    assert chart.locator(".scatterlayer .trace").count() == 4
    assert "split masked" in chart.locator("figcaption").inner_text()


def test_a_title_sorts_both_ways(visit: Visit) -> None:
    given = [system.name for system in SYSTEMS]
    assert visit.systems() == given
    best_first = ["APC", "AD-CAM + IRNet", "AD-CAM", "CAM"]
    assert visit.sort("Seed, %: mIoU") == best_first
    assert visit.sort("Seed, %: mIoU") == best_first[::-1]
    header = visit.page.locator("#scores th[aria-sort=ascending]")
    assert header.count() == 1
    assert visit.sort("System") == sorted(given)
    assert visit.sort("System") == sorted(given, reverse=True)


def test_what_was_not_measured_stays_last(visit: Visit) -> None:
    assert visit.sort("Segmentation, %: mIoU")[:2] == ["APC", "AD-CAM + IRNet"]
    assert visit.sort("Segmentation, %: mIoU")[:2] == ["AD-CAM + IRNet", "APC"]


def test_sorting_works_by_keyboard(visit: Visit) -> None:
    visit.page.get_by_role("button", name="Cost: training, min", exact=True).focus()
    visit.page.keyboard.press("Enter")
    assert visit.systems()[-1] == "AD-CAM + IRNet"


def test_pages_of_images(visit: Visit) -> None:
    first = [card.locator("h3").inner_text() for card in visit.shown()]
    assert (len(first), visit.place()) == (4, "1 to 4 of 12 images")
    previous, following = (visit.page.get_by_role("button", name=name).first for name in ("Previous", "Next"))
    assert previous.is_disabled()
    following.click()
    assert visit.place() == "5 to 8 of 12 images"
    assert not set(first) & {card.locator("h3").inner_text() for card in visit.shown()}
    following.click()
    assert following.is_disabled()
    previous.click()
    previous.click()
    assert [card.locator("h3").inner_text() for card in visit.shown()] == first


def test_images_of_one_class(visit: Visit) -> None:
    visit.page.get_by_label("Class", exact=True).select_option("owl")
    shown = visit.shown()
    assert shown
    assert all("2" in str(card.get_attribute("data-classes")).split() for card in shown)
    total = visit.page.locator(".card").evaluate_all(
        "cards => cards.filter((card) => card.dataset.classes.split(' ').includes('2')).length"
    )
    assert visit.place().endswith(f"of {total} images")
    assert total < 12


def test_images_of_one_split(visit: Visit) -> None:
    visit.page.get_by_label("Images of", exact=True).select_option("val")
    assert {card.get_attribute("data-split") for card in visit.shown()} == {"val"}
    assert visit.place() == "1 to 4 of 6 images"


def test_images_by_disagreement(visit: Visit) -> None:
    slider = visit.page.get_by_label("Disagreement at least")
    slider.fill("10")
    assert len(visit.shown()) > 0
    assert min(visit.shares()) >= 10
    assert not visit.place().endswith("of 12 images")
    slider.fill("100")
    assert (visit.shown(), visit.place()) == ([], "0 images")
    assert visit.page.get_by_text("No image fits these filters.").is_visible()
    slider.fill("0")
    visit.page.get_by_label("Order", exact=True).select_option("most")
    most = visit.shares()
    assert most == sorted(most, reverse=True)
    visit.page.get_by_label("Order", exact=True).select_option("least")
    assert visit.shares() == sorted(visit.shares())
    assert visit.shares()[0] < most[0]


def test_systems_can_be_hidden(visit: Visit) -> None:
    visit.page.get_by_text("Systems shown", exact=True).click()
    visit.page.get_by_role("checkbox", name="APC").uncheck()
    assert visit.page.locator('.tile[data-system="APC"]:visible').count() == 0
    assert visit.page.locator('.tile[data-system="CAM"]:visible').count() > 0
