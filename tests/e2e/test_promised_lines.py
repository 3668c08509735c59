"""The lines that were promised (DESIGN.md section 1), run as written by a shell and nothing else.

Each environment runs them in the order of the page and in the opposite one, over one cluster with real disks.
"""

from __future__ import annotations

import gzip
import json
import os
import pwd
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]
NOBODY = 65534
MKFS = shutil.which("mkfs.ext4", path="/usr/sbin:/sbin:/usr/bin:/bin")
SAYS_TICKET = "Share this ticket with other nodes: blixard"

PLAIN = "blixard cluster export -o cluster-backup.json -c my-cluster --no-compress"
GZIP = "blixard cluster export -o cluster-backup.json -c my-cluster"
NAMED_GZ = "blixard cluster export -o cluster-backup.json.gz -c my-cluster"
FULL = "blixard cluster export -o cluster-full.json.gz -c my-cluster --include-images"
TELEMETRY = "blixard cluster export -o cluster-with-telemetry.json.gz -c my-cluster --include-telemetry"
REPLACE = "blixard cluster import -i cluster-backup.json.gz"
MERGE = "blixard cluster import -i cluster-backup.json.gz --merge"
SHARE = "blixard cluster export -o backup.json.gz -c my-cluster --p2p-share --share-uses 1"
FETCH = 'blixard cluster import -i "$ticket" --p2p'
STATUS = "blixard cluster status"

AS_PROMISED = [GZIP, NAMED_GZ, PLAIN, FULL, TELEMETRY, REPLACE, MERGE, SHARE, FETCH, STATUS]
# a ticket is there before it is used
BACKWARDS = [STATUS, SHARE, FETCH, TELEMETRY, FULL, PLAIN, NAMED_GZ, GZIP, MERGE, REPLACE]
ORDERS = {"as_promised": AS_PROMISED, "backwards": BACKWARDS}

pytestmark = pytest.mark.skipif(MKFS is None, reason="makes real disks with mkfs.ext4")


class Ended(Struct, frozen=True):
    """What a line left: exit code, both channels, and the export files of then (name to mode and first bytes)."""

    code: int
    out: str
    err: str
    files: dict[str, tuple[int, bytes]]

    @property
    def messages(self) -> list[str]:
        return self.err.splitlines()


