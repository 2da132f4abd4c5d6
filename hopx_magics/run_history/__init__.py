"""The run history in SQLite: every run that was launched from this machine, or listed to it.

What is launched is written down before it is sent, so that it leaves a trace whatever happens to this program; how it
goes is written down from the listings that pass by. An end that was seen is final. Nothing secret is kept: of the
environment only the names, of agents no tokens.

A `Database` is one file; `reading`, `writing` and `pruning` are what is done in it, each function in one transaction.
A `Recorder` writes into it what happens, and lets nothing fail because of that. The only part that imports sqlite3.
"""
