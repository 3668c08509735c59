"""Every verb that writes, as fault tests run it on a copy of the world that `support.world.build` makes."""

from __future__ import annotations

import subprocess

from msgspec import Struct

from support.commands import Ran
from support.world import AT, Picture, World, picture


class Verb(Struct, frozen=True, kw_only=True):
    """A command that changes something.

    Args:
        arguments: of the command; `OUT` and `IMAGES` stand for the world's folders.
        prepare: commands that come before.
        piped: the export file that it reads from a pipe.
        again: it may be run once more after it was done, and changes nothing then.
        makes: the file of `out` that it writes.
    """

    arguments: tuple[str, ...]
    prepare: tuple[tuple[str, ...], ...] = ()
    piped: str | None = None
    again: bool = False
    makes: str | None = None

    def run(self, world: World, **how: object) -> Ran:
        """Run it on `world`."""
        arguments = _placed(self.arguments, world)
        if self.piped is None:
            return world.blixard(*arguments, **how)
        with subprocess.Popen(["cat", world.out / self.piped], stdout=subprocess.PIPE) as pipe:
            assert pipe.stdout is not None
            ran = world.blixard(*arguments, stdin=pipe.stdout.fileno(), **how)
            pipe.stdout.close()
        return ran

    def set_up(self, world: World) -> None:
        """Bring `world` to where the verb begins."""
        for arguments in self.prepare:
            world.must(*_placed(arguments, world))


def _placed(arguments: tuple[str, ...], world: World) -> list[str]:
    return [each.replace("OUT", str(world.out)).replace("IMAGES", str(world.images)) for each in arguments]


IMPORT = ("cluster", "import", "-i", "OUT/new.json.gz", "-c", "web", "--threads", "2")
EXPORT = ("cluster", "export", "--include-images", "--exported-at", AT, "-c", "web", "--threads", "2")
DISKS = ("--disk", "IMAGES/a.raw,name=root", "--disk", "IMAGES/b.qcow2,name=data")
VERBS = {
    "export": Verb(arguments=(*EXPORT, "-o", "OUT/made.json"), makes="made.json", again=True),
    "export over": Verb(
        arguments=(*EXPORT, "--verify", "-o", "OUT/new.json.gz"), makes="new.json.gz", again=True
    ),
    "export redacted": Verb(
        arguments=(*EXPORT[:2], *EXPORT[3:], "-o", "OUT/made.json", "--redact", "--secrets-out", "OUT/secrets"),
        makes="made.json",
        again=True,
    ),
    "import replace": Verb(arguments=IMPORT, again=True),
    "import merge": Verb(arguments=(*IMPORT, "--merge", "--replace-disks"), again=True),
    "import new": Verb(arguments=("cluster", "import", "-i", "OUT/new.json.gz", "-c", "fresh")),
    "import state last": Verb(arguments=("cluster", "import", "-i", "OUT/new-sorted.json", "-c", "web"), again=True),
    "import new state last": Verb(arguments=("cluster", "import", "-i", "OUT/new-sorted.json", "-c", "fresh")),
    "import pipe": Verb(
        arguments=("cluster", "import", "-i", "-", "-c", "web"), piped="new.json.gz", again=True
    ),
    "undo import": Verb(arguments=("cluster", "undo", "-c", "web"), prepare=(IMPORT,)),
    "vm create": Verb(arguments=("vm", "create", "made", "-c", "web", *DISKS)),
    "vm delete": Verb(arguments=("vm", "delete", "app", "-c", "web")),
    "gc": Verb(
        arguments=("cluster", "gc", "--staged", "-c", "web"), prepare=(IMPORT,), again=True
    ),
    "undo drop": Verb(arguments=("cluster", "undo", "drop", "1", "-c", "web"), prepare=(IMPORT,)),
}  # fmt: skip


class Case(Struct, frozen=True, kw_only=True):
    """A verb in its world: what that looks like before and after, and the file that the verb writes."""

    verb: Verb
    before: World
    old: dict[str, Picture]
    new: dict[str, Picture]
    old_file: bytes | None
    new_file: bytes | None

    def is_new(self, world: World) -> bool:
        """True: it looks as after; False: as before. Anything else is what must never be."""
        found = picture(world)
        if self.verb.makes is None:
            assert found in (self.old, self.new)
            return found == self.new
        assert found == self.old
        file = file_of(world, self.verb)
        assert file in (self.old_file, self.new_file)
        return file == self.new_file

    def goes_on(self, world: World, *, done: bool) -> None:
        """The same command again does its work; when there is none left, the next one that writes tidies."""
        if done and not self.verb.again:
            tidy(world)
            return
        ran = self.verb.run(world)
        assert ran.code == 0, ran
        if not done:
            assert self.is_new(world)


def file_of(world: World, verb: Verb) -> bytes | None:
    """What the file that `verb` writes holds."""
    path = world.out / (verb.makes or "new.json.gz")
    return path.read_bytes() if path.exists() else None


def tidy(world: World) -> None:
    """Free what can be freed, in all clusters."""
    for name in picture(world):
        world.must("cluster", "gc", "--staged", "-c", name)
