"""The run history in SQLite: every run that was launched from this machine, or listed to it.

What is launched is written down before it is sent, so that it leaves a trace whatever happens to this program; how it
goes is written down from the listings that pass by. An end that was seen is final. Nothing secret is kept: of the
environment only the names, of agents no tokens, and of the variables that a cell gets what is known without them. What
a cell has shown is kept, and of what it has left the small values; they are only loaded freely where their seal shows
that this user's own programs have left them.

A `Database` is one file; `reading`, `writing` and `pruning` are what is done in it, each function in one transaction.
A `Recorder` takes what happens, and lets nothing fail or wait because of that: its `Writer` has a thread that writes it
when it can be written, and a `Journal` that keeps until then what nobody else could tell. The only part that imports
sqlite3.
"""
