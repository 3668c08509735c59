"""The sending ends: each a process that the bench starts on a port of its own, with keys of its own, and ends.

Nothing of the system is touched: no service, no account's files, no key that anybody else would trust.
"""

from __future__ import annotations

import getpass
import json
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from . import ours
from .measure import BenchError

SSHD = "/usr/sbin/sshd"
_PRIVSEP_FOLDER = Path("/run/sshd")
"""Compiled into Debian's sshd, and made by its service, which does not run here."""
_READY_SECONDS = 60.0
_SSHD_CONFIG = """\
Port {port}
ListenAddress {host}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
Subsystem sftp /usr/lib/openssh/sftp-server
"""
_RSYNCD_CONFIG = """\
port = {port}
address = {host}
use chroot = no
uid = {user}
gid = {group}
[bench]
path = {served}
read only = yes
"""


class Place(Struct, frozen=True):
    """Where a sender is: its address, and what its command is put after (a network namespace)."""

    host: str = "127.0.0.1"
    inside: tuple[str, ...] = ()


class Sender(Struct, frozen=True):
    """One that is ready; `pid` is the root of its processes."""

    pid: int
    where: str
    """A port, a ticket: what its receivers need to know."""


@contextmanager
def share(file: Path, data_dir: Path, place: Place) -> Iterator[Sender]:
    """`cluster share` of an export; `where` is the ticket."""
    data_dir.mkdir(parents=True)
    command = [ours.BLIXARD, "cluster", "share", str(file), "--json", "--p2p-listen", f"{place.host}:0"]
    with _running(command, place, data_dir, environment=ours.environment(data_dir)) as (process, said):
        yield Sender(process.pid, json.loads(_first_line(process, said))["ticket"])


@contextmanager
def blobs(python: Path, file: Path, folder: Path) -> Iterator[Sender]:
    """A node of iroh 0.35; `where` is the ticket."""
    folder.mkdir()
    program = str(Path(__file__).with_name("blobs.py"))
    command = [str(python), program, "serve", str(file), str(folder / "store"), "127.0.0.1:0"]
    with _running(command, Place(), folder) as (process, said):
        yield Sender(process.pid, _first_line(process, said).strip())


@contextmanager
def sshd(folder: Path, place: Place, congestion: str | None = None) -> Iterator[Sender]:
    """An sshd; `where` is the port. Receivers use `ssh_options`.

    Args:
        folder: for its files.
        place: where it listens.
        congestion: how it sends, whatever the system's default is; only for root.
    """
    folder.mkdir()
    config = folder / "sshd_config"
    for name in ("host_key", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    port = _free_port()
    config.write_text(_SSHD_CONFIG.format(port=port, host=place.host, folder=folder))
    with _privsep_folder():
        if congestion is not None:
            inetd = [ours.PYTHON, str(Path(__file__).with_name("inetd.py")), place.host, congestion]
            with _running([*inetd, SSHD, "-i", "-f", str(config)], place, folder) as (process, said):
                yield Sender(process.pid, _first_line(process, said))
            return
        with _running([SSHD, "-D", "-e", "-f", str(config)], place, folder) as (process, said):
            _wait_for(process, said, "Server listening on")
            yield Sender(process.pid, str(port))


@contextmanager
def _privsep_folder() -> Iterator[None]:
    """What root's sshd looks for; it is there as long as the block lasts."""
    made = getpass.getuser() == "root" and not _PRIVSEP_FOLDER.exists()
    if made:
        _PRIVSEP_FOLDER.mkdir(mode=0o755)
    try:
        yield
    finally:
        if made:
            _PRIVSEP_FOLDER.rmdir()


def ssh_options(folder: Path) -> tuple[str, ...]:
    """For `ssh` and `scp` to the sshd of that folder: this key, that host, nothing of the user's own."""
    told = {
        "IdentitiesOnly": "yes",
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": "/dev/null",
        "LogLevel": "ERROR",
        "User": getpass.getuser(),
    }
    return ("-F", "/dev/null", "-i", str(folder / "key"), *(f"-o{key}={value}" for key, value in told.items()))


@contextmanager
def rsyncd(served: Path, folder: Path) -> Iterator[Sender]:
    """An rsync daemon with the module `bench`; `where` is the port."""
    folder.mkdir()
    port = _free_port()
    config = folder / "rsyncd.conf"
    owner = served.stat()
    config.write_text(
        _RSYNCD_CONFIG.format(port=port, host="127.0.0.1", user=owner.st_uid, group=owner.st_gid, served=served)
    )
    command = ["rsync", "--daemon", "--no-detach", f"--config={config}"]
    with _running(command, Place(), folder) as (process, said):
        _wait_for_port(process, said, port)
        yield Sender(process.pid, str(port))


@contextmanager
def http(served: Path, folder: Path) -> Iterator[Sender]:
    """Python's `http.server`; `where` is the port."""
    folder.mkdir()
    port = _free_port()
    command = [ours.PYTHON, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(served)]
    with _running(command, Place(), folder) as (process, said):
        _wait_for_port(process, said, port)
        yield Sender(process.pid, str(port))


@contextmanager
def _running(
    command: Sequence[str], place: Place, folder: Path, environment: dict[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A process as long as the block lasts, and the file that has what it says."""
    said = folder / "said"
    with said.open("wb") as output:
        process = subprocess.Popen(
            [*place.inside, *command],
            env=ours.environment(folder) if environment is None else environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    with process:
        try:
            yield process, said
        finally:
            process.terminate()


def _first_line(process: subprocess.Popen[bytes], said: Path) -> str:
    """The first whole line, once it is there."""
    return _wait_for(process, said, "\n").splitlines()[0]


def _wait_for(process: subprocess.Popen[bytes], said: Path, text: str) -> str:
    """All it has said, once `text` is in it."""
    for _ in _moments(process, said):
        heard = said.read_text(errors="replace")
        if text in heard:
            return heard
    raise BenchError(f"{process.args!r} did not get ready")


def _wait_for_port(process: subprocess.Popen[bytes], said: Path, port: int) -> None:
    for _ in _moments(process, said):
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
    raise BenchError(f"{process.args!r} did not get ready")


def _moments(process: subprocess.Popen[bytes], said: Path) -> Iterator[None]:
    """Looks at something that is getting ready, until the time is over or it has ended."""
    until = time.monotonic() + _READY_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise BenchError(f"{process.args!r} ended: {said.read_text(errors='replace')[-2000:]}")
        yield
        time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
