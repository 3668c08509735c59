"""The cluster that an import goes into: chosen, locked, and out of sight until it is complete when it is a new one.

A new cluster is founded in a hidden directory and published by one rename, so that a kill leaves no half-made cluster,
and the next import of the same file goes on in the same place.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import datetime

from blixard import files
from blixard.errors import BlixardError, InternalError, NotFound
from blixard.home import ClusterDir, Home
from blixard.model.structs import ClusterSnapshot, ExportHead, Node
from blixard.ops.importing.request import VERB, ImportRequest
from blixard.ops.keeping.unfinished import can_go_on
from blixard.plan.target import Choice, Existing, choose_target
from blixard.site.open_cluster import OpenCluster
from blixard.site.this_node import this_node
from blixard.store.opening import make_store, open_store

_SWEEP_SECONDS = 1.0
_ATTEMPTS = 3
Opening = Callable[[ClusterDir], OpenCluster]


class ImportTarget:
    """The target of one import; `close` ends every lock and closes what was opened.

    Attributes:
        choice: which cluster, and who named it.
        cluster: opened; None in a dry run that would make it.
        snapshot: what the plan is made against.
    """

    def __init__(self, home: Home, choice: Choice, cluster: OpenCluster | None, snapshot: ClusterSnapshot) -> None:
        self.choice = choice
        self.cluster = cluster
        self.snapshot = snapshot
        self._home = home
        self._stack = ExitStack()

    @property
    def new(self) -> bool:
        """True when the import makes it."""
        return self.choice.existing is None

    def hold(self, stack: ExitStack) -> None:
        """Take over locks."""
        self._stack = stack

    def publish(self) -> None:
        """Give a new cluster its name, and make it the current one when nothing was named.

        Raises:
            Conflict: somebody made a cluster of that name meanwhile.
        """
        if self.cluster is None or not self.new:
            return
        directory = self.cluster.directory
        self.cluster.close()
        self._stack.close()
        self._home.publish(directory)
        if self.choice.becomes_current or self._home.current() is None:
            self._home.set_current(self.choice.name)

    def others(self) -> list[ClusterSnapshot]:
        """The states of the other clusters here, for addresses in use; one that cannot be read is left out."""
        found = []
        for name in self._home.clusters():
            if name != self.choice.name:
                with suppress(BlixardError):
                    found.append(_read(self._home.cluster(name)))
        return found

    def release(self) -> None:
        """End the locks; the cluster stays open."""
        self._stack.close()

    def close(self) -> None:
        """Close the cluster and end its locks; a new one that no import can go on with goes. Harmless twice."""
        if self.cluster is not None:
            self.cluster.close()
            if self.new:
                self._discard_unless_kept(self.cluster.directory, self.cluster.clock.now())
        self._stack.close()

    def _discard_unless_kept(self, founded: ClusterDir, now: datetime) -> None:
        with suppress(BlixardError):  # what ended the import is to be told; the next one sweeps
            if files.is_dir(founded.path) and not can_go_on(founded, now):
                self._home.discard(founded)


def find_target(
    home: Home, opening: Opening, request: ImportRequest, head: ExportHead, document_name: str
) -> ImportTarget:
    """Choose, lock and open the target.

    Raises:
        RefusedError: a replace of a cluster that nobody named and the file does not match.
        Locked: somebody is at work on it.
    """
    for attempt in range(_ATTEMPTS):
        choice = _choose(home, request, head, document_name)
        if choice.existing is not None:
            return _existing_target(home, opening, request, choice)
        try:
            return _new_target(home, opening, request, choice, head)
        except BlixardError as error:
            # another import of that name was at work beside us: it made the cluster, or gave it up
            overtaken = isinstance(error, NotFound) or choice.name in home.clusters()
            if not overtaken or attempt == _ATTEMPTS - 1:
                raise
    raise InternalError("the last attempt returns or raises")


def _choose(home: Home, request: ImportRequest, head: ExportHead, document_name: str) -> Choice:
    return choose_target(
        request.cluster,
        request.environment_cluster,
        home.current(),
        head,
        _existing(home, request, document_name),
        mode=request.options.mode,
        consent=request.consent,
        document_name=document_name,
    )


def _existing_target(home: Home, opening: Opening, request: ImportRequest, choice: Choice) -> ImportTarget:
    opened = opening(home.cluster(choice.name))
    stack = ExitStack()
    try:
        if not request.dry_run:
            with opened.recording(VERB, request.asked()):
                stack.enter_context(opened.locks.alone(VERB, opened.policy.lock_wait))
        target = ImportTarget(home, choice, opened, opened.snapshot())
    except BaseException:
        stack.close()
        opened.close()
        raise
    target.hold(stack)
    return target


def _existing(home: Home, request: ImportRequest, document_name: str) -> list[Existing]:
    """The clusters here; only one that may be chosen is read."""
    candidates = {request.cluster or request.environment_cluster or home.current() or document_name}
    found = []
    for name in home.clusters():
        if name in candidates:
            state = _read(home.cluster(name))
            found.append(Existing(name=name, id=state.id, provenance=state.provenance, empty=not state.vms))
        else:
            found.append(Existing(name=name, id=""))
    return found


def _read(directory: ClusterDir) -> ClusterSnapshot:
    with open_store(directory) as store:
        return store.snapshot()


def _new_target(home: Home, opening: Opening, request: ImportRequest, choice: Choice, head: ExportHead) -> ImportTarget:
    node_id = head.exported_by_node if request.options.node_id is None else request.options.node_id
    node = this_node(home, node_id)
    cluster_id = request.saved.cluster_id if request.saved is not None else str(uuid.uuid4())
    if request.dry_run:
        return ImportTarget(home, choice, None, _empty(choice.name, cluster_id, node))

    def build(directory: ClusterDir) -> None:
        make_store(directory, cluster_id=cluster_id, self_node=node_id, nodes=(node,))

    opened = opening(home.found(choice.name, build))
    stack = ExitStack()
    try:
        # at least a moment: who sweeps holds it only to look
        stack.enter_context(opened.locks.alone(VERB, max(opened.policy.lock_wait, _SWEEP_SECONDS)))
        snapshot = opened.snapshot()
        if snapshot.revision > 0 or snapshot.self_node != node_id:
            # killed between its commit and its name, or begun for another node: what it had staged is in the file still
            stack.close()
            opened.close()
            home.discard(opened.directory)
            return _new_target(home, opening, request, choice, head)
    except BaseException:
        stack.close()
        opened.close()
        raise
    target = ImportTarget(home, choice, opened, snapshot)
    target.hold(stack)
    return target


def _empty(name: str, cluster_id: str, node: Node) -> ClusterSnapshot:
    return ClusterSnapshot(id=cluster_id, name=name, revision=0, nodes={node.id: node}, self_node=node.id)
