"""Moving 1 GB of random disk between two processes of this machine: ours and what people use today, in turns.

Every receiver runs as a user would run it, against a sender that stands ready; its time begins with its process and
ends, on its way to disk, when the file system is written back.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from shlex import join, quote

from msgspec import Struct
from msgspec.structs import replace

from . import ours, senders
from .contest import remove
from .inputs import KIB, MIB, SEED, warm
from .machine import load
from .measure import BenchError, shell
from .measure import run as run_command
from .senders import Place, Sender
from .transfer import Ends, median, transfer

LANE, LANE_GZIP, IROH = "blixard, lane", "blixard, lane, gzip export", "blixard, Iroh alone"
FETCH_LANE, FETCH_IROH = "blixard fetch, lane", "blixard fetch, Iroh alone"
BLOBS, RSYNC, CURL = "iroh 0.35 blobs", "rsync daemon", "curl, http.server"
SCP, SCP_GCM = "scp", "scp, aes128-gcm"
VM = "random"
TOLD = "told"
"""What our discarding receiver says, in the folder where it runs."""
_STARTED = "started"
"""Where a receiver leaves the seconds that do not count."""
_KEY = f"{ours.BLIXARD} peer id"
_DISCARD = Path(__file__).with_name("discard.py")


class Goods(Struct, frozen=True):
    """What is moved: a disk, and exports of it."""

    disk: Path
    plain: Path
    gzip: Path

    @property
    def size(self) -> int:
        """Bytes of the disk, all of them random."""
        return self.disk.stat().st_size


class Way(Struct, frozen=True, kw_only=True):
    """One way to move it. Lines are shell and run in a new folder; None: there is no such thing."""

    name: str
    sender: Sender
    to_disk: str | None = None
    discard: str | None = None
    environment: dict[str, str] = {}
    before: str | None = None
    """Run untimed in the same folder: a receiver's key is there already, as that of scp is."""
    found: Callable[[Path], Path] = lambda folder: folder / "got"
    same: bool = True
    """What is found is the disk, byte by byte."""


class Moved(Struct, frozen=True):
    """Medians by way, and the load average before each round."""

    size: int
    to_disk: dict[str, Ends]
    discarded: dict[str, Ends]
    loads: list[str]


def make_goods(folder: Path, size: int) -> Goods:
    """A random disk and its exports."""
    folder.mkdir(parents=True)
    disk = folder / f"{VM}.raw"
    dice = random.Random(SEED)
    with disk.open("wb") as file:
        for at in range(0, size, MIB):
            file.write(dice.randbytes(min(MIB, size - at)))
    return Goods(disk, *exports(folder, disk))


def exports(folder: Path, disk: Path) -> tuple[Path, Path]:
    """Plain and gzip."""
    data_dir, plain, gzip = folder / "ours", folder / "disk.json", folder / "disk.json.gz"
    ours.make_cluster(data_dir, {VM: disk})
    ours.blixard(data_dir, "cluster", "export", "-o", plain, "--include-images", "--no-compress")
    ours.blixard(data_dir, "cluster", "export", "-o", gzip, "--include-images")
    return plain, gzip


def move(goods: Goods, run: Path, rounds: int) -> Moved:
    """All ways, in turns.

    Raises:
        BenchError: one failed, or what came is not what was sent.
    """
    to_disk: dict[str, list[Ends]] = {}
    discarded: dict[str, list[Ends]] = {}
    loads = []
    with ExitStack() as stack:
        ways = _ways(goods, run, stack)
        for number in range(rounds):
            loads.append(load())
            for way in ways:
                for line, found in ((way.to_disk, to_disk), (way.discard, discarded)):
                    if line is not None:
                        found.setdefault(way.name, []).append(_once(way, line, goods, run))
            print(f"  round {number + 1} of {rounds}: load {loads[-1]} before, {load()} after", flush=True)
    return Moved(
        goods.size,
        {name: median(each) for name, each in to_disk.items()},
        {name: median(each) for name, each in discarded.items()},
        loads,
    )


def small_import(run: Path, rounds: int) -> float:
    """Seconds of a whole `cluster import --p2p` of one record of 64 KiB: an upper bound of its first byte's time.

    On a machine that never fetched anything: its key is made on the way.
    """
    folder = run / "small"
    goods = make_goods(folder, 64 * KIB)
    with ExitStack() as stack:
        way = replace(next(_ours(goods, folder, stack)), before=None)
        found = [_once(way, way.to_disk or "", goods, folder) for _ in range(rounds)]
    remove(folder)
    return median(found).wall


