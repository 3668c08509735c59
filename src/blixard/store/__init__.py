"""Adapters of `StateStore` and `NodeBooks`, and the history beside them.

`opening` picks the adapter; sqlite3 is imported by it and by `history`, not here.
"""
