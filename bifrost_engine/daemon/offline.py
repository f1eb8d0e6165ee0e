"""An operator's command on a journal that no daemon uses: opened, applied, committed, closed."""

from __future__ import annotations

import time

from bifrost_engine.config.schema import Config
from bifrost_engine.daemon.instance import Instance
from bifrost_engine.daemon.ordering import Given
from bifrost_engine.domain.control import Command
from bifrost_engine.domain.events import Commanded
from bifrost_engine.domain.record import Record
from bifrost_engine.engine import Engine
from bifrost_engine.engine.shown import LastLook
from bifrost_engine.engine.slot import Slot
from bifrost_engine.journal import Journal, JournalReader, recovered
from bifrost_engine.replay.parts import sessions_of

EVENT_TIME = ("sim", "replay")


def apply(instance: Instance, text: str, requested_by: str) -> Given:
    """Apply one command to an instance's journal; the lock is held meanwhile.

    Raises LockHeld if a daemon works on it after all, JournalError if it can't be used.
    """
    path = instance.journals()[0]
    with JournalReader(path) as reader:
        account, engine_id = reader.meta["account"], reader.meta["engine_id"]
        looks = [record.payload for record in reader.records(kinds={"recon"})]
    journal = Journal.open(
        instance.folder, account, new_engine_id=engine_id, instance=instance.config.daemon.instance
    )
    try:
        engine = _engine(instance.config, journal, account)
        if looks and looks[-1]["broker_state"]:
            engine.reconciler.last_look = LastLook.of(looks[-1]["broker_state"])
        command = Command(name=text, source="offline", requested_by=requested_by)
        now_ns = _now_ns(instance.config, engine)
        effects = engine.handle(Commanded(ts_ns=now_ns, command=command))
        records = [effect for effect in effects if isinstance(effect, Record)]
        journal.append(records, None)
        journal.commit()
    finally:
        journal.close()
    outcome = next(r.payload["outcome"] for r in records if "outcome" in r.payload and r.kind == "operation")
    return Given(command=text, command_id="", source=f"journal {path}", outcome=outcome)


def _engine(config: Config, journal: Journal, account: str) -> Engine:
    """Return an engine whose strategies can't be asked: no command here needs them."""
    slots = [Slot(strategy, None, None, None, None) for strategy in config.strategies]
    state = recovered(journal, account)
    return Engine(
        config,
        sessions_of(config),
        journal.engine_id,
        slots,
        state=state,
        former_engine_ids=journal.former_engine_ids,
    )


def _now_ns(config: Config, engine: Engine) -> int:
    """Return the time of the next record: a rehearsal's goes on where its journal ends."""
    last_ns = engine.core.state.last_ns
    rehearsed = config.feed_name.partition(":")[0] in EVENT_TIME
    return last_ns if rehearsed else max(last_ns, time.time_ns())
