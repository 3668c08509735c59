"""`doctor`: the checks as a table, and a hint for each that is not good."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blixard.cli.options import command
from blixard.cli.screen import human
from blixard.cli.verbs.network import NetworkFlags, network_of
from blixard.errors import ExitCode

if TYPE_CHECKING:
    from blixard.cli.session import Session


@command(examples=["blixard doctor", "blixard doctor --json"])
def doctor(session: Session) -> ExitCode | None:
    """Check that this machine can do the work; the output can be pasted.

    Exits 30 when something has to be repaired first; warnings do not count.
    """
    from blixard.ops.doctor.checks import Verdict
    from blixard.ops.doctor.doctor import examine
    from blixard.site.who import SystemClock

    checks = examine(session.site.home, SystemClock(), network_of(session, NetworkFlags()))
    failed = any(check.verdict is Verdict.FAIL for check in checks)
    if session.out.json:
        session.out.document({"healthy": not failed, "checks": checks})
    elif not session.out.quiet or failed:
        shown = [check for check in checks if not session.out.quiet or check.verdict is Verdict.FAIL]
        session.out.line(human.table(("check", "", "saw"), [(c.name, c.verdict.value, c.saw) for c in shown]))
        for check in shown:
            if check.hint:
                session.out.note(f"hint: {check.name}: {check.hint}")
    return ExitCode.STORAGE if failed else None
