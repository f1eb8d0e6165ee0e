"""Makes the tables of the reference from the code that they describe.

Each module returns Markdown from plain functions and knows nothing of Sphinx;
``generated`` alone puts them into pages.
"""
