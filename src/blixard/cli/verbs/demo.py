"""`blixard demo`: the main job on real disks, through the public commands and nothing else.

It makes ext4 disks from files of this machine, exports a cluster of three VMs, brings it back in another place, proves
every disk equal byte by byte, fills a template, takes that back, and hands the cluster to a third place by ticket. What
is shown is what was run.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from blixard.cli.options import command
from blixard.errors import ExitCode, StorageError, UsageError

if TYPE_CHECKING:
    from blixard.cli.session import Session

_SOURCE_BYTES = 64 << 20
"""How much of this machine's files goes onto the base disk: real data, and quick on two cores."""
_DISK = "192M"
_SHARE_SECONDS = 60.0
_LOOK_SECONDS = 0.05
_TEMPLATE_STEP = """\
jq '.metadata.template.variables.memory = {
      "type": "integer", "description": "MB for each web server",
      "targets": ["/vms/web-1/memory", "/vms/web-2/memory"]}' web.json > template.json"""


@command(examples=["blixard demo", "blixard demo --keep /tmp/blixard-demo"])
@click.option("--keep", metavar="DIR", help="Work in this new directory and leave it there")
def demo(session: Session, keep: str | None) -> None:
    """Run the main job on real disks, in a directory of its own, and show every step.

    Needs `mkfs.ext4` (Debian's package e2fsprogs); uses `qemu-img` and `jq` where they
    are. Your own clusters are not touched.
    """
    if shutil.which("mkfs.ext4", path=_path()) is None:
        raise UsageError("the demo makes real ext4 disks and needs `mkfs.ext4`", hint="`apt-get install e2fsprogs`")
    if keep is not None and Path(keep).exists():
        raise UsageError(f"`{keep}` exists already", hint="name a new directory")
    folder = Path(keep) if keep is not None else Path(tempfile.mkdtemp(prefix="blixard-demo-"))
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        _Demo(folder, colour=session.out.colour).run()
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)


