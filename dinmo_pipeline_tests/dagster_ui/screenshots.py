"""The pictures of the README: three days of the demo, then the Dagster UI as a person sees it. `make screenshots` takes them anew."""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page

from dinmo_pipeline_tests.dagster_ui.conftest import browsing, installed_browser, serving

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
_DELIVERY = "assets/activations/lapsed_to_partner/delivery"
_SETTLES_MS = 4_000
# The browser that shows the pages knows WebP, too.
_TO_WEBP = """async png => {
    const image = new Image();
    image.src = "data:image/png;base64," + png;
    await image.decode();
    const canvas = Object.assign(document.createElement("canvas"), {width: image.width, height: image.height});
    canvas.getContext("2d").drawImage(image, 0, 0);
    return canvas.toDataURL("image/webp", 0.8).split(",")[1];
}"""


def main() -> None:
    """Write `docs/images/*.webp`."""
    browser = installed_browser()
    if browser is None:
        raise SystemExit("no Chromium is installed: scripts/ensure-browser installs one")
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        shop = Path(folder) / "shop"
        shutil.copytree(ROOT / "dinmo_pipeline" / "defs", shop / "dinmo_pipeline" / "defs")
        shutil.copy(ROOT / "pyproject.toml", shop)
        subprocess.run([sys.executable, "-m", "demo", "--project", str(shop)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        with serving(shop) as server, browsing(browser, height=900) as page:
            page.goto(f"{server.url}/{_DELIVERY}?view=lineage&lineageScope=upstream&lineageDepth=6")
            page.get_by_text("products_catalogue", exact=True).first.wait_for()
            _take(page, "lineage")
            page.goto(f"{server.url}/{_DELIVERY}?view=events")
            page.get_by_text("written files", exact=True).wait_for()
            _take(page, "delivery")
            page.goto(f"{server.url}/{_DELIVERY}")
            page.get_by_text("Plots", exact=True).click()
            page.locator("canvas").first.wait_for()
            page.get_by_text("Plots", exact=True).scroll_into_view_if_needed()
            page.mouse.move(700, 600)
            page.mouse.wheel(0, 700)
            _take(page, "plots")


def _take(page: Page, name: str) -> None:
    page.wait_for_timeout(_SETTLES_MS)
    png = base64.b64encode(page.screenshot()).decode()
    webp: str = page.evaluate(_TO_WEBP, png)
    (IMAGES / f"{name}.webp").write_bytes(base64.b64decode(webp))


if __name__ == "__main__":
    main()
