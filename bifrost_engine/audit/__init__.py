"""The audit trail as tables: what each record of the journal becomes in any database."""

from bifrost_engine.audit.collected import Collected, Source
from bifrost_engine.audit.rows import KINDS, Rows, rows_of
from bifrost_engine.audit.tables import TABLES, Change, Row, Table

__all__ = ["KINDS", "TABLES", "Change", "Collected", "Row", "Rows", "Source", "Table", "rows_of"]
