"""The certificate of one process's lanes, and TLS contexts that trust exactly what they are given.

There is no authority and no name to check: each side sends its certificate over the authenticated Iroh stream, and the
other side pins those very bytes. The certificate lives as long as the process, its key never leaves memory, and it is
valid at any time, because the clocks of air-gapped sites differ.
"""

from __future__ import annotations

import os
import secrets
import ssl
from collections.abc import Iterable
from datetime import datetime

from blixard.errors import PeerMisbehaved
from blixard.limits import KIB

CERTIFICATE_BYTES = 2 * KIB
"""Ours have 270 bytes; a peer's is looked at before it is trusted with anything."""
_FIRST_DAY = datetime(1970, 1, 1)  # noqa: DTZ001 - X.509 times are UTC, and the library takes them naive
_LAST_DAY = datetime(9999, 12, 31)  # noqa: DTZ001 - as above


class LaneIdentity:
    """A new P-256 key and its certificate; takes about 1 ms, and 100 ms when `cryptography` is loaded for it."""

    def __init__(self) -> None:
        self._pem, self.certificate = _make()

    def listening(self, trusted: Iterable[bytes]) -> ssl.SSLContext:
        """A context for taking connections from the holders of exactly these certificates (DER)."""
        context = self._context(ssl.PROTOCOL_TLS_SERVER, trusted)
        context.num_tickets = 0  # nothing is sent before the peer was judged, session tickets neither
        return context

    def dialing(self, pinned: bytes) -> ssl.SSLContext:
        """A context for connecting to the holder of exactly this certificate (DER)."""
        return self._context(ssl.PROTOCOL_TLS_CLIENT, [pinned])

    def _context(self, kind: int, trusted: Iterable[bytes]) -> ssl.SSLContext:
        context = ssl.SSLContext(kind)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        fd = os.memfd_create("blixard-lane", os.MFD_CLOEXEC)  # the library reads keys from paths only
        try:
            os.write(fd, self._pem)
            context.load_cert_chain(f"/proc/self/fd/{fd}")
        finally:
            os.close(fd)
        for certificate in trusted:
            context.load_verify_locations(cadata=certificate)
        return context


def check_certificate(der: bytes) -> None:
    """See that a peer's certificate is one certificate, small, with a P-256 key; whose it is the transport proves.

    Raises:
        PeerMisbehaved: it is something else.
    """
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec

    if len(der) > CERTIFICATE_BYTES:
        raise PeerMisbehaved(f"the peer's lane certificate has {len(der)} bytes, up to {CERTIFICATE_BYTES} are taken")
    try:
        key = x509.load_der_x509_certificate(der).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm) as problem:
        raise PeerMisbehaved("the peer's lane certificate cannot be read") from problem
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise PeerMisbehaved("the peer's lane certificate has no P-256 key")


def _make() -> tuple[bytes, bytes]:
    """Key and certificate as PEM in one text, and the certificate as DER."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    # a name of its own: OpenSSL looks trusted certificates up by name
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"blixard lane {secrets.token_hex(8)}")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FIRST_DAY)
        .not_valid_after(_LAST_DAY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + certificate.public_bytes(serialization.Encoding.PEM)
    return pem, certificate.public_bytes(serialization.Encoding.DER)
