from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path

from cryptography import x509

from blixard.peer.lane.certificates import LaneIdentity, check_certificate
from blixard.peer.lane.tcp import bbr_works, congestion_of, prepare
from support.descriptors import open_at


def test_each_identity_is_new_and_taken_by_our_own_check() -> None:
    one, two = LaneIdentity(), LaneIdentity()
    check_certificate(one.certificate)
    names = {x509.load_der_x509_certificate(made.certificate).subject for made in (one, two)}

    assert one.certificate != two.certificate
    assert len(names) == 2


def test_a_certificate_holds_whatever_the_clock_says() -> None:
    made = x509.load_der_x509_certificate(LaneIdentity().certificate)

    assert made.not_valid_before_utc.year == 1970
    assert made.not_valid_after_utc.year == 9999


def test_only_tls_1_3_is_spoken_and_a_certificate_is_wanted_on_both_sides() -> None:
    identity = LaneIdentity()
    for context in (identity.listening([identity.certificate]), identity.dialing(identity.certificate)):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3
        assert context.verify_mode is ssl.CERT_REQUIRED
    assert identity.listening([]).num_tickets == 0


def test_the_key_leaves_no_file_and_no_descriptor() -> None:
    identity = LaneIdentity()
    identity.dialing(identity.certificate)

    assert not open_at("/memfd:blixard-lane")


def test_cryptography_is_not_loaded_before_a_certificate_is_made() -> None:
    code = "import sys, blixard.peer.lane.lane; sys.exit('cryptography' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_bbr_is_used_exactly_where_the_kernel_allows_it() -> None:
    allowed = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control").read_text(encoding="ascii").split()
    available = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text(encoding="ascii").split()

    assert bbr_works() is ("bbr" in available and ("bbr" in allowed or os.geteuid() == 0))


def test_a_congestion_control_that_is_not_there_changes_nothing() -> None:
    with socket.socket() as sock:
        before = congestion_of(sock)
        prepare(sock, congestion=b"no-such")

        assert congestion_of(sock) == before
