"""`doctor`: whether this machine can do the work, and what to do when it cannot.

Each check is small, says what it saw, and leaves nothing behind. Nothing in it is secret, so it can be pasted.
"""

from __future__ import annotations

import fcntl
import os
import platform
import re
import resource
import sqlite3
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from importlib import metadata
from pathlib import Path

from msgspec import Struct

from blixard import __version__, files
from blixard.errors import BlixardError, StorageError
from blixard.home import ClusterDir, Home
from blixard.limits import DEFAULT, GIB
from blixard.ports import Clock
from blixard.store.opening import open_store

_FEW_FILES = 1024
_NAME = re.compile(r"[A-Za-z0-9._-]+")
"""Of a distribution, at the beginning of a requirement."""
_FICLONE = 0x40049409
_CONGESTION = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")
_BUILT = datetime(2026, 1, 1, tzinfo=UTC)
"""No honest clock shows a time before this was written."""


class Verdict(StrEnum):
    """How a check ended; `warn` works, but not as well as it could."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Check(Struct, frozen=True, kw_only=True):
    """One check: what it saw, and the next step when that is not good."""

    name: str
    verdict: Verdict
    saw: str
    hint: str | None = None


def examine(home: Home, clock: Clock) -> tuple[Check, ...]:
    """Run all checks."""
    return (*_versions(), *_data_dir(home, clock), *_clusters(home), *_process(), *_peers())


def _ok(name: str, saw: str) -> Check:
    return Check(name=name, verdict=Verdict.OK, saw=saw)


def _warn(name: str, saw: str, hint: str) -> Check:
    return Check(name=name, verdict=Verdict.WARN, saw=saw, hint=hint)


def _fail(name: str, saw: str, hint: str | None) -> Check:
    return Check(name=name, verdict=Verdict.FAIL, saw=saw, hint=hint)


def _versions() -> Iterator[Check]:
    yield _ok("blixard", __version__)
    yield _ok("python", f"{platform.python_version()} ({platform.python_implementation()})")
    yield _ok("system", f"{platform.system()} {platform.release()} {platform.machine()}")
    yield _ok("sqlite", sqlite3.sqlite_version)
    missing = []
    found = []
    for name in _required():
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    yield _ok("libraries", ", ".join(found))
    if missing:
        yield _fail("libraries", f"not installed: {', '.join(missing)}", "install blixard again, with its dependencies")


def _required() -> list[str]:
    """The distributions that ours says it needs; none where it runs without having been installed."""
    try:
        lines = metadata.requires("blixard") or []
    except metadata.PackageNotFoundError:
        return []
    return sorted(found[0] for line in lines if "extra ==" not in line and (found := _NAME.match(line)))


def _data_dir(home: Home, clock: Clock) -> Iterator[Check]:
    there = home.root
    while not there.exists() and there.parent != there:
        there = there.parent
    if there != home.root:
        if os.access(there, os.W_OK | os.X_OK):
            yield _ok("data directory", f"`{home.root}` is not there yet; `{there}` is writable")
        else:
            yield _fail(
                "data directory",
                f"`{home.root}` is not there, and `{there}` is not writable",
                "run as another user, or choose one with `--data-dir`",
            )
        yield from _space(there)
        return
    yield from _space(there)
    probe = there / f".doctor-{os.urandom(4).hex()}"
    try:
        os.close(files.create(probe))
    except StorageError as error:
        yield _fail("data directory", error.message, error.hint or "run as its owner, or choose one with `--data-dir`")
        return
    try:
        yield _ok("data directory", f"`{home.root}` is writable")
        yield _clock(probe, clock)
        yield _reflink(probe)
        yield _nameless(there)
    finally:
        files.unlink(probe, missing_ok=True)


def _space(there: Path) -> Iterator[Check]:
    free = files.free_bytes(there)
    saw = f"{free / GIB:.1f} GiB free at `{there}`"
    if free < DEFAULT.space_reserve_bytes:
        yield _fail("space", saw, "free some space; `blixard cluster gc` shows what blixard itself holds")
    elif free < 4 * GIB:
        yield _warn("space", saw, "an import keeps what it replaces: it needs room for both")
    else:
        yield _ok("space", saw)


def _clock(probe: Path, clock: Clock) -> Check:
    now = clock.now()
    if now < _BUILT:
        return _fail("clock", f"it shows {now:%Y-%m-%d}", "set the clock: ages and expiries go by it")
    drift = abs((datetime.fromtimestamp(probe.stat().st_mtime, UTC) - now).total_seconds())
    if drift > 60:
        return _warn("clock", f"the file system's clock differs by {drift:.0f} s", "synchronise both hosts' clocks")
    return _ok("clock", f"{now:%Y-%m-%d %H:%M:%SZ}")


def _reflink(probe: Path) -> Check:
    name = "reflink"
    copy = probe.with_name(probe.name + ".copy")
    source = files.open_existing(probe)
    try:
        files.write_all(source, bytes(4096), probe)
        target = files.create(copy)
        try:
            fcntl.ioctl(target, _FICLONE, source)
        except OSError:
            return _warn(
                name, "not supported: disks are copied, sparse", "XFS and Btrfs share blocks, copies take no time there"
            )
        finally:
            os.close(target)
            files.unlink(copy, missing_ok=True)
    except StorageError as error:
        return _warn(name, error.message, "see the check of the data directory")
    finally:
        os.close(source)
    return _ok(name, "supported: copies of disks share their blocks")


def _nameless(there: Path) -> Check:
    try:
        os.close(os.open(there, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError:
        return _warn(
            "nameless files", "O_TMPFILE is not supported", "a killed export leaves a file that the next one removes"
        )
    return _ok("nameless files", "O_TMPFILE is supported")


def _clusters(home: Home) -> Iterator[Check]:
    for name in home.clusters():
        check = f"cluster {name}"
        try:
            directory = home.cluster(name)
            store = open_store(directory)
            try:
                revision = store.snapshot().revision
            finally:
                store.close()
        except BlixardError as error:
            yield _fail(check, error.message, error.hint)
            continue
        holders = _holders(directory)
        at_work = f"at work: {', '.join(holders)}" if holders else "nobody is at work"
        yield _ok(check, f"readable, revision {revision}, {at_work}")


def _holders(directory: ClusterDir) -> list[str]:
    """Who holds a lock, looked up without taking one: a check must not be in anybody's way."""
    found: dict[str, None] = {}
    for path in sorted((directory.path / "locks").glob("*.lock")):
        for holder in files.FileLock(path, subject="", verb="").holders():
            found[f"`{holder.verb}` (pid {holder.pid})"] = None
    return list(found)


