"""Adapters of `StateStore`, and the history beside it.

`opening.open_store` picks the adapter; sqlite3 is imported by it and by `history`, not here.
"""
