"""Rules on the snapshot itself: is it of our account, and whole?"""

from __future__ import annotations

from collections.abc import Iterator

from bifrost_engine.oms.event import Severity
from bifrost_engine.recon.finding import Disconnect, Finding, Status
from bifrost_engine.recon.look import Look


def other_account(look: Look) -> Iterator[Finding]:
    """R03: the account isn't the one that the run is for."""
    ours, theirs = look.ours, look.theirs
    checks = (
        ("account", ours.account, theirs.account),
        ("paper", ours.mode != "LIVE", theirs.paper),
        ("currency", ours.portfolio.currency, theirs.currency),
    )
    for what, expected, found in checks:
        if found is not None and found != expected:
            yield Finding(
                rule="R03",
                severity=Severity.CRITICAL,
                action=f"account_mismatch: {what} expected {expected}, was {found}; disconnected",
                ours={what: expected},
                theirs={what: found},
                steps=(Disconnect(),),
            )
            return


def incomplete(look: Look) -> Iterator[Finding]:
    """R01: parts of the snapshot couldn't be read: what isn't there says nothing."""
    if look.theirs.incomplete:
        parts = sorted(look.theirs.incomplete)
        yield Finding(
            rule="R01",
            severity=Severity.WARNING,
            action=f"no conclusion from what isn't shown; not read in full: {', '.join(parts)}",
            theirs={"incomplete": parts},
        )


def sink_ahead(look: Look) -> Iterator[Finding]:
    """R02: a sink has records that the journal hasn't: the journal was restored from a backup."""
    if look.limits.sink_ahead is not None:
        yield Finding(
            rule="R02",
            severity=Severity.CRITICAL,
            status=Status.OPEN,
            action=f"{look.limits.sink_ahead}; stopped until 'bifrost journal repair'",
            halts=True,
        )