def _once(way: Way, line: str, goods: Goods, run: Path) -> Ends:
    folder = run / "received"
    remove(folder)
    (folder / "data").mkdir(parents=True)
    environment = ours.environment(folder / "data") | way.environment
    if way.before is not None:
        run_command(shell(way.before), environment=environment, folder=folder)
    warm([goods.disk, goods.plain, goods.gzip])
    subprocess.run(["sync", "-f", folder], check=True)
    durable = line is way.to_disk
    ends = transfer(line, way.sender.pid, folder, environment, durable=durable)
    started = folder / _STARTED
    if started.exists():
        ends = replace(ends, wall=ends.wall - float(started.read_text()))
    if durable and way.same:
        _compare(way, goods.disk, way.found(folder))
    remove(folder)
    what = "to disk" if durable else "discarded"
    print(f"    {way.name}, {what}: {goods.size / ends.wall / 1e6:.0f} MB/s", flush=True)
    return ends


def _compare(way: Way, disk: Path, copy: Path) -> None:
    if subprocess.run(["cmp", "-s", disk, copy], check=False).returncode != 0:
        raise BenchError(f"what {way.name} brought differs from what was sent")


def _ways(goods: Goods, run: Path, stack: ExitStack) -> list[Way]:
    """Start every sender; they all stand ready to the end."""
    served = goods.disk.parent
    key = run / "sshd"
    sshd = stack.enter_context(senders.sshd(key, Place()))
    rsyncd = stack.enter_context(senders.rsyncd(served, run / "rsyncd"))
    http = stack.enter_context(senders.http(served, run / "http"))
    name = goods.disk.name
    return [
        *_ours(goods, run, stack),
        _blobs(goods, run, stack),
        _scp(SCP, sshd, goods.disk, key),
        _scp(SCP_GCM, sshd, goods.disk, key, "-c", "aes128-gcm@openssh.com"),
        Way(name=RSYNC, sender=rsyncd, to_disk=f"rsync rsync://127.0.0.1:{rsyncd.where}/bench/{quote(name)} got"),
        Way(
            name=CURL,
            sender=http,
            to_disk=f"curl -sf -o got http://127.0.0.1:{http.where}/{quote(name)}",
            discard=f"curl -sf -o /dev/null http://127.0.0.1:{http.where}/{quote(name)}",
        ),
    ]


def _ours(goods: Goods, run: Path, stack: ExitStack) -> Iterator[Way]:
    plain = stack.enter_context(senders.share(goods.plain, run / "share-plain", Place()))
    gzip = stack.enter_context(senders.share(goods.gzip, run / "share-gzip", Place()))
    for name, sender, lane in ((LANE, plain, "auto"), (LANE_GZIP, gzip, "auto"), (IROH, plain, "iroh")):
        yield Way(
            name=name,
            sender=sender,
            to_disk=f"{ours.BLIXARD} cluster import -q --p2p --lane {lane}",
            discard=discard_line(lane),
            environment={"BLIXARD_TICKET": sender.where},
            before=_KEY,
            found=lambda folder: ours.restored(folder / "data", [VM])[VM],
        )
    for name, lane in ((FETCH_LANE, "auto"), (FETCH_IROH, "iroh")):
        yield Way(
            name=name,
            sender=plain,
            to_disk=f"{ours.BLIXARD} cluster fetch -q --lane {lane} --no-compress -o got.json",
            environment={"BLIXARD_TICKET": plain.where},
            before=_KEY,
            same=False,  # it checks itself against the ticket; the file is an export, not the disk
        )


def discard_line(lane: str, seconds: float = 3600.0) -> str:
    """Our receiver that throws away what it has checked."""
    return f"{ours.PYTHON} {quote(str(_DISCARD))} $PWD/data {lane} $EPOCHREALTIME {seconds:g} > {TOLD}"


def _blobs(goods: Goods, run: Path, stack: ExitStack) -> Way:
    python = _old_iroh()
    sender = stack.enter_context(senders.blobs(python, goods.disk, run / "blobs"))
    program = join([str(python), str(Path(__file__).with_name("blobs.py"))])
    return Way(
        name=BLOBS,
        sender=sender,
        to_disk=f"{program} fetch {sender.where} $PWD/store $PWD/got > {_STARTED}",
        discard=f"{program} discard {sender.where} > {_STARTED}",
    )


def _old_iroh() -> Path:
    """Python of a virtual environment with iroh 0.35, beside ours and kept for the next run."""
    folder = Path(sys.prefix) / "iroh-0.35"
    python = folder / "bin" / "python"
    if not (folder / "made").exists():
        remove(folder)
        install = [str(python), "-m", "pip", "install", "-q", "iroh==0.35.*"]
        for command in ([sys.executable, "-m", "venv", str(folder)], install):
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            if done.returncode != 0:
                raise BenchError(f"cannot install iroh 0.35: {done.stdout.decode(errors='replace')[-1000:]}")
        (folder / "made").touch()
    return python


def _scp(name: str, sender: Sender, disk: Path, key: Path, *cipher: str) -> Way:
    command = join(["scp", "-q", *senders.ssh_options(key), *cipher, "-P", sender.where, f"127.0.0.1:{disk}"])
    return Way(name=name, sender=sender, to_disk=f"{command} got", discard=f"{command} /dev/null")
