"""What a self-check found out."""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen


class Verdict(StrEnum):
    """What a finding of the self-check means for a run."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@frozen
class CheckResult:
    """One thing that was checked.

    found   what was found, or why it was skipped
    mend    what to do about a failure or a warning
    """

    name: str
    result: Verdict
    found: str
    mend: str = ""
