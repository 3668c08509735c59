"""`doctor`: whether this machine can do the work, and what to do when it cannot.

Each check is small, says what it saw, and leaves nothing behind. Nothing in it is secret, so it can be pasted.
"""

from __future__ import annotations

import os
import platform
import re
import resource
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from blixard import files
from blixard.errors import BlixardError, StorageError
from blixard.home import Home
from blixard.limits import DEFAULT, GIB
from blixard.ops.doctor.checks import INSTALL_AGAIN, Check, fail, ok, warn
from blixard.ops.doctor.peers import peer_checks
from blixard.peer.node_key import node_holders
from blixard.ports import Clock
from blixard.site.network import NetworkSettings
from blixard.store.opening import locks_of, open_store
from blixard.version import __version__

_FEW_FILES = 1024
_NAME = re.compile(r"[A-Za-z0-9._-]+")
"""Of a distribution, at the beginning of a requirement."""
_BUILT = datetime(2026, 1, 1, tzinfo=UTC)
"""No honest clock shows a time before this was written."""


def examine(home: Home, clock: Clock, network: NetworkSettings) -> tuple[Check, ...]:
    """Run all checks; `network` is how a share or a fetch would be on it."""
    return (*_versions(), *_data_dir(home, clock), *_clusters(home), *_process(), *peer_checks(home, network))


def _versions() -> Iterator[Check]:
    yield ok("blixard", __version__)
    yield ok("python", f"{platform.python_version()} ({platform.python_implementation()})")
    yield ok("system", f"{platform.system()} {platform.release()} {platform.machine()}")
    yield ok("sqlite", sqlite3.sqlite_version)
    missing = []
    found = []
    for name in _required():
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    yield ok("libraries", ", ".join(found))
    if missing:
        yield fail("libraries", f"not installed: {', '.join(missing)}", INSTALL_AGAIN)


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
            yield ok("data directory", f"`{home.root}` is not there yet; `{there}` is writable")
        else:
            yield fail(
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
        yield fail("data directory", error.message, error.hint or "run as its owner, or choose one with `--data-dir`")
        return
    try:
        yield ok("data directory", f"`{home.root}` is writable")
        yield _clock(probe, clock)
        yield _reflink(probe)
        yield _nameless(there)
    finally:
        files.unlink(probe, missing_ok=True)


def _space(there: Path) -> Iterator[Check]:
    free = files.free_bytes(there)
    saw = f"{free / GIB:.1f} GiB free at `{there}`"
    if free < DEFAULT.space_reserve_bytes:
        yield fail("space", saw, "free some space; `blixard cluster gc` shows what blixard itself holds")
    elif free < 4 * GIB:
        yield warn("space", saw, "an import keeps what it replaces: it needs room for both")
    else:
        yield ok("space", saw)


def _clock(probe: Path, clock: Clock) -> Check:
    now = clock.now()
    if now < _BUILT:
        return fail("clock", f"it shows {now:%Y-%m-%d}", "set the clock: ages and expiries go by it")
    drift = abs((datetime.fromtimestamp(probe.stat().st_mtime, UTC) - now).total_seconds())
    if drift > 60:
        return warn("clock", f"the file system's clock differs by {drift:.0f} s", "synchronise both hosts' clocks")
    return ok("clock", f"{now:%Y-%m-%d %H:%M:%SZ}")


def _reflink(probe: Path) -> Check:
    name = "reflink"
    copy = probe.with_name(probe.name + ".copy")
    source = files.open_existing(probe)
    try:
        files.write_all(source, bytes(4096), probe)
        shared = files.reflink_or_copy(source, copy)
        files.unlink(copy)
    except StorageError as error:
        return warn(name, error.message, "see the check of the data directory")
    finally:
        os.close(source)
    if shared:
        return ok(name, "supported: copies of disks share their blocks")
    return warn(
        name, "not supported: disks are copied, sparse", "XFS and Btrfs share blocks, copies take no time there"
    )


def _nameless(there: Path) -> Check:
    try:
        os.close(os.open(there, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError:
        return warn(
            "nameless files", "O_TMPFILE is not supported", "a killed export leaves a file that the next one removes"
        )
    return ok("nameless files", "O_TMPFILE is supported")


def _clusters(home: Home) -> Iterator[Check]:
    # an export that shares holds the cluster as the export that it was
    serving = {holder.pid: holder.verb for holder in node_holders(home)}
    for name in home.clusters():
        check = f"cluster {name}"
        try:
            directory = home.cluster(name)
            with open_store(directory) as store:
                revision = store.snapshot().revision
        except BlixardError as error:
            yield fail(check, error.message, error.hint)
            continue
        holders = dict.fromkeys(
            f"`{serving.get(each.pid, each.verb)}` (pid {each.pid})" for each in locks_of(directory).holders()
        )
        at_work = f"at work: {', '.join(holders)}" if holders else "nobody is at work"
        yield ok(check, f"readable, revision {revision}, {at_work}")


def _process() -> Iterator[Check]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    saw = f"{soft} open files allowed, {hard} at most"
    if soft < _FEW_FILES:
        yield warn("file descriptors", saw, f"`ulimit -n {_FEW_FILES}`")
    else:
        yield ok("file descriptors", saw)
    yield ok("processors", str(len(os.sched_getaffinity(0))))
