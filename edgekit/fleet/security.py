"""Who may be a member of a fleet: mutual TLS with certificates of one authority that the fleet makes for itself.

A folder a member: ca.pem, cert.pem, key.pem. The key of the authority, ca-key.pem, stays where the certificates were made.
"""

from __future__ import annotations

import datetime
import os
import re
import socket
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.fleet.errors import FleetError

if TYPE_CHECKING:
    from distributed.security import Security

NAME = r"[a-z0-9][a-z0-9-]*"  # of a board or another member
PATIENCE_S = 10.0


def require_name(name: str) -> None:
    """Raise FleetError unless `name` can be a member's."""
    if not re.fullmatch(NAME, name):
        raise FleetError(f"expected a name of a-z, 0-9 and -, as orin-1, got {name!r}")


def make(folder: Path, names: Iterable[str], days: int) -> list[Path]:
    """Write a certificate for each name, valid for `days`, and the authority that signs them if it is not there yet.

    Returns the members' folders. Raises FleetError: a name that cannot be one, or whose certificate is there and valid.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    if days < 1:
        raise FleetError(f"--days: expected at least 1, got {days}")
    now = datetime.datetime.now(datetime.UTC)

    def named(name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "edgekit fleet"),
                          x509.NameAttribute(NameOID.COMMON_NAME, name)])

    def signed(name: str, key, issuer: x509.Name, by, authority: bool):
        builder = (x509.CertificateBuilder().subject_name(named(name)).issuer_name(issuer).public_key(key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
                   .not_valid_after(now + datetime.timedelta(days=days))
                   .add_extension(x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
                   .add_extension(_usage(x509, authority), critical=True))
        return builder.sign(by, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def secret(key) -> bytes:
        return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "ca-key.pem").exists():
        authority = ec.generate_private_key(ec.SECP256R1())
        _write(folder / "ca-key.pem", secret(authority), 0o600)
        _write(folder / "ca.pem", signed("authority", authority, named("authority"), authority, True), 0o644)
    authority = serialization.load_pem_private_key((folder / "ca-key.pem").read_bytes(), None)
    issuer = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes()).subject
    made = []
    for name in names:
        require_name(name)
        own = folder / name
        if (own / "cert.pem").exists() and _ends(own / "cert.pem") > now:
            raise FleetError(f"{own} holds a certificate that is valid until {_ends(own / 'cert.pem'):%Y-%m-%d}; delete the "
                             "folder to have another one")
        own.mkdir(exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        _write(own / "key.pem", secret(key), 0o600)
        _write(own / "cert.pem", signed(name, key, issuer, authority, False), 0o644)
        _write(own / "ca.pem", (folder / "ca.pem").read_bytes(), 0o644)
        made.append(own)
    return made


def _usage(x509, authority: bool):
    return x509.KeyUsage(digital_signature=not authority, content_commitment=False, key_encipherment=False,
                         data_encipherment=False, key_agreement=False, key_cert_sign=authority, crl_sign=authority,
                         encipher_only=False, decipher_only=False)


def _write(path: Path, content: bytes, mode: int) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)


def _ends(path: Path) -> datetime.datetime:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except ValueError as error:
        raise FleetError(f"{path}: not a certificate in PEM ({error})") from error


def load(folder: Path | None, address: str) -> Security | None:
    """What Dask is given for a member's folder; None without one, for an address of plain TCP.

    Raises FleetError: tls:// without a folder or tcp:// with one, a file that is not there, a certificate that is out of date
    or of another authority than the one beside it.
    """
    from distributed.security import Security

    if address.startswith("tls://") != (folder is not None):
        raise FleetError(f"{address}: expected tls:// with --certificates FOLDER, or tcp:// without (on a network that nobody "
                         "else is on)")
    if folder is None:
        return None
    for name in ("ca.pem", "cert.pem", "key.pem"):
        if not (folder / name).is_file():
            raise FleetError(f"{folder}: expected ca.pem, cert.pem and key.pem of one member, {name} is not there; make them "
                             "with edgekit fleet certificates")
    _require_valid(folder)
    files = {f"tls_{role}_{what}": str(folder / f"{what}.pem") for role in ("scheduler", "worker", "client")
             for what in ("cert", "key")}
    return Security(tls_ca_file=str(folder / "ca.pem"), require_encryption=True, **files)


def _require_valid(folder: Path) -> None:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    now = datetime.datetime.now(datetime.UTC)
    for name in ("ca.pem", "cert.pem"):
        if (ends := _ends(folder / name)) < now:
            raise FleetError(f"{folder / name} was valid until {ends:%Y-%m-%d %H:%M} UTC; make another one with edgekit fleet "
                             "certificates, or set this machine's clock")
    authority, own = (x509.load_pem_x509_certificate((folder / name).read_bytes()) for name in ("ca.pem", "cert.pem"))
    try:
        own.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise FleetError(f"{folder}: cert.pem is not of the authority in ca.pem beside it; copy the folder anew from where it "
                         "was made") from error


def require_welcome(address: str, security: Security | None, role: str) -> None:
    """Shake hands with a scheduler once, so that a refusal is a sentence and not a time-out. `role`: worker or client.

    Raises FleetError where either side refuses the other's certificate, OSError where nobody answers.
    """
    from distributed.comm import get_address_host_port

    host, port = get_address_host_port(address)
    with socket.create_connection((host, port), timeout=PATIENCE_S) as plain:
        if security is None:
            return
        try:
            with security.get_connection_args(role)["ssl_context"].wrap_socket(plain) as secured:
                secured.recv(1)  # the other side's refusal of our certificate comes with its first word
        except ssl.SSLError as error:
            raise FleetError(f"{address}: the certificates do not agree ({error.reason or error}): both sides need ones of the "
                             "same authority, made with edgekit fleet certificates and still valid") from error
        except ConnectionResetError as error:
            raise FleetError(f"{address}: it hung up while shaking hands: is it a scheduler with certificates?") from error