def _path() -> str:
    """Where programs are: mkfs lies in sbin, which a plain user's PATH lacks, and `blixard` beside this Python."""
    own = sysconfig.get_path("scripts")
    return os.pathsep.join([own, os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


class _Demo:
    """One run in `folder`; each method is one scene."""

    def __init__(self, folder: Path, *, colour: bool) -> None:
        self._folder = folder
        self._colour = colour
        self._environment = {
            "PATH": _path(),
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "BLIXARD_DATA_DIR": str(folder / "site-a"),
            **{name: os.environ[name] for name in ("TERM", "NO_COLOR", "FORCE_COLOR") if name in os.environ},
        }
        if colour:
            self._environment["FORCE_COLOR"] = "1"

    def run(self) -> None:
        """All scenes."""
        started = time.monotonic()
        self._make_disks()
        self._make_cluster()
        self._export()
        self._bring_back()
        self._prove()
        self._fill_a_template()
        self._take_back()
        self._share()
        self._say("green", f"\nDone in {time.monotonic() - started:.0f} s: every disk came back byte for byte.")

    def _make_disks(self) -> None:
        self._scene("Real disks: an ext4 root made from this machine's files, a clone with changes, a qcow2")
        self._copy_files(self._folder / "root")
        self._shell(f"mkfs.ext4 -q -d root base.raw {_DISK} > mkfs.log")
        self._shell("cp --sparse=always base.raw clone.raw")
        (self._folder / "motd").write_text("this disk is a clone with changes\n")
        self._shell("debugfs -w -R 'write motd etc-motd' clone.raw > debugfs.log 2>&1")
        if shutil.which("qemu-img") is not None:
            self._shell("qemu-img convert -f raw -O qcow2 base.raw data.qcow2")
            return
        # without QEMU's tools, our own export and extract make the qcow2
        self._quietly("blixard cluster init seed")
        self._quietly("blixard vm create seed --vcpus 1 --memory 256 --disk base.raw,format=raw")
        self._quietly("blixard cluster export -o seed.json.gz -c seed --include-images")
        self._shell("blixard cluster extract seed.json.gz seed -o data.qcow2 --format qcow2")
        self._quietly("blixard cluster delete seed -y")

    def _make_cluster(self) -> None:
        self._scene("A cluster of three VMs")
        (self._folder / "web.toml").write_text('hostname = "web"\nport = 8080\n')
        self._shell("blixard cluster init my-cluster")
        self._shell("blixard vm create web-1 --vcpus 2 --memory 1024 --disk base.raw,format=raw --file config=web.toml")
        self._shell("blixard vm create web-2 --vcpus 2 --memory 1024 --disk clone.raw,format=raw")
        self._shell("blixard vm create db-1 --vcpus 4 --memory 4096 --disk data.qcow2,format=qcow2 --label tier=db")

    def _export(self) -> None:
        self._scene("The whole cluster into one file, and a look into it")
        self._shell("blixard cluster export -o cluster-full.json.gz -c my-cluster --include-images")
        self._shell("blixard cluster inspect cluster-full.json.gz")
        self._shell("blixard cluster verify cluster-full.json.gz")

    def _bring_back(self) -> None:
        self._scene("Another site: bring it back from that file alone")
        self._environment["BLIXARD_DATA_DIR"] = str(self._folder / "site-b")
        self._shell("export BLIXARD_DATA_DIR=$PWD/site-b")
        self._shell("blixard cluster import -i cluster-full.json.gz")

    def _prove(self) -> None:
        self._scene("Every restored disk, compared byte by byte with the original")
        self._shell("blixard cluster export -o proof.json.gz -c my-cluster --include-images")
        for original, vm in (("base.raw", "web-1"), ("clone.raw", "web-2"), ("base.raw", "db-1")):
            self._shell(f"blixard cluster extract proof.json.gz {vm} -o {vm}.raw --format raw -q")
            self._shell(f"cmp {original} {vm}.raw && echo identical")
        if shutil.which("qemu-img") is not None:
            self._shell("blixard cluster extract proof.json.gz db-1 -o db-1.qcow2 -q")
            self._shell("qemu-img compare data.qcow2 db-1.qcow2")

    def _fill_a_template(self) -> None:
        self._scene("A template for git: declare a variable, fill it, merge it")
        self._shell("blixard cluster export -o web.json -c my-cluster --template --only 'vm=web-*'")
        if shutil.which("jq") is not None:
            self._shell(_TEMPLATE_STEP)
            self._shell("blixard cluster import -i template.json --merge --var memory=2048")
        else:
            self._shell("blixard cluster import -i web.json --merge --set /vms/web-1/memory=2048")
        self._shell("blixard cluster diff cluster-full.json.gz cluster:my-cluster")

    def _take_back(self) -> None:
        self._scene("Second thoughts: undo, and where we stand")
        self._shell("blixard cluster undo")
        self._shell("blixard cluster status")

    def _share(self) -> None:
        self._scene("A third site: share the file, import it by ticket")
        sharer = self._beside("blixard cluster share cluster-full.json.gz --share-uses 1 > ticket.out 2> share.log")
        try:
            self._wait_for_a_line(sharer, self._folder / "ticket.out")
            self._shell("cat ticket.out")
            self._environment["BLIXARD_DATA_DIR"] = str(self._folder / "site-c")
            self._shell("export BLIXARD_DATA_DIR=$PWD/site-c")
            self._shell("blixard cluster import -i $(sed 's/.*: //' ticket.out) --p2p")
            self._wait_for_the_end(sharer)
        finally:
            sharer.kill()
            sharer.wait()
        self._shell("cat share.log")
        self._shell("blixard cluster export -o third.json.gz -c my-cluster --include-images -q")
        self._shell("blixard cluster extract third.json.gz web-2 -o third.raw --format raw -q")
        self._shell("cmp clone.raw third.raw && echo identical")

    def _copy_files(self, target: Path) -> None:
        """Real files, enough for a base disk: Python's own library is on every machine that runs this."""
        target.mkdir()
        taken = 0
        library = Path(sysconfig.get_path("stdlib"))
        for path in sorted(library.rglob("*")):
            if not path.is_file() or path.is_symlink() or "site-packages" in path.parts:
                continue
            place = target / path.relative_to(library)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
            taken += path.stat().st_size
            if taken > _SOURCE_BYTES:
                return

    def _scene(self, title: str) -> None:
        self._say("bold", f"\n== {title}")

    def _shell(self, line: str) -> None:
        """Show a command line and run it as a person's shell would."""
        self._say("cyan", f"$ {line}")
        self._run(line, None)

    def _beside(self, line: str) -> subprocess.Popen[bytes]:
        """Show a command line and run it beside those that follow, as a person's shell does with `&`."""
        self._say("cyan", f"$ {line} &")
        # `exec`: what is ended is the command, not a shell around it
        return subprocess.Popen(f"exec {line}", shell=True, cwd=self._folder, env=self._environment)  # noqa: S602 - as `_run`

    def _wait_for_a_line(self, process: subprocess.Popen[bytes], file: Path) -> None:
        """Until `process` has written a whole line to `file`."""
        end = time.monotonic() + _SHARE_SECONDS
        while not (file.exists() and file.read_bytes().endswith(b"\n")):
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_SECONDS)
                break
            if time.monotonic() > end:
                break
        if not file.exists() or not file.read_bytes():
            raise StorageError("the share did not print its ticket", hint=f"see `{self._folder / 'share.log'}`")

    def _wait_for_the_end(self, process: subprocess.Popen[bytes]) -> None:
        self._say("cyan", "$ wait")
        try:
            code = process.wait(_SHARE_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise StorageError("the share did not end after its one receiver") from error
        if code != ExitCode.DONE:
            raise StorageError(f"the share ended with {code}", hint=f"see `{self._folder / 'share.log'}`")

    def _quietly(self, line: str) -> None:
        self._run(line, subprocess.DEVNULL)

    def _run(self, line: str, output: int | None) -> None:
        sys.stdout.flush()
        done = subprocess.run(  # noqa: S602 - lines of ours, and the point is that a shell runs them
            line,
            shell=True,
            cwd=self._folder,
            env=self._environment,
            stdout=output,
            stderr=subprocess.STDOUT if output is None else output,
            check=False,
        )
        if done.returncode != ExitCode.DONE:
            raise StorageError(f"`{shlex.split(line)[0]}` ended with {done.returncode}: `{line}`")

    def _say(self, style: str, text: str) -> None:
        codes = {"bold": "1", "cyan": "36", "green": "1;32"}
        sys.stdout.write(f"\x1b[{codes[style]}m{text}\x1b[0m\n" if self._colour else f"{text}\n")
        sys.stdout.flush()
