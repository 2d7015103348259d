"""Takes docs/status-page.png again, of the demo in a real Chromium.

    python -m tests.real.take_screenshot

Look at it before you commit it.
"""

import asyncio

from playwright.async_api import expect

from tests.support.browser import chromium
from tests.support.paths import ROOT
from tests.support.processes import COMMAND, started

PICTURE = ROOT / "docs" / "status-page.png"


async def take() -> None:
    """Start the demo, wait until every target was polled, and take the picture."""
    demo = started(COMMAND, "demo", "--web.listen-address=127.0.0.1:0", "--seed=7")
    async with demo as exporter, chromium() as browser:
        address = await exporter.wait_for(r"Open (http://\S+/) for the status page")
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        await page.goto(address[1])
        await expect(page.locator("#summary")).not_to_contain_text("waiting")
        await page.screenshot(path=PICTURE, full_page=True)


if __name__ == "__main__":
    asyncio.run(take())
