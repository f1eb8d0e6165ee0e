"""Frozen values that every part shares: contracts, quotes, orders, fills, positions, events, effects.

Nothing here reads a clock, opens a file or imports another part of Bifrost
(errors apart). Plugins receive and return only these values.
"""

from bifrost_engine.domain.audit import AuditAck, AuditBatch, AuditRow
from bifrost_engine.domain.broker import (
    AccountStatement,
    BrokerCaps,
    BrokerEvent,
    BrokerEventKind,
    BrokerOrder,
    BrokerPosition,
    BrokerState,
    BrokerStateRequest,
    CancelRequest,
    Execution,
    OrderRequest,
    PlaceAck,
    ReplaceRequest,
)
from bifrost_engine.domain.check import CheckResult, Verdict
from bifrost_engine.domain.contract import Contract, Right, SecType, parse_contract_key
from bifrost_engine.domain.control import Command, ControlState, LockState
from bifrost_engine.domain.decision import Beat, Cells, Decision, Hold, Intent
from bifrost_engine.domain.fill import Fill, FillKind, FillSource
from bifrost_engine.domain.greeks import BrokerGreeks
from bifrost_engine.domain.last_price import LastPrice
from bifrost_engine.domain.money import to_decimal
from bifrost_engine.domain.order import (
    OrderState,
    OrderType,
    Origin,
    Purpose,
    Side,
    TimeInForce,
)
from bifrost_engine.domain.quote import Quote, quote_fault

__all__ = [
    "AccountStatement",
    "AuditAck",
    "AuditBatch",
    "AuditRow",
    "Beat",
    "BrokerCaps",
    "BrokerEvent",
    "BrokerEventKind",
    "BrokerGreeks",
    "BrokerOrder",
    "BrokerPosition",
    "BrokerState",
    "BrokerStateRequest",
    "CancelRequest",
    "Cells",
    "CheckResult",
    "Command",
    "Contract",
    "ControlState",
    "Decision",
    "Execution",
    "Fill",
    "FillKind",
    "FillSource",
    "Hold",
    "Intent",
    "LastPrice",
    "LockState",
    "OrderRequest",
    "OrderState",
    "OrderType",
    "Origin",
    "PlaceAck",
    "Purpose",
    "Quote",
    "ReplaceRequest",
    "Right",
    "SecType",
    "Side",
    "TimeInForce",
    "Verdict",
    "parse_contract_key",
    "quote_fault",
    "to_decimal",
]
