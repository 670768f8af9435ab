"""The certificate that is made here."""

from __future__ import annotations

import ipaddress
import ssl
import stat
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from actionstream.app.server import (
    CertificateFiles,
    check,
    host_names,
    own_certificate,
    state_folder,
)

HOSTS = ["192.168.1.20", "my-computer", "localhost", "127.0.0.1"]


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def names(path: Path) -> x509.SubjectAlternativeName:
    return load(path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def test_it_carries_all_names_and_a_server_can_use_it(tmp_path: Path) -> None:
    files = own_certificate(tmp_path / "state", HOSTS)
    assert names(files.certificate).get_values_for_type(x509.DNSName) == [
        "my-computer",
        "localhost",
    ]
    assert names(files.certificate).get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("192.168.1.20"),
        ipaddress.ip_address("127.0.0.1"),
    ]
    left = load(files.certificate).not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=300) < left < timedelta(days=398)  # browsers refuse longer ones
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_its_key_is_for_its_owner_only(tmp_path: Path) -> None:
    files = own_certificate(tmp_path / "state", HOSTS)
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(files.key.parent.stat().st_mode) == 0o700


def test_it_is_kept_until_a_name_is_missing_or_a_file_is_broken(tmp_path: Path) -> None:
    first = own_certificate(tmp_path, HOSTS).certificate.read_bytes()
    assert own_certificate(tmp_path, HOSTS[1:]).certificate.read_bytes() == first
    second = own_certificate(tmp_path, [*HOSTS, "10.0.0.7"]).certificate.read_bytes()
    assert second != first
    (tmp_path / "key.pem").write_text("broken")
    files = own_certificate(tmp_path, HOSTS)
    assert files.certificate.read_bytes() != second
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.key)


def test_names_are_those_of_where_it_listens() -> None:
    assert host_names("127.0.0.1") == ["127.0.0.1", "localhost"]
    assert host_names("192.168.1.20") == ["192.168.1.20", "localhost", "127.0.0.1"]
    everywhere = host_names("0.0.0.0")
    assert everywhere[-2:] == ["localhost", "127.0.0.1"]
    assert "0.0.0.0" not in everywhere


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the folders of Linux")
def test_the_state_folder_follows_the_user_s_wish(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_folder() == tmp_path / "actionstream"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_folder() == tmp_path / ".local" / "state" / "actionstream"


def test_a_pair_that_no_server_can_use_is_named_with_its_cause(tmp_path: Path) -> None:
    good = own_certificate(tmp_path / "one", HOSTS)
    other = own_certificate(tmp_path / "other", HOSTS)
    bad, locked = tmp_path / "bad.pem", tmp_path / "locked.pem"
    bad.write_text("not PEM")
    key = serialization.load_pem_private_key(good.key.read_bytes(), None)
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    check(good)
    for certificate, secret, said in (
        (bad, good.key, "bad.pem: no certificate in PEM form"),
        (good.key, good.key, "key.pem: no certificate in PEM form"),
        (good.certificate, bad, "bad.pem: no private key in PEM form"),
        (good.certificate, locked, "locked.pem: the key has a password"),
        (good.certificate, other.key, "it is not the key of this certificate"),
    ):
        with pytest.raises(ValueError, match=said):
            check(CertificateFiles(certificate, secret))
