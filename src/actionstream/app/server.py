"""Where the app is served, and the certificate that lets a phone's browser give its camera to it.

The certificate is made once and kept with its key in the user's state folder; browsers do not know
it and warn, and the visitor has to accept it once.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
import ssl
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFileRec

SCRIPT = Path(__file__).with_name("assets") / "script.py"
CONFIG = Path(__file__).with_name("assets") / "config.toml"
VALID_DAYS = 365
MOST_UPLOADS = 50
"""Of one visitor that no page has taken yet."""
RENEW_DAYS = 14
"""A certificate with less than this left is made anew."""
_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "actionstream on this computer")])


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


def ask_nobody() -> None:
    """Have foreign origins refused at once.

    At a handshake of one, Streamlit asks an outside server for this computer's address, inside its
    event loop; where that does not answer, all visitors wait two seconds.
    """
    from streamlit import net_util

    net_util.get_external_ip = lambda: None


@cache
def bound_uploads(most_bytes: int) -> None:
    """Have Streamlit answer 413 to uploads past these bytes in all, or half of them of one visitor.

    It keeps uploads in memory until a page takes them, and takes any number at its address.
    """
    from starlette.exceptions import HTTPException
    from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager

    keep = MemoryUploadedFileManager.add_file

    def add_file(
        manager: MemoryUploadedFileManager, session_id: str, file: UploadedFileRec
    ) -> None:
        kept = {name: list(files.values()) for name, files in manager.file_storage.copy().items()}
        own, size = kept.get(session_id, []), len(file.data)
        total = sum(map(_bytes, kept.values())) + size
        if len(own) >= MOST_UPLOADS or _bytes(own) + size > most_bytes // 2 or total > most_bytes:
            raise HTTPException(413, "Too many uploads")
        keep(manager, session_id, file)

    MemoryUploadedFileManager.add_file = add_file  # type: ignore[assignment,method-assign]


def _bytes(files: Iterable[UploadedFileRec]) -> int:
    return sum(len(one.data) for one in files)


def serve(address: Address, *, max_upload_mb: int, open_browser: bool) -> None:
    """Serve until the process is told to end (SIGINT or SIGTERM), perhaps with a browser on it."""
    from streamlit.web import bootstrap

    flags = options(address, max_upload_mb=max_upload_mb, open_browser=open_browser)
    ask_nobody()
    bootstrap.load_config_options(flags)
    bootstrap.run(str(SCRIPT), False, [], flags)


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Two PEM files; the key's is readable by its owner only."""

    certificate: Path
    key: Path


def check(files: CertificateFiles) -> None:
    """Whether a server can be had with this pair.

    Raises:
        ValueError: names the file and what is wrong with it.
        OSError: one cannot be read.
    """
    try:
        x509.load_pem_x509_certificates(files.certificate.read_bytes())
    except ValueError:
        raise ValueError(f"{files.certificate}: no certificate in PEM form") from None
    try:
        serialization.load_pem_private_key(files.key.read_bytes(), password=None)
    except TypeError:
        raise ValueError(f"{files.key}: the key has a password; give one without") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(f"{files.key}: no private key in PEM form") from None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.key)
    except ssl.SSLError as error:
        fits = error.reason != "KEY_VALUES_MISMATCH"
        cause = error.reason if fits else "it is not the key of this certificate"
        raise ValueError(f"{files.key} with {files.certificate}: {cause}") from None


def own_certificate(folder: Path, hosts: Sequence[str]) -> CertificateFiles:
    """The certificate in `folder` for these names and addresses; made if there is none that fits.

    Raises:
        OSError: the folder or the files cannot be written.
    """
    files = CertificateFiles(folder / "certificate.pem", folder / "key.pem")
    if not _fits(files, hosts):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make(files, hosts)
    return files


def _fits(files: CertificateFiles, hosts: Sequence[str]) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        key = serialization.load_pem_private_key(files.key.read_bytes(), password=None)
    except (OSError, ValueError):
        return False
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return (
        left > datetime.timedelta(days=RENEW_DAYS)
        and certificate.public_key() == key.public_key()
        and set(_alternatives(hosts)) <= set(names)
    )


def _make(files: CertificateFiles, hosts: Sequence[str]) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_NAME)
        .issuer_name(_NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(_alternatives(hosts)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    certificate = builder.sign(key, hashes.SHA256())
    _write_private(
        files.key,
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _write_private(path: Path, data: bytes) -> None:
    """Write a file that nobody else could read at any moment."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _alternatives(hosts: Sequence[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for host in dict.fromkeys(hosts):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return names


def state_folder() -> Path:
    """Where this user's programs keep what they made and may need again."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return base / "actionstream"


def lan_address() -> str | None:
    """This computer's address in its own network; None without a network. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a reserved address: only the route is looked up
        except OSError:
            return None
        address = str(probe.getsockname()[0])
    return None if address.startswith(("0.", "127.")) else address


def host_names(listen: str) -> list[str]:
    """Names and addresses under which a server that listens there is reached, best first."""
    if listen not in ("0.0.0.0", "::"):
        return list(dict.fromkeys([listen, "localhost", "127.0.0.1"]))
    found = [lan_address(), _own_name(), "localhost", "127.0.0.1"]
    return list(dict.fromkeys(host for host in found if host))


def _own_name() -> str | None:
    """The computer's name, if a certificate can carry it."""
    name = socket.gethostname().lower()
    plain = name.replace("-", "").replace(".", "")
    return name if plain.isascii() and plain.isalnum() and len(name) <= 63 else None
