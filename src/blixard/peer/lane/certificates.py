"""The certificate of one process's lanes, and TLS contexts that trust exactly what they are given.

There is no authority and no name to check: each side sends its certificate over the authenticated Iroh stream, and the
other side pins those very bytes. The certificate lives as long as the process, its key never leaves memory, and it is
valid at any time, because the clocks of air-gapped sites differ.
"""

from __future__ import annotations

import os
import secrets
import ssl
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from datetime import datetime

from blixard.errors import PeerMisbehaved
from blixard.limits import KIB

CERTIFICATE_BYTES = 2 * KIB
"""Ours have about 360 bytes; a peer's is looked at before it is trusted with anything."""
_LONG_SEQUENCE = b"\x30\x82"
_P256_KEY = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
"""How the public key begins: SubjectPublicKeyInfo of an uncompressed point on that curve, RFC 5480."""
_FIRST_DAY = datetime(1970, 1, 1)  # noqa: DTZ001 - X.509 times are UTC, and the library takes them naive
_LAST_DAY = datetime(9999, 12, 31)  # noqa: DTZ001 - as above


class LaneIdentity:
    """A new P-256 key and its certificate.

    It takes less than 1 ms, and 100 ms when `cryptography` is loaded for it: in a thread, beside the connecting.
    """

    def __init__(self) -> None:
        self._made: Future[tuple[bytes, bytes]] = Future()
        # no daemon: a process that ends at once would end the thread within a library that cannot take that
        threading.Thread(target=self._make, name="lane-identity").start()

    @property
    def certificate(self) -> bytes:
        """The certificate, DER; waits until it is made."""
        return self._made.result()[1]

    def listening(self, trusted: Iterable[bytes]) -> ssl.SSLContext:
        """A context for taking connections from the holders of exactly these certificates (DER)."""
        context = self._context(ssl.PROTOCOL_TLS_SERVER, trusted)
        context.num_tickets = 0  # nothing is sent before the peer was judged, session tickets neither
        return context

    def dialing(self, pinned: bytes) -> ssl.SSLContext:
        """A context for connecting to the holder of exactly this certificate (DER)."""
        return self._context(ssl.PROTOCOL_TLS_CLIENT, [pinned])

    def _make(self) -> None:
        try:
            self._made.set_result(_make())
        except BaseException as problem:  # noqa: BLE001 - whoever asks for it is told
            self._made.set_exception(problem)

    def _context(self, kind: int, trusted: Iterable[bytes]) -> ssl.SSLContext:
        context = ssl.SSLContext(kind)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        fd = os.memfd_create("blixard-lane", os.MFD_CLOEXEC)  # the library reads keys from paths only
        try:
            os.write(fd, self._made.result()[0])
            context.load_cert_chain(f"/proc/self/fd/{fd}")
        finally:
            os.close(fd)
        for certificate in trusted:
            context.load_verify_locations(cadata=certificate)
        return context


def check_certificate(der: bytes) -> None:
    """See that a peer's certificate is one small certificate with a P-256 key; whose it is the handshake proves.

    OpenSSL, which will use it, is asked. `cryptography` would warn on stderr about what a hostile peer writes there.

    Raises:
        PeerMisbehaved: it is something else.
    """
    if len(der) > CERTIFICATE_BYTES:
        raise PeerMisbehaved(f"the peer's lane certificate has {len(der)} bytes, up to {CERTIFICATE_BYTES} are taken")
    if der[:2] != _LONG_SEQUENCE or int.from_bytes(der[2:4], "big") + 4 != len(der) or _P256_KEY not in der:
        raise PeerMisbehaved("the peer's lane certificate is none with a P-256 key")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=der)
    except (ssl.SSLError, ValueError) as problem:
        raise PeerMisbehaved("the peer's lane certificate cannot be read") from problem


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
