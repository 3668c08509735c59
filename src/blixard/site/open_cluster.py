"""An open cluster: its directory, store, history, and who is at work. What every verb that touches one is handed.

Edits are repeated when the revision moved meanwhile, so ten `vm create` at once all succeed; failures are written into
the history too, so that the morning after shows what the night tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from msgspec import json, structs, to_builtins

from blixard.closing import Closing
from blixard.did_you_mean import close_names, did_you_mean
from blixard.errors import BlixardError, Conflict, ExitCode, HypervisorError, NotFound, StorageError, without_tickets
from blixard.home import ClusterDir, Home
from blixard.model.structs import ClusterSnapshot, JsonObject, Vm
from blixard.site.uninterrupted import uninterrupted
from blixard.site.who import Policy, Who
from blixard.store.history import History, HistoryEntry
from blixard.version import __version__

if TYPE_CHECKING:
    from blixard.ports import Clock, ClusterLocks, Hypervisor, NodeBooks, StateChange, StateStore
    from blixard.telemetry.store import TelemetryStore

_ATTEMPTS = 50


class OpenCluster(Closing):
    """A cluster that is being worked on.

    Args:
        hypervisor: opens what runs its VMs, when it is first asked: most commands need none.
        telemetry: opens its telemetry; None keeps no log.
    """

    def __init__(
        self,
        home: Home,
        directory: ClusterDir,
        store: StateStore,
        history: History,
        *,
        books: NodeBooks,
        locks: ClusterLocks,
        hypervisor: Callable[[], Hypervisor],
        clock: Clock,
        who: Who,
        policy: Policy = Policy(),  # noqa: B008 - frozen
        telemetry: Callable[[], TelemetryStore] | None = None,
    ) -> None:
        self.home = home
        self.directory = directory
        self.store = store
        self.books = books
        self.locks = locks
        self._open_hypervisor = hypervisor
        self.history = history
        self.clock = clock
        self.who = who
        self.policy = policy
        self.telemetry = telemetry

    @cached_property
    def hypervisor(self) -> Hypervisor:
        """What runs its VMs."""
        return self._open_hypervisor()

    def close(self) -> None:
        """Release hypervisor, store, books and history."""
        if "hypervisor" in self.__dict__:
            self.hypervisor.close()
        self.store.close()
        self.books.close()
        self.history.close()

    @property
    def name(self) -> str:
        """The name of its directory, which is the truth: a rename that was killed half way may not be in the state."""
        return self.directory.name

    def snapshot(self) -> ClusterSnapshot:
        """The whole state at one revision."""
        snapshot = self.store.snapshot()
        return snapshot if snapshot.name == self.name else structs.replace(snapshot, name=self.name)

    def edit(
        self, verb: str, options: JsonObject, plan: Callable[[ClusterSnapshot], StateChange], *, locked: bool = False
    ) -> ClusterSnapshot:
        """Change single things: plan on the state as it is, apply, and again when somebody else was faster.

        Args:
            verb: as on the command line, for lock and history.
            options: for the history; no secrets.
            plan: makes the change; may be called several times.
            locked: the caller holds the cluster's lock and records a failure.

        Returns:
            The state that the change was planned on.

        Raises:
            Conflict: the state never stood still, or what `plan` raises.
            Locked: an import is at work.
        """
        if locked:
            return self._edit(verb, options, plan)
        with self.recording(verb, options), self.locks.editing(verb, self.policy.lock_wait):
            return self._edit(verb, options, plan)

    def _edit(self, verb: str, options: JsonObject, plan: Callable[[ClusterSnapshot], StateChange]) -> ClusterSnapshot:
        for _ in range(_ATTEMPTS):
            snapshot = self.snapshot()
            entry = self.entry(verb, options, revision=snapshot.revision + 1)
            change = structs.replace(plan(snapshot), history=to_builtins(entry))
            try:
                self.commit(verb, change, snapshot.revision)
            except Conflict:
                if self.snapshot().revision == snapshot.revision:
                    raise  # it is the change that cannot be, not somebody else's
                continue
            return snapshot
        raise Conflict(f"cluster `{self.name}` is being changed all the time", hint="run the command again")

    def commit(self, verb: str, change: StateChange, base_revision: int, exit_code: ExitCode = ExitCode.DONE) -> int:
        """Apply a change to the state at `base_revision`, make it real, and note it; the new revision.

        What follows once it is applied cannot fail: the change stands, and the next command brings what is left undone.

        Raises:
            Conflict: the state moved since, or the change cannot be.
            StorageError: the state is as it was.
        """
        with uninterrupted():
            revision = self.store.apply(change, base_revision)
            for vm_id in change.delete_vms:
                self._make_real(verb, self.hypervisor.undefine, vm_id)
            for vm_id in change.changed_vms():
                self._make_real(verb, self.hypervisor.define, vm_id)
            with suppress(StorageError):
                self.history.absorb(self.books)
            self.log(verb, exit_code)
        return revision

    def _make_real(self, verb: str, follow: Callable[[str], None], vm_id: str) -> None:
        """What the hypervisor cannot do now costs neither the change nor the other VMs."""
        try:
            follow(vm_id)
        except HypervisorError as error:
            self.log(verb, error.exit_code, error.message)

    def note(self, verb: str, options: JsonObject, exit_code: ExitCode = ExitCode.DONE, **more: Any) -> None:
        """Write what was done into the history and the log, when no state change carried it (an export)."""
        self.history.append(self.entry(verb, options, exit_code, **more))
        self.log(verb, exit_code)

    def entry(self, verb: str, options: JsonObject, exit_code: ExitCode = ExitCode.DONE, **more: Any) -> HistoryEntry:
        """An entry of the history about what is being done now; `more` are other fields of `HistoryEntry`.

        `options` hold no secrets, and a ticket that stands in the place of a name is cut.
        """
        entry = HistoryEntry(
            time=self.clock.now(),
            verb=verb,
            exit_code=int(exit_code),
            os_user=self.who.user,
            sudo_user=self.who.sudo_user,
            host=self.who.host,
            options=options,
            version=__version__,
            **more,
        )
        return json.decode(without_tickets(json.encode(entry).decode()), type=HistoryEntry)

    @contextmanager
    def recording(self, verb: str, options: JsonObject) -> Iterator[None]:
        """Write a failure of what is done inside into the history; a success writes itself, with its change."""
        try:
            yield
        except BlixardError as error:
            self._record_failure(verb, options, error.exit_code, error.message, error.id)
            raise
        except KeyboardInterrupt:
            self._record_failure(verb, options, ExitCode.INTERRUPTED, "interrupted", "interrupted")
            raise
        except Exception as error:
            self._record_failure(verb, options, ExitCode.BUG, type(error).__name__, "bug")
            raise

    def log(self, verb: str, exit_code: ExitCode, error: str | None = None) -> None:
        """Write one line into the node's log. It is beside the state: that it cannot be written stops nothing."""
        if self.telemetry is None:
            return
        from blixard.telemetry.points import LogLine, Severity

        severity = {ExitCode.DONE: Severity.INFO, ExitCode.PARTIAL: Severity.WARN}.get(exit_code, Severity.ERROR)
        about: dict[str, str | int] = {
            "blixard.verb": verb,
            "blixard.exit_code": int(exit_code),
            "blixard.cluster.name": self.name,
            "user.name": self.who.user,
        }
        body = f"{verb}: {error}" if error else f"{verb}: {exit_code.meaning}"
        with suppress(BlixardError), self.telemetry() as store:
            store.add_log(LogLine(self.clock.now(), severity, body, about, self.who.run))

    def _record_failure(self, verb: str, options: JsonObject, code: ExitCode, error: str, error_id: str) -> None:
        with suppress(StorageError):  # the disk may be what failed
            self.history.append(self.entry(verb, options, code, error=error, error_id=error_id))
        self.log(verb, code, error)


def no_node(wanted: str | int, snapshot: ClusterSnapshot) -> NotFound:
    """The refusal of a node that the cluster does not have."""
    return NotFound(f"no node {wanted} in cluster `{snapshot.name}`", hint="`blixard node list` shows them")


def find_vm(snapshot: ClusterSnapshot, name: str, cluster: ClusterDir) -> Vm:
    """The VM `name`.

    Raises:
        NotFound: with the data directory and names that are close.
    """
    vm = snapshot.vms.get(name)
    if vm is None:
        raise NotFound(
            f"no VM `{name}` in cluster `{cluster.name}` of `{cluster.data_dir}`",
            hint=did_you_mean(close_names(name, snapshot.vms), otherwise="`blixard vm list` shows them"),
        )
    return vm
