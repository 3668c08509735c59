"""The cluster that an import goes into: chosen, locked, and out of sight until it is complete when it is a new one.

A new cluster is founded in a hidden directory and published by one rename, so that a kill leaves no half-made cluster,
and the next import of the same file goes on in the same place.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from blixard import files
from blixard.errors import BlixardError, InternalError, NotFound
from blixard.home import ClusterDir, Home
from blixard.model.incoming import IncomingState
from blixard.model.structs import ClusterSnapshot, ExportHead
from blixard.ops.importing.request import VERB, ImportRequest
from blixard.ops.keeping.stamps import with_proven_digests
from blixard.ops.keeping.unfinished import can_go_on
from blixard.plan.document import document_name
from blixard.plan.target import Choice, Existing, choose_target
from blixard.site.open_cluster import OpenCluster
from blixard.site.this_node import this_node
from blixard.store.opening import make_store, open_store

_SWEEP_SECONDS = 1.0
_ATTEMPTS = 3
Opening = Callable[[ClusterDir], OpenCluster]


class ImportTarget:
    """What a plan is made against.

    Attributes:
        choice: which cluster, and who named it.
        snapshot: its state; a disk that was written to since its import has no digest in it.
    """

    def __init__(self, home: Home, choice: Choice, snapshot: ClusterSnapshot) -> None:
        self.choice = choice
        self.snapshot = snapshot
        self._home = home

    @property
    def new(self) -> bool:
        """True when the import makes it."""
        return self.choice.existing is None

    def others(self) -> list[ClusterSnapshot]:
        """The states of the other clusters here, for addresses in use; one that cannot be read is left out."""
        found = []
        for name in self._home.clusters():
            if name != self.choice.name:
                with suppress(BlixardError):
                    found.append(_read(self._home.cluster(name)))
        return found


class HeldTarget(ImportTarget):
    """The target of an import that writes: open as `cluster`, and nobody else is at work on it."""

    def __init__(
        self, home: Home, choice: Choice, snapshot: ClusterSnapshot, cluster: OpenCluster, locks: ExitStack
    ) -> None:
        super().__init__(home, choice, snapshot)
        self.cluster = cluster
        self._locks = locks

    def publish(self) -> None:
        """Give a new cluster its name, and make it the current one when nothing was named.

        Raises:
            Conflict: somebody made a cluster of that name meanwhile.
        """
        if not self.new:
            return
        self.cluster.close()
        self._locks.close()
        self._home.publish(self.cluster.directory)
        if self.choice.becomes_current or self._home.current() is None:
            self._home.set_current(self.choice.name)

    def release(self) -> None:
        """End the locks; the cluster stays open."""
        self._locks.close()

    def close(self) -> None:
        """Close the cluster and end its locks; remove a new one that no import can go on with. May be called twice."""
        self.cluster.close()
        if self.new:
            founded, now = self.cluster.directory, self.cluster.clock.now()
            with suppress(BlixardError):  # what ended the import is to be told; the next one sweeps
                if files.is_dir(founded.path) and not can_go_on(founded, now):
                    self._home.discard(founded)
        self._locks.close()


@contextmanager
def look_at_target(
    home: Home, opening: Opening, request: ImportRequest, state: IncomingState
) -> Iterator[tuple[ImportTarget, OpenCluster | None]]:
    """The target that a document would go into, for a dry run: nothing is locked or made; None is not there yet.

    Raises:
        RefusedError: a replace of a cluster that nobody named and the file does not match.
    """
    choice = _choose(home, request, state)
    if choice.existing is None:
        node = this_node(home, _node_id(request, state.head))
        empty = ClusterSnapshot(
            id=_cluster_id(request), name=choice.name, revision=0, nodes={node.id: node}, self_node=node.id
        )
        yield ImportTarget(home, choice, empty), None
        return
    with opening(home.cluster(choice.name)) as cluster:
        yield ImportTarget(home, choice, with_proven_digests(cluster.snapshot(), cluster.directory)), cluster


@contextmanager
def hold_target(home: Home, opening: Opening, request: ImportRequest, state: IncomingState) -> Iterator[HeldTarget]:
    """Choose, lock and open the target of a document.

    A failure inside stands in the history of a cluster that was there before.

    Raises:
        RefusedError: a replace of a cluster that nobody named and the file does not match.
        Locked: somebody is at work on it.
    """
    target = _hold(home, opening, request, state)
    try:
        if target.new:
            yield target
            return
        with target.cluster.recording(VERB, request.asked()):
            yield target
    finally:
        target.close()


def _hold(home: Home, opening: Opening, request: ImportRequest, state: IncomingState) -> HeldTarget:
    for attempt in range(_ATTEMPTS):
        choice = _choose(home, request, state)
        if choice.existing is not None:
            return _hold_existing(home, opening, request, choice)
        try:
            return _hold_new(home, opening, request, choice, state.head)
        except BlixardError as error:
            # another import of that name was at work beside us: it made the cluster, or gave it up
            overtaken = isinstance(error, NotFound) or choice.name in home.clusters()
            if not overtaken or attempt == _ATTEMPTS - 1:
                raise
    raise InternalError("the last attempt returns or raises")


def _choose(home: Home, request: ImportRequest, state: IncomingState) -> Choice:
    name = document_name(state, request.options)
    return choose_target(
        request.cluster,
        request.environment_cluster,
        home.current(),
        state.head,
        _existing(home, request, name),
        mode=request.options.mode,
        consent=request.consent,
        document_name=name,
    )


def _hold_existing(home: Home, opening: Opening, request: ImportRequest, choice: Choice) -> HeldTarget:
    with ExitStack() as failed:
        cluster = failed.enter_context(opening(home.cluster(choice.name)))
        locks = failed.enter_context(ExitStack())
        with cluster.recording(VERB, request.asked()):
            locks.enter_context(cluster.locks.alone(VERB, cluster.policy.lock_wait))
        target = HeldTarget(home, choice, with_proven_digests(cluster.snapshot(), cluster.directory), cluster, locks)
        failed.pop_all()
    return target


def _hold_new(home: Home, opening: Opening, request: ImportRequest, choice: Choice, head: ExportHead) -> HeldTarget:
    node_id = _node_id(request, head)
    node = this_node(home, node_id)

    def build(directory: ClusterDir) -> None:
        make_store(directory, cluster_id=_cluster_id(request), self_node=node_id, nodes=(node,))

    with ExitStack() as unfit:
        cluster = unfit.enter_context(opening(home.found(choice.name, build)))
        locks = unfit.enter_context(ExitStack())
        # at least a moment: who sweeps holds it only to look
        locks.enter_context(cluster.locks.alone(VERB, max(cluster.policy.lock_wait, _SWEEP_SECONDS)))
        snapshot = cluster.snapshot()
        if snapshot.revision == 0 and snapshot.self_node == node_id:
            unfit.pop_all()
            return HeldTarget(home, choice, snapshot, cluster, locks)
    # killed between its commit and its name, or begun for another node: what it had staged is in the file still
    home.discard(cluster.directory)
    return _hold_new(home, opening, request, choice, head)


def _node_id(request: ImportRequest, head: ExportHead) -> int:
    return head.exported_by_node if request.options.node_id is None else request.options.node_id


def _cluster_id(request: ImportRequest) -> str:
    return request.saved.cluster_id if request.saved is not None else str(uuid.uuid4())


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
