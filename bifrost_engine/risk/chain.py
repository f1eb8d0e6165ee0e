"""The chain that every intent passes, top to bottom, as one table.

Every gate is asked, also after a veto, so that the record names everything that stood
in the way.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from attrs import frozen

from bifrost_engine.domain.order import Purpose
from bifrost_engine.risk import controls, gates
from bifrost_engine.risk.gates import NONE, Answer
from bifrost_engine.risk.proposal import BYPASSED, PASSED, SHRUNK, VETOED, Proposal, Verdict


@frozen
class Gate:
    """One row of the chain.

    force    a forced hedge passes it
    flatten  an explicit flatten obeys it
    code     the reason code, where it isn't the function's name
    """

    check: Callable[[Proposal], Answer]
    force: bool = False
    flatten: bool = False
    control: bool = False
    code: str = ""

    @property
    def name(self) -> str:
        """The reason code."""
        return self.code or self.check.__name__


GATES = (
    Gate(gates.kill_switch),
    Gate(gates.circuit_breaker),
    Gate(gates.suspended),
    Gate(gates.outside_rth),
    Gate(gates.earnings_blackout),
    Gate(gates.cooldown, force=True),
    Gate(gates.min_price_move, force=True),
    Gate(gates.max_daily_hedge_count),
    Gate(gates.max_spread),
    Gate(gates.max_order_size, flatten=True),
    Gate(gates.max_position),
    Gate(gates.min_hedge_shares),
    Gate(gates.one_in_flight, flatten=True),
    Gate(gates.max_notional),
    Gate(gates.max_orders_per_minute),
    Gate(gates.allowed_instruments),
)
CONTROLS = (
    Gate(controls.mode_mismatch, flatten=True, control=True),
    Gate(controls.not_reconciled, flatten=True, control=True),
    Gate(controls.quote_invalid, flatten=True, control=True),
    Gate(controls.quote_stale, flatten=True, control=True),
    Gate(controls.price_collar, control=True),
    Gate(controls.max_order_shares, control=True),
    Gate(controls.max_order_notional, control=True),
    Gate(controls.max_daily_notional, control=True),
    Gate(controls.max_gross_notional, control=True),
    Gate(controls.max_net_notional, control=True),
    Gate(controls.wrong_direction, control=True),
    Gate(controls.duplicate, control=True),
    Gate(controls.order_rate, flatten=True, control=True),
    Gate(controls.no_progress, control=True),
    Gate(controls.self_cross, control=True),
    Gate(controls.restricted, control=True),
    Gate(controls.buying_power, control=True),
    Gate(controls.account_loss, control=True),
)
DENIALS = (
    Gate(controls.halted, code="HALTED"),
    Gate(controls.hold, code="HOLD"),
    Gate(controls.instrument_hold, code="INSTRUMENT_HOLD"),
    Gate(controls.stale_mark, code="STALE_MARK"),
    Gate(controls.link_down, flatten=True, code="LINK_DOWN"),
    Gate(controls.journal_failed, flatten=True, code="JOURNAL_FAILED"),
    Gate(controls.stopping, flatten=True, code="STOPPING"),
)
CHAIN = GATES + CONTROLS + DENIALS
FLATTEN_CHAIN = tuple(gate for gate in CHAIN if gate.flatten)
Asked = tuple[Callable[[Proposal], Answer], str, bool]
_EVERY = tuple((gate.check, gate.name, gate.force) for gate in CHAIN)
_FOR_FLATTEN = tuple((gate.check, gate.name, gate.force) for gate in FLATTEN_CHAIN)


@frozen
class Judgement:
    """What the chain made of a proposal.

    quantity  what may be ordered, 0 if anything vetoed it
    vetoes    codes of the gates that vetoed, in order; ``shrinks`` likewise
    """

    quantity: Decimal
    vetoes: tuple[str, ...]
    shrinks: tuple[str, ...]
    _gates: tuple[Asked, ...]
    _answers: list[Answer]
    _words: dict[str, str]

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What each gate said, in order."""
        words = self._words
        return tuple(
            Verdict(name, words.get(name, PASSED), value, limit)
            for (_, name, _), (_, value, limit) in zip(self._gates, self._answers, strict=True)
        )


def judge(p: Proposal) -> Judgement:
    """Send a proposal through the chain; its ``quantity`` shrinks on the way."""
    gates = _FOR_FLATTEN if p.intent.purpose is Purpose.FLATTEN else _EVERY
    answers = []
    words: dict[str, str] = {}  # of the gates that didn't simply pass it, which are few
    for check, name, bypassed in gates:
        answer = check(p)
        answers.append(answer)
        kept = answer[0]
        if kept is p.quantity or kept == p.quantity:
            continue
        if bypassed and p.intent.force:
            words[name] = BYPASSED
        elif kept <= 0:
            words[name] = VETOED
        else:
            words[name] = SHRUNK
            p.quantity = kept
    vetoes, shrinks = _said(VETOED, words), _said(SHRUNK, words)
    return Judgement(NONE if vetoes else p.quantity, vetoes, shrinks, gates, answers, words)


def _said(word: str, words: dict[str, str]) -> tuple[str, ...]:
    return tuple([gate for gate, said in words.items() if said == word])
