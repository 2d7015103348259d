"""The pages at every width, in a real Chromium: nothing overlaps, nothing is cut off.

One browser, one page for each scene, which is resized: a window that is dragged narrower.
"""

import pytest
from playwright.async_api import Browser

from exporter.store import Target, TargetState
from exporter.web.listening.addresses import Address
from exporter.web.listening.listener import listen
from exporter.web.probe import Note
from tests.support.example_application import example_application
from tests.support.page_scenes import SCENES
from tests.support.status_targets import NOW

pytestmark = pytest.mark.anyio

WIDTHS = (320, 480, 767, 768, 1024, 1184, 1279, 1280, 1920)
# ten thousand targets are a page like the others, and take seconds to make
NAMES = [name for name in SCENES if name != "10000-targets"]

TROUBLE = """() => {
    const found = [];
    const page = document.documentElement;
    if (page.scrollWidth > page.clientWidth) found.push(`scrolls to ${page.scrollWidth}`);
    const hidden = (each) => each.closest(".skip, script, style, noscript, option")
        || each.closest("thead") && getComputedStyle(each.closest("thead")).clipPath !== "none";
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const boxes = [];
    while (texts.nextNode()) {
        const node = texts.currentNode;
        if (!node.data.trim() || hidden(node.parentElement)) continue;
        const range = document.createRange();
        range.selectNodeContents(node);
        for (const rect of range.getClientRects()) {
            const box = { node, top: rect.top, bottom: rect.bottom };
            Object.assign(box, { left: rect.left, right: rect.right });
            if (rect.width > 1) boxes.push(box);
            // inside of its card: the bar at its edge is 4 pixels wide
            const frame = node.parentElement.closest("tr, li, .target, #trouble section, figure");
            const edge = frame?.getBoundingClientRect();
            const head = node.parentElement.closest("th");
            if (head && getComputedStyle(head).boxShadow !== "none"
                && rect.left < head.getBoundingClientRect().left + 5)
                found.push(`a bar runs through ${node.data.trim()}`);
            if (edge && (rect.left < edge.left + 5 || rect.right > edge.right + 1)
                && !frame.closest("#failures, #trouble ol, #trouble ul"))
                found.push(`outside: ${node.data.trim()}`);
        }
    }
    for (const each of document.querySelectorAll(".spark, select, input[type=search], button")) {
        if (hidden(each) || !each.getClientRects().length) continue;
        const rect = each.getBoundingClientRect();
        boxes.push({ node: each, top: rect.top, bottom: rect.bottom, left: rect.left,
            right: rect.right });
    }
    boxes.sort((one, other) => one.top - other.top);
    const name = (each) => (each.data || each.className || each.nodeName).toString().trim();
    boxes.forEach((one, index) => {
        for (const other of boxes.slice(index + 1)) {
            if (other.top > one.bottom - 3) break;
            const across = Math.min(one.right, other.right) - Math.max(one.left, other.left);
            const within = one.node.contains(other.node) || other.node.contains(one.node);
            if (across > 1 && one.node !== other.node && !within)
                found.push(`${name(one.node)} overlaps ${name(other.node)}`);
        }
    });
    for (const each of document.querySelectorAll("th, td, p, li, dd, h1, h2, label, button")) {
        if (!hidden(each) && each.scrollWidth > each.clientWidth + 1 && each.clientWidth)
            found.push(`cut off: ${each.textContent.trim().slice(0, 60)}`);
    }
    return found;
}"""


async def _never(_target: Target, _within: float | None, _note: Note | None) -> TargetState:
    raise NotImplementedError


@pytest.mark.parametrize("name", NAMES)
async def test_nothing_overlaps_at_any_width(browser: Browser, name: str) -> None:
    """Texts, pictures and controls keep apart, and texts stay inside of their cards."""
    scene = SCENES[name]()
    app = example_application(
        store=scene.store,
        moment=lambda: NOW,
        next_polls=lambda: lambda key: NOW.monotonic + 5.0 + key.vdn % 30,
        reload_status=lambda: scene.reload,
    )
    listener = await listen(app, [Address("127.0.0.1", 0)])
    try:
        page = await browser.new_page()
        await page.goto(f"http://{listener.addresses[0]}{scene.path}")
        found: dict[int, list[str]] = {}
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 800})
            if trouble := await page.evaluate(TROUBLE):
                found[width] = trouble
        await page.close()
    finally:
        await listener.close()
    assert found == {}


async def test_the_check_sees_what_was_wrong_once(browser: Browser) -> None:
    """A bar that runs through a name, columns that collide, a text that is cut off."""
    page = await browser.new_page(viewport={"width": 320, "height": 800})
    await page.set_content(
        "<style>* { margin: 0 } li { border-left: 4px solid } b { position: absolute; left: 20px }"
        "p { width: 30px; overflow: hidden; white-space: nowrap }</style>"
        "<ul style='padding: 0'><li>through a name</li></ul>"
        "<table><th style='padding: 0; box-shadow: inset 4px 0'>a name</table>"
        "<div><i>columns that</i><b>collide</b></div><p>is cut off here</p>"
        "<div style='width: 400px'>wide</div>"
    )
    assert await page.evaluate(TROUBLE) == [
        "scrolls to 400",
        "outside: through a name",
        "a bar runs through a name",
        "outside: a name",
        "columns that overlaps collide",
        "cut off: is cut off here",
    ]
    await page.close()
