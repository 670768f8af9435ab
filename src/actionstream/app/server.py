"""Starts Streamlit with the app's own settings."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actionstream.app.certificate import CertificateFiles

SCRIPT = Path(__file__).with_name("assets") / "script.py"
CONFIG = Path(__file__).with_name("assets") / "config.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the server listens, and how it is reached there.

    names: the hosts that visitors may type, best first.
    """

    listen: str
    port: int
    names: tuple[str, ...]
    certificate: CertificateFiles | None = None

    @property
    def urls(self) -> tuple[str, ...]:
        """One address a name."""
        scheme = "http" if self.certificate is None else "https"
        hosts = (f"[{name}]" if ":" in name else name for name in self.names)
        return tuple(f"{scheme}://{host}:{self.port}" for host in hosts)


def options(address: Address, *, max_upload_mb: int, open_browser: bool) -> dict[str, Any]:
    """Streamlit's settings by their dotted names: the shipped file's, then those of this start."""
    with CONFIG.open("rb") as file:
        found = dict(_flat(tomllib.load(file)))
    found |= {
        "server.address": address.listen,
        "server.port": address.port,
        "server.maxUploadSize": max_upload_mb,
        "server.corsAllowedOrigins": list(address.urls),
        "server.headless": not open_browser,
        "logger.hideWelcomeMessage": True,
        "global.developmentMode": False,
    }
    if address.certificate is not None:
        found["server.sslCertFile"] = str(address.certificate.certificate)
        found["server.sslKeyFile"] = str(address.certificate.key)
    return found


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def serve(address: Address, *, max_upload_mb: int, open_browser: bool) -> None:
    """Serve until the process is told to end (SIGINT or SIGTERM), perhaps with a browser on it."""
    from streamlit.web import bootstrap

    flags = options(address, max_upload_mb=max_upload_mb, open_browser=open_browser)
    bootstrap.load_config_options(flags)
    bootstrap.run(str(SCRIPT), False, [], flags)
