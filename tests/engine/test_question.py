"""What a comparison asks the broker for, and what an answer that leaves something out may say."""

from __future__ import annotations

from bifrost_engine.domain import BrokerEventKind, OrderState
from bifrost_engine.domain.effects import FetchBrokerState
from bifrost_engine.engine.question import MARGIN_NS
from bifrost_engine.testing.engine import EngineUnderTest

K = BrokerEventKind
S = OrderState
PATIENT = {"order.working_timeout_seconds": 3600.0}


def asked(run: EngineUnderTest) -> list[FetchBrokerState]:
    return [effect for effect in run.effects if isinstance(effect, FetchBrokerState)]


def results(run: EngineUnderTest) -> list[str]:
    return [record.payload["result"] for record in run.records if record.kind == "recon_end"]


def rules(run: EngineUnderTest) -> list[str]:
    return [record.payload["rule"] for record in run.records if record.kind == "recon_item"]


def periodic(run: EngineUnderTest, trigger: str = "PERIODIC") -> int | None:
    """Let the next comparison come due, and return from when on it asks."""
    run.advance(400).beat()
    assert [question.trigger for question in asked(run)] == [trigger]
    return asked(run)[0].since_ns


def test_a_link_begins_with_everything_and_later_questions_are_for_news() -> None:
    run = EngineUnderTest(connect=False)
    run.broker(K.LINK_UP)
    assert [(one.trigger, one.since_ns) for one in asked(run)] == [("STARTUP", None)]
    run.reconcile()
    begun_ns = run.now_ns
    assert periodic(run) == begun_ns - MARGIN_NS
    run.reconcile()
    assert periodic(run) == run.now_ns - 400 * 10**9 - MARGIN_NS
    run.broker(K.LINK_DOWN)
    run.broker(K.LINK_UP)
    assert [(one.trigger, one.since_ns) for one in asked(run)] == [("RECONNECT", None)]
    run.reconcile(since_ns=begun_ns)  # what was compared over another link proves nothing
    assert results(run)[-1] == "INCOMPLETE"


def test_who_asks_in_person_and_who_lost_data_gets_everything() -> None:
    run = EngineUnderTest()
    run.advance(10).command("reconcile")
    assert [(one.trigger, one.since_ns) for one in asked(run)] == [("OPERATOR", None)]
    run.reconcile()
    run.broker(K.DATA_RESTORED)
    assert [(one.trigger, one.since_ns) for one in asked(run)] == [("DATA_RESTORED", None)]


def test_the_story_of_an_open_order_is_told_from_its_beginning() -> None:
    run = EngineUnderTest(settings=PATIENT).hedge(103)
    created_ns = run.order.created_ns
    run.reconcile(open_orders=(run.at_broker(),))
    for _ in range(3):
        assert periodic(run) == created_ns - MARGIN_NS
        run.reconcile(open_orders=(run.at_broker(),))
    run.fill()
    compared_ns = run.now_ns
    run.reconcile()
    assert periodic(run) == compared_ns - MARGIN_NS


def test_what_is_half_proven_is_asked_for_again() -> None:
    run = EngineUnderTest().hedge(103, filled=True)
    run.advance(30).reconcile()
    compared_ns = run.now_ns
    gone = run.executions.pop()
    run.advance(60).reconcile(since_ns=compared_ns - MARGIN_NS)  # one look proves nothing
    assert results(run)[-1] == "CLEAN"
    assert gone.ts_ns > compared_ns - MARGIN_NS
    assert periodic(run, "TARGETED") == compared_ns - MARGIN_NS
    run.reconcile(since_ns=compared_ns - MARGIN_NS)
    assert rules(run)[-1] == "R18"
    assert periodic(run) == run.now_ns - 400 * 10**9 - MARGIN_NS


def test_an_execution_that_an_answer_needs_not_tell_isnt_busted() -> None:
    run = EngineUnderTest().hedge(103, filled=True)
    run.advance(60).reconcile()
    compared_ns = run.now_ns
    for _ in range(3):
        run.advance(60).reconcile(executions=(), since_ns=compared_ns - MARGIN_NS // 2)
    assert results(run)[1:] == ["CLEAN"] * 4
    assert run.snapshot["stock_position"] == -run.order.quantity


def test_an_answer_that_leaves_out_what_was_never_compared_isnt_whole() -> None:
    run = EngineUnderTest(connect=False)
    run.broker(K.LINK_UP)
    run.reconcile(since_ns=run.now_ns - 10**9)
    assert (results(run), rules(run)[:1]) == (["INCOMPLETE"], ["R01"])
    assert not run.engine.core.reconciled
    run.reconcile()
    run.advance(400).reconcile(since_ns=run.now_ns - 10**9)  # later than what was compared
    assert results(run)[-1] == "INCOMPLETE"


def test_of_an_order_from_before_an_answer_begins_nothing_is_concluded() -> None:
    """It was over when the question was asked, and came back while that was under way."""
    run = EngineUnderTest(settings=PATIENT).hedge(103)
    run.answer(K.ORDER_CANCELED)
    run.advance(60).reconcile(completed_orders=(run.at_broker(status="CANCELED"),))
    since_ns = run.now_ns - 10**9
    assert since_ns > run.order.created_ns
    run.ack()  # so it was no end
    for _ in range(3):
        run.advance(30).reconcile(since_ns=since_ns)
        assert run.order.is_open
    run.command(f"reconcile --resolve {run.last_order.client_order_id}")
    assert run.order.is_open
    for _ in range(2):
        run.advance(30).reconcile()
    assert run.order.state is S.CANCELED


def test_no_execution_is_made_up_that_an_answer_needs_not_tell() -> None:
    run = EngineUnderTest(settings=PATIENT).hedge(103)
    run.fill(5, heard=False)
    run.answer(K.ORDER_CANCELED)
    run.advance(60).reconcile(executions=())
    since_ns = run.now_ns - 10**9
    run.ack()
    half = run.at_broker(filled=run.executions[0].quantity)
    run.advance(30).reconcile(since_ns=since_ns, executions=(), open_orders=(half,))
    assert "R15" not in rules(run)
