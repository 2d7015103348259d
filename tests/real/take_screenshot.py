"""Takes docs/status-page.png again, of the demo in a real Chromium.

    python -m tests.real.take_screenshot [MINUTES]

The demo runs for so many minutes first, 25 unless others are given, so that the last hour shows
something. Look at the picture before you commit it.
"""

import asyncio
import sys

from playwright.async_api import expect

from tests.support.browser import chromium
from tests.support.paths import ROOT
from tests.support.processes import COMMAND, started

PICTURE = ROOT / "docs" / "status-page.png"


async def take(minutes: float) -> None:
    """Start the demo, let it run, and take the picture."""
    demo = started(COMMAND, "demo", "--web.listen-address=127.0.0.1:0", "--seed=7")
    async with demo as exporter:
        address = await exporter.wait_for(r"Open (http://\S+/) for the status page")
        await asyncio.sleep(60 * minutes)
        async with chromium() as browser:
            page = await browser.new_page(viewport={"width": 1280, "height": 800})
            await page.goto(address[1])
            await expect(page.locator("#summary")).not_to_contain_text("waiting")
            await page.screenshot(path=PICTURE, full_page=True)


if __name__ == "__main__":
    asyncio.run(take(float(sys.argv[1]) if len(sys.argv) > 1 else 25.0))
