"""What a check of `doctor` says."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Verdict(StrEnum):
    """How a check ended; `warn` works, but not as well as it could."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Check(Struct, frozen=True, kw_only=True):
    """One check: what it saw, and the next step when that is not good."""

    name: str
    verdict: Verdict
    saw: str
    hint: str | None = None


INSTALL_AGAIN = "install blixard again, with its dependencies"


def ok(name: str, saw: str) -> Check:
    """A check that found nothing wrong."""
    return Check(name=name, verdict=Verdict.OK, saw=saw)


def warn(name: str, saw: str, hint: str) -> Check:
    """A check of something that works, but not as well as it could."""
    return Check(name=name, verdict=Verdict.WARN, saw=saw, hint=hint)


def fail(name: str, saw: str, hint: str | None) -> Check:
    """A check of something that does not work."""
    return Check(name=name, verdict=Verdict.FAIL, saw=saw, hint=hint)