class Stand:
    """A clean directory that anybody may enter, with a passwd home beside it."""

    def __init__(self, root: Path) -> None:
        self.work, self.notes, self.home = root / "work", root / "notes", root / "home"
        for folder in (root, self.work, self.notes, self.home):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)

    def script(self, lines: list[str]) -> str:
        """The shell script: each line as it is, with what it left beside."""
        parts = ["umask 022", f"cd {self.work}"]
        for number, line in enumerate(lines):
            note = f"{self.notes}/{number}"
            runs = [f"{line} > {note}.out 2> {note}.err", f"echo $? > {note}.code"]
            if line == SHARE:
                runs = _serves(note)
            elif line == FETCH:
                runs = [f"BLIXARD_DATA_DIR={self.home}/other {runs[0]}", runs[1], *_SERVED]
            parts += [*runs, f"mkdir {note}.files; cp -a {self.work}/*.json* {note}.files/ 2> /dev/null"]
        return "\n".join([*parts, "true", ""])

    def ended(self, number: int) -> Ended:
        """What line `number` left."""
        note = self.notes / str(number)
        held = sorted(note.with_suffix(".files").iterdir())
        return Ended(
            code=int(note.with_suffix(".code").read_text()),
            out=note.with_suffix(".out").read_text(),
            err=note.with_suffix(".err").read_text(),
            files={each.name: (stat.S_IMODE(each.stat().st_mode), each.read_bytes()) for each in held},
        )

    def run(self, command: list[str], environment: dict[str, str], lines: list[str], *, stdin: str) -> dict[str, Ended]:
        """Set the cluster up, then run every line; what each left, by line."""
        set_up = f"{{ blixard cluster init my-cluster && {_create('web-1')} && {_create('db-1')}; }}"
        prepared = [set_up, *lines]
        text = self.script(prepared)
        (self.notes / "lines.sh").write_text(text)
        done = subprocess.run(
            [*command, "bash", "-c", f"exec bash {self.notes}/lines.sh {stdin}"],
            env=environment,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done
        assert self.ended(0).code == 0, self.ended(0)
        return {line: self.ended(number + 1) for number, line in enumerate(lines)}


def _serves(note: str) -> list[str]:
    """Run the share beside what follows, as on another screen; go on when it has said its ticket, or has ended."""
    return [
        f"share={note}; mkfifo $share.fifo",
        f"{SHARE} > $share.fifo 2> $share.err & sharer=$!",
        "exec 3< $share.fifo; IFS= read -r said <&3; ticket=${said##* }",
        'echo "$said" > $share.out',
    ]


_SERVED = ["wait $sharer; echo $? > $share.code", "cat <&3 >> $share.out; exec 3<&-"]
"""Lines that follow a fetch: the share ends by itself, and is judged too."""


def _create(vm: str) -> str:
    return f"blixard vm create {vm} --vcpus 2 --memory 512 --disk {vm}.ext4,format=raw"


@pytest.fixture(scope="module")
def disks() -> Iterator[Path]:
    """Two small ext4 file systems with files in them."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        (tree / "etc").mkdir(parents=True)
        shutil.copy("/bin/ls", tree)
        for vm in ("web-1", "db-1"):
            (tree / "etc/hostname").write_text(f"{vm}\n")
            image = Path(folder, f"{vm}.ext4")
            subprocess.run([str(MKFS), "-q", "-d", str(tree), str(image), "4M"], check=True)
        yield Path(folder)


@pytest.fixture
def stand(disks: Path) -> Iterator[Stand]:
    with tempfile.TemporaryDirectory() as folder:
        made = Stand(Path(folder))
        for image in disks.glob("*.ext4"):
            shutil.copy(image, made.work)
        yield made


def check_all(ended: dict[str, Ended]) -> None:
    """What was promised of each line, in any order."""
    for line, left in ended.items():
        assert left.code == 0, (line, left)
        assert len([each for each in left.messages if not each.startswith("receiver ")]) <= 5, (line, left.err)
        assert all(mode == 0o600 for mode, _ in left.files.values()), (line, left.files.keys())
        if line not in (STATUS, SHARE):
            assert left.out == ""
    for line in (GZIP, NAMED_GZ, PLAIN, TELEMETRY):
        assert _warnings(ended[line]) == [
            "warning: the content of 2 disks is not in the file: `--include-images` takes it along"
        ]
    assert [text[: len(SAYS_TICKET)] for text in ended[SHARE].out.splitlines()] == [SAYS_TICKET]
    assert "1 receiver got all of it" in ended[SHARE].messages
    assert "importing into the new cluster `my-cluster`" in ended[FETCH].err
    _check_files(ended)
    assert _warnings(ended[REPLACE]) == _warnings(ended[MERGE]) == []
    assert ended[STATUS].out.splitlines()[0].split()[:2] == ["cluster:", "my-cluster"]


def _check_files(ended: dict[str, Ended]) -> None:
    hint = "`cluster-backup.json` will be gzip: `--no-compress` writes plain JSON"
    assert [text for text in ended[GZIP].messages if "--no-compress" in text] == [hint]
    assert not any("--no-compress" in text for line in (NAMED_GZ, PLAIN, FULL) for text in ended[line].messages)
    written = {
        GZIP: "cluster-backup.json",
        NAMED_GZ: "cluster-backup.json.gz",
        FULL: "cluster-full.json.gz",
        TELEMETRY: "cluster-with-telemetry.json.gz",
        SHARE: "backup.json.gz",
    }
    documents = {line: json.loads(gzip.decompress(ended[line].files[name][1])) for line, name in written.items()}
    documents[PLAIN] = json.loads(ended[PLAIN].files["cluster-backup.json"][1])
    for line, document in documents.items():
        assert (document["cluster_name"], sorted(document["vms"])) == ("my-cluster", ["db-1", "web-1"])
        assert [key for key in ("images", "telemetry") if key in document] == _extras(line)
    assert len(documents[FULL]["images"]) == 2


def _extras(line: str) -> list[str]:
    return {FULL: ["images"], TELEMETRY: ["telemetry"]}.get(line, [])


def _warnings(left: Ended) -> list[str]:
    return [text for text in left.messages if text.startswith("warning:")]


@pytest.mark.parametrize("order", ORDERS)
def test_in_a_login_shell(order: str, stand: Stand) -> None:
    environment = {
        "PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": str(stand.home),
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "USER": "operator",
        "SHELL": "/bin/bash",
        "BLIXARD_DATA_DIR": str(stand.home / "data"),
    }

    check_all(stand.run([], environment, ORDERS[order], stdin="< /dev/null"))


@pytest.mark.parametrize("order", ORDERS)
def test_under_cron_with_standard_input_closed(order: str, stand: Stand) -> None:
    environment = {"PATH": f"{BIN}:/usr/bin:/bin", "LANG": "C", "BLIXARD_DATA_DIR": str(stand.home / "data")}

    check_all(stand.run([], environment, ORDERS[order], stdin="<&-"))


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_as_another_user_in_the_data_directory_of_his_passwd_entry(stand: Stand) -> None:
    environment = {"PATH": f"{BIN}:/usr/bin:/bin", "LANG": "C"}
    for path in (stand.work, *stand.work.iterdir(), stand.home, stand.notes):
        os.chown(path, NOBODY, NOBODY)

    check_all(stand.run(_as_nobody(stand), environment, AS_PROMISED, stdin="<&-"))

    found = stand.home / ".local/share/blixard/clusters/my-cluster"
    assert found.is_dir()
    assert {path.stat().st_uid for path in found.iterdir()} == {NOBODY}


def _as_nobody(stand: Stand) -> list[str]:
    """A command that runs another as nobody, in mounts of its own, where nobody has a home and can reach us."""
    passwd = stand.notes / "passwd"
    passwd.write_text(f"root:x:0:0::/root:/bin/sh\nnobody:x:{NOBODY}:{NOBODY}::{stand.home}:/bin/sh\n")
    steps = [f"mount --bind {passwd} /etc/passwd"]
    trees = {tree: closed for tree in (Path(sys.base_prefix), ROOT) if (closed := _closed_above(tree)) is not None}
    for number, tree in enumerate(trees):
        hold = stand.notes / f"tree-{number}"
        hold.mkdir()
        steps.append(f"mount --bind {tree} {hold}")
    steps += [f"mount -t tmpfs -o mode=755 tmpfs {closed}" for closed in dict.fromkeys(trees.values())]
    for number, tree in enumerate(trees):
        steps += [f"mkdir -p {tree}", f"mount --bind {stand.notes}/tree-{number} {tree}"]
    steps.append(f'exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups "$@"')
    made = ["unshare", "--mount", "bash", "-ec", "\n".join(steps), "bash"]
    if subprocess.run([*made, "true"], capture_output=True, check=False).returncode:
        pytest.skip("may not make mounts of its own")
    assert pwd.getpwuid(NOBODY).pw_dir != str(stand.home)
    return made


def _closed_above(tree: Path) -> Path | None:
    """The uppermost folder above an interpreter or a clone that only root may enter, such as root's home."""
    return next((each for each in reversed(tree.parents) if not each.stat().st_mode & 0o001), None)


def test_a_backup_restores_on_a_machine_that_has_nothing(stand: Stand) -> None:
    environment = {"PATH": f"{BIN}:/usr/bin:/bin", "LANG": "C", "BLIXARD_DATA_DIR": str(stand.home / "data")}
    elsewhere = f"BLIXARD_DATA_DIR={stand.home}/elsewhere"
    full = "blixard cluster import -i cluster-full.json.gz"
    disk = f"{stand.home}/elsewhere/clusters/my-cluster/disks"
    same = f"cmp <(cat {disk}/*-0.raw {disk}/*-1.raw) <(cat db-1.ext4 web-1.ext4)"
    lines = [FULL, f"export {elsewhere}", full, STATUS, same]

    ended = stand.run([], environment, lines, stdin="<&-")

    assert {line: left.code for line, left in ended.items()} == dict.fromkeys(lines, 0), ended
    assert "importing into the new cluster `my-cluster`" in ended[full].err
    assert len(ended[full].messages) <= 5
    assert "my-cluster" in ended[STATUS].out


@pytest.mark.parametrize("line", [NAMED_GZ, FULL, MERGE])
def test_options_in_the_other_order_mean_the_same(line: str, stand: Stand) -> None:
    environment = {"PATH": f"{BIN}:/usr/bin:/bin", "LANG": "C", "BLIXARD_DATA_DIR": str(stand.home / "data")}
    turned = _turned(line)
    assert turned != line

    ended = stand.run([], environment, [NAMED_GZ, turned], stdin="<&-")

    assert (ended[turned].code, ended[turned].out) == (0, ""), ended[turned]


def _turned(line: str) -> str:
    words: list[Any] = shlex.split(line)
    pairs = [words[n : n + 1 + (n + 1 < len(words) and not words[n + 1].startswith("-"))] for n in _options(words)]
    return " ".join([*words[:3], *(word for pair in reversed(pairs) for word in pair)])


def _options(words: list[str]) -> list[int]:
    return [number for number, word in enumerate(words) if word.startswith("-")]
