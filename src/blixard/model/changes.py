"""One atomic change of a cluster's state, and what is kept to take it back.

Values, not seams: the plan makes them and the stores apply them, so both can know them without knowing each other.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from blixard.model.structs import Content, ContentKey, JsonObject, Node, Provenance, Vm


class UndoSide(Struct, frozen=True, kw_only=True):
    """One side of an undo entry."""

    nodes: tuple[Node, ...] = ()
    vms: tuple[Vm, ...] = ()
    contents: tuple[tuple[ContentKey, Content], ...] = ()
    provenance: Provenance | None = None


class UndoEntry(Struct, frozen=True, kw_only=True):
    """What a change replaced, so that it can be brought back (DESIGN.md section 6, Undo).

    `before` and `after` hold only what changed; an object missing on one side was created or deleted. Files that only
    `before` names lie under `undo/` or still in `disks/`, and are kept as long as the entry is.
    """

    id: int = 0
    """Given by the store."""
    made_at: datetime
    verb: str
    """`import`, `vm delete` or `undo`."""
    title: str
    """One line for people: what was replaced by what."""
    import_id: str | None = None
    created_cluster: bool = False
    pinned: bool = False
    before: UndoSide
    after: UndoSide

    def summary(self) -> UndoSummary:
        """The entry as lists show it: the sides may hold 100,000 VMs, which no list should have to decode."""
        contents = (content for side in (self.before, self.after) for _, content in side.contents)
        return UndoSummary(
            id=self.id,
            made_at=self.made_at,
            verb=self.verb,
            title=self.title,
            created_cluster=self.created_cluster,
            pinned=self.pinned,
            files=tuple(sorted({content.file for content in contents if content.file is not None})),
        )


class UndoSummary(Struct, frozen=True, kw_only=True):
    """An undo entry without its sides. `files`: names under `disks/` that it keeps.

    `held_bytes`: allocated bytes of the files that only this entry keeps; filled in by the one who lists.
    """

    id: int
    made_at: datetime
    verb: str
    title: str
    created_cluster: bool = False
    pinned: bool = False
    files: tuple[str, ...] = ()
    held_bytes: int = 0


class StateChange(Struct, frozen=True, kw_only=True):
    """One atomic change of a cluster's state. Everything in it happens, or nothing does.

    `delete_*` run before `put_*`, so a name can move from one VM to another. `undo`, `import_done` and `history` are
    stored in the same transaction as what they tell about.
    """

    put_nodes: tuple[Node, ...] = ()
    delete_nodes: tuple[int, ...] = ()
    put_vms: tuple[Vm, ...] = ()
    delete_vms: tuple[str, ...] = ()
    """Ids."""
    put_contents: tuple[tuple[ContentKey, Content], ...] = ()
    delete_contents: tuple[ContentKey, ...] = ()
    rename_cluster: str | None = None
    provenance: Provenance | None = None
    """None leaves it as it is."""
    clear_provenance: bool = False
    """The state was never imported: an undo took the first import back."""
    self_node: int | None = None
    raise_revision_to: int = 0
    """The new revision is the larger of this and the old one plus one."""
    undo: UndoEntry | None = None
    drop_undo: tuple[int, ...] = ()
    """Entries that somebody gave up."""
    expire_undo: tuple[int, ...] = ()
    """Entries that retention gives up: one that was pinned since it was chosen stays."""
    import_done: str | None = None
    """Id of the `import` row that this change completes."""
    history: JsonObject | None = None

    def changed_vms(self) -> list[str]:
        """Ids of the VMs that it puts, or whose content it changes, and that are not deleted by it."""
        keys = (*(key for key, _ in self.put_contents), *self.delete_contents)
        named = dict.fromkeys((*(vm.id or "" for vm in self.put_vms), *(key.vm_id for key in keys)))
        gone = set(self.delete_vms)
        return [vm_id for vm_id in named if vm_id not in gone]


class ImportRow(Struct, frozen=True, kw_only=True):
    """An import under way, written before its first staged byte; what `gc` and sweeps are allowed to touch."""

    id: str
    key: str
    """Name of its folder under `disks/.incoming/`."""
    started_at: datetime
    document: str | None = None
    files: tuple[str, ...] = ()
    """Names under `disks/` that its commit will use."""
    done: bool = False
