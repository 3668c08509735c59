"""One change with everything in it, applied by a process of its own: `python -m support.sqlite_change STATE_DB`.

Without pytest, so that it can be started hundreds of times under strace.
"""

from __future__ import annotations

import sys
from pathlib import Path

from blixard.errors import StorageError
from blixard.ports import StateChange
from blixard.store.sqlite.store import SqliteStore
from support.state import make_content, make_import, make_node, make_provenance, make_undo, make_vm, uid

VMS = 12
CHANGE = StateChange(
    put_vms=tuple(make_vm(f"new-{number}", number=number) for number in range(VMS // 2, VMS * 2)),
    delete_vms=tuple(uid(number) for number in range(1, VMS // 2)),
    put_nodes=(make_node(2),),
    delete_nodes=(1,),
    put_contents=tuple(make_content(number) for number in range(VMS)),
    provenance=make_provenance(),
    rename_cluster="renamed",
    self_node=2,
    undo=make_undo(),
    import_done=uid(1),
    history={"verb": "cluster import"},
)


def make_old(path: Path) -> None:
    """A store at revision 1 that `apply` can change, closed."""
    SqliteStore.create(path, cluster_id=uid(9), name="web", nodes=(make_node(1),))
    with SqliteStore(path) as store:
        store.apply(StateChange(put_vms=tuple(make_vm(f"vm-{number}", number=number) for number in range(1, VMS))), 0)
        store.books.begin_import(make_import())


def apply(path: Path) -> None:
    with SqliteStore(path) as store:
        store.apply(CHANGE, 1)


if __name__ == "__main__":
    try:
        apply(Path(sys.argv[1]))
    except StorageError as error:
        sys.exit(error.exit_code)
