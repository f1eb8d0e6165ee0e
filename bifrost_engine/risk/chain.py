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
    still    looks at nothing that a quote, a need or an age changes
    code     the reason code, where it isn't the function's name
    """

    check: Callable[[Proposal], Answer]
    force: bool = False
    flatten: bool = False
    control: bool = False
    still: bool = False
    code: str = ""

    @property
    def name(self) -> str:
        """The reason code."""
        return self.code or self.check.__name__


GATES = (
    Gate(gates.kill_switch, still=True),
    Gate(gates.circuit_breaker),
    Gate(gates.suspended, still=True),
    Gate(gates.outside_rth, still=True),
    Gate(gates.earnings_blackout, still=True),
    Gate(gates.cooldown, force=True),
    Gate(gates.min_price_move, force=True),
    Gate(gates.max_daily_hedge_count, still=True),
    Gate(gates.max_spread),
    Gate(gates.max_order_size, flatten=True),
    Gate(gates.max_position),
    Gate(gates.min_hedge_shares),
    Gate(gates.one_in_flight, flatten=True),
    Gate(gates.max_notional),
    Gate(gates.max_orders_per_minute),
    Gate(gates.allowed_instruments, still=True),
)
CONTROLS = (
    Gate(controls.mode_mismatch, flatten=True, control=True, still=True),
    Gate(controls.not_reconciled, flatten=True, control=True, still=True),
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
    Gate(controls.no_progress, control=True, still=True),
    Gate(controls.self_cross, control=True),
    Gate(controls.restricted, control=True, still=True),
    Gate(controls.buying_power, control=True),
    Gate(controls.account_loss, control=True),
)
DENIALS = (
    Gate(controls.halted, still=True, code="HALTED"),
    Gate(controls.hold, code="HOLD"),
    Gate(controls.instrument_hold, code="INSTRUMENT_HOLD"),
    Gate(controls.stale_mark, code="STALE_MARK"),
    Gate(controls.link_down, flatten=True, still=True, code="LINK_DOWN"),
    Gate(controls.journal_failed, flatten=True, still=True, code="JOURNAL_FAILED"),
    Gate(controls.stopping, flatten=True, still=True, code="STOPPING"),
)
CHAIN = GATES + CONTROLS + DENIALS
FLATTEN_CHAIN = tuple(gate for gate in CHAIN if gate.flatten)
Asked = tuple[Callable[[Proposal], Answer], str, bool]
_EVERY = tuple((gate.check, gate.name, gate.force) for gate in CHAIN)
MOVING = tuple((gate.check, gate.name, gate.force) for gate in CHAIN if not gate.still)
"""The gates that a next quote may turn, while nothing else happens."""
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

    def answer(self, gate: str) -> Answer:
        """Return what a gate answered."""
        return self._answers[[name for _, name, _ in self._gates].index(gate)]

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What each gate said, in order."""
        words = self._words
        return tuple(
            Verdict(name, words.get(name, PASSED), value, limit)
            for (_, name, _), (_, value, limit) in zip(self._gates, self._answers, strict=True)
        )


def judge(p: Proposal, gates: tuple[Asked, ...] = ()) -> Judgement:
    """Send a proposal through the chain, or some gates of it; its ``quantity`` shrinks on the way."""
    gates = gates or (_FOR_FLATTEN if p.intent.purpose is Purpose.FLATTEN else _EVERY)
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


def said_by(gates: tuple[Asked, ...], judgement: Judgement) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the vetoes and the shrinks that are some gates'."""
    names = [name for _, name, _ in gates]
    vetoes, shrinks = judgement.vetoes, judgement.shrinks
    return tuple([n for n in vetoes if n in names]), tuple([n for n in shrinks if n in names])


def _said(word: str, words: dict[str, str]) -> tuple[str, ...]:
    return tuple([gate for gate, said in words.items() if said == word])