def _process() -> Iterator[Check]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    saw = f"{soft} open files allowed, {hard} at most"
    if soft < _FEW_FILES:
        yield _warn("file descriptors", saw, f"`ulimit -n {_FEW_FILES}`")
    else:
        yield _ok("file descriptors", saw)
    yield _ok("processors", str(len(os.sched_getaffinity(0))))


def _peers() -> Iterator[Check]:
    yield _endpoint()
    yield _bbr()


def _endpoint() -> Check:
    """An endpoint with a key of its own on a free port, gone again at once; nobody is called."""
    name = "iroh endpoint"
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", RuntimeWarning)
            from blixard.peer.endpoint import IrohEndpoint

            with IrohEndpoint(os.urandom(32)) as endpoint:
                at = ", ".join(f"`{each}`" for each in endpoint.addresses())
    except ImportError as error:
        return _fail(name, f"the library cannot be loaded: {error}", "install blixard again, with its dependencies")
    except BlixardError as error:
        return _fail(name, error.message, error.hint)
    if caught:
        return _warn(name, str(caught[0].message), "install `iroh` 1.2")
    return _ok(name, f"can be made; others would reach it at {at}")


def _bbr() -> Check:
    from blixard.peer.tcp import bbr_works

    name = "fast lane"
    if bbr_works():
        return _ok(name, "TCP with BBR: lost packets do not slow it down")
    saw = "TCP without BBR: slow where packets are lost"
    there = _CONGESTION.read_text().split() if _CONGESTION.exists() else []
    if "bbr" in there:
        return _warn(name, saw, "allow it: `sysctl net.ipv4.tcp_allowed_congestion_control='reno cubic bbr'`")
    return _warn(name, saw, "`modprobe tcp_bbr` on the sending side, if its kernel has it")
