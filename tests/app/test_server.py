"""Settings of the server, the same whichever way it is started."""

from __future__ import annotations

import tomllib
from pathlib import Path

from streamlit import config

from actionstream.app.server import CONFIG, SCRIPT, Address, CertificateFiles, options

REPOSITORY = Path(__file__).resolve().parents[2]
HERE = Address(listen="127.0.0.1", port=8501, names=("127.0.0.1", "localhost"))


def test_both_ways_to_start_have_the_same_settings() -> None:
    beside_the_script = REPOSITORY / ".streamlit" / "config.toml"
    assert beside_the_script.read_text("utf-8") == CONFIG.read_text("utf-8")
    assert SCRIPT.read_text("utf-8").endswith("main()\n")


def test_every_setting_is_one_that_streamlit_knows() -> None:
    known = set(config.get_config_options())
    given = options(HERE, max_upload_mb=7, open_browser=False)
    assert set(given) - known == set()
    assert len(given) > 25
    assert given["server.maxUploadSize"] == 7
    assert given["server.headless"] is True, "no browser is opened"
    assert given["client.showErrorDetails"] == "none"
    assert given["browser.gatherUsageStats"] is False
    assert "server.sslCertFile" not in given


def test_both_themes_set_the_same_colours() -> None:
    theme = tomllib.loads(CONFIG.read_text("utf-8"))["theme"]
    assert set(theme["light"]) == set(theme["dark"])
    assert len(theme["light"]) == 6


def contrast(first: str, second: str) -> float:
    """WCAG 2.2's ratio of two colours "#rrggbb"."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_and_links_can_be_read_on_every_ground() -> None:
    theme = tomllib.loads(CONFIG.read_text("utf-8"))["theme"]
    for colours in (theme["light"], theme["dark"]):
        for ground in (colours["backgroundColor"], colours["secondaryBackgroundColor"]):
            assert contrast(colours["textColor"], ground) > 7
            assert contrast(colours["linkColor"], ground) > 4.5


def test_https_hands_over_the_files_and_the_addresses() -> None:
    files = CertificateFiles(Path("c.pem"), Path("k.pem"))
    address = Address(listen="0.0.0.0", port=9000, names=("10.0.0.7", "::1"), certificate=files)
    assert address.urls == ("https://10.0.0.7:9000", "https://[::1]:9000")
    given = options(address, max_upload_mb=200, open_browser=True)
    assert (given["server.sslCertFile"], given["server.sslKeyFile"]) == ("c.pem", "k.pem")
    assert given["server.headless"] is False, "Streamlit opens a browser"
    assert given["server.corsAllowedOrigins"] == list(address.urls)
