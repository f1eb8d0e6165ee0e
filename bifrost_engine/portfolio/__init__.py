"""Fills become positions, cash and results here, exact to the last digit, per strategy and account."""

from bifrost_engine.portfolio.book import Book, BookChange, ChangeKind
from bifrost_engine.portfolio.portfolio import Portfolio, transfer_fills
from bifrost_engine.portfolio.position import Position
from bifrost_engine.portfolio.valuation import Mark, MarkOf, Valuation

__all__ = [
    "Book",
    "BookChange",
    "ChangeKind",
    "Mark",
    "MarkOf",
    "Portfolio",
    "Position",
    "Valuation",
    "transfer_fills",
]
