"""How the history's file came to be as it is: small steps, each made once, in one transaction with its record.

A step that has been released is never changed; what is to be different is a new step behind it.
"""

import sqlite3
import time

from ..errors import HistoryError

MOMENT = "coalesce(launched_at, started_at, runs.seen_at, 0)"
"""By what runs are ordered: when they were launched, or as near to that as is known."""

MIGRATIONS: dict[str, tuple[str, ...]] = {
    "codes": ("CREATE TABLE codes (hash TEXT PRIMARY KEY, code TEXT NOT NULL)",),
    "runs": (
        """CREATE TABLE runs (
            number INTEGER PRIMARY KEY,
            run_id TEXT NOT NULL UNIQUE,
            process_id TEXT,
            execution_id TEXT,
            connection TEXT NOT NULL,
            agent TEXT NOT NULL,
            sandbox TEXT,
            name TEXT,
            tags TEXT NOT NULL DEFAULT '{}',
            params TEXT NOT NULL DEFAULT '{}',
            sweep_id TEXT,
            rerun_of TEXT,
            language TEXT,
            code_hash TEXT REFERENCES codes,
            workdir TEXT,
            timeout INTEGER,
            env_names TEXT NOT NULL DEFAULT '[]',
            notebook TEXT,
            cell TEXT,
            version TEXT,
            launched_here INTEGER NOT NULL,
            launched_at INTEGER,
            started_at INTEGER,
            completed_at INTEGER,
            seen_at INTEGER,
            status TEXT NOT NULL,
            status_detail TEXT,
            exit_code INTEGER,
            execution_time REAL,
            pid INTEGER,
            stdout_bytes INTEGER,
            stderr_bytes INTEGER,
            output_due INTEGER NOT NULL
        )""",
        "CREATE UNIQUE INDEX runs_process ON runs (agent, process_id) WHERE process_id IS NOT NULL",
        "CREATE INDEX runs_name ON runs (name)",
        "CREATE INDEX runs_sweep ON runs (sweep_id) WHERE sweep_id IS NOT NULL",
        "CREATE INDEX runs_going ON runs (agent) WHERE status IN ('queued', 'running')",
        """CREATE INDEX runs_output_due ON runs (agent)
            WHERE output_due AND status IN ('completed', 'failed', 'killed')""",
    ),
    "agents": ("CREATE TABLE agents (agent TEXT PRIMARY KEY, seen_at INTEGER NOT NULL)",),
    "outputs": (
        """CREATE TABLE outputs (
            number INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
            stream TEXT NOT NULL,
            head BLOB NOT NULL,
            tail BLOB NOT NULL,
            size INTEGER NOT NULL,
            PRIMARY KEY (number, stream)
        )""",
    ),
    "order": ("CREATE INDEX runs_moment ON runs (coalesce(launched_at, started_at, seen_at, 0))",),
    "removed": (
        "CREATE TABLE removed (agent TEXT NOT NULL, process_id TEXT NOT NULL, PRIMARY KEY (agent, process_id))",
    ),
    "looks": ("CREATE TABLE looks (place TEXT PRIMARY KEY, looked_at INTEGER NOT NULL)",),
    "waiting": (
        """CREATE TABLE waiting (
            run_id TEXT PRIMARY KEY REFERENCES runs (run_id) ON DELETE CASCADE, host TEXT NOT NULL, pid INTEGER NOT NULL
        )""",
        "CREATE INDEX waiting_program ON waiting (host, pid)",
        """UPDATE runs SET agent = '', status = 'unknown', status_detail = 'nobody knows whether it was launched'
            WHERE connection = '' AND status IN ('queued', 'running')""",
    ),
    "first_line": ("ALTER TABLE runs ADD COLUMN first_line INTEGER NOT NULL DEFAULT 1",),
    "journals": (
        "CREATE TABLE journals (journal TEXT PRIMARY KEY, position INTEGER NOT NULL, written_at INTEGER NOT NULL)",
    ),
    "codes in use": ("CREATE INDEX runs_code ON runs (code_hash)",),
    "leftovers": (
        "ALTER TABLE runs ADD COLUMN leftovers TEXT NOT NULL DEFAULT '[]'",
        "ALTER TABLE runs ADD COLUMN kill_leftovers INTEGER NOT NULL DEFAULT 0",
    ),
    "values": (
        "ALTER TABLE runs ADD COLUMN values_in TEXT",
        "CREATE INDEX runs_values ON runs (values_in) WHERE values_in IS NOT NULL",
        "ALTER TABLE runs ADD COLUMN keep TEXT NOT NULL DEFAULT '[]'",
        "ALTER TABLE runs ADD COLUMN sweep_index INTEGER",
        "ALTER TABLE runs ADD COLUMN values_out TEXT",
        "ALTER TABLE runs ADD COLUMN displays INTEGER",
        """CREATE TABLE kept (
            number INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
            file TEXT NOT NULL,
            content BLOB NOT NULL,
            PRIMARY KEY (number, file)
        )""",
    ),
    "usage": (
        "ALTER TABLE runs ADD COLUMN peak_memory_bytes INTEGER",
        "ALTER TABLE runs ADD COLUMN cpu_seconds REAL",
    ),
    "bounds": ("ALTER TABLE runs ADD COLUMN stopped_when TEXT",),
    "usual times": (
        """CREATE INDEX runs_completed ON runs (code_hash, coalesce(launched_at, started_at, seen_at, 0))
            WHERE status = 'completed'""",
    ),
    "usage of GPUs": ("ALTER TABLE runs ADD COLUMN peak_gpu_memory_bytes INTEGER",),
    "notices": ("ALTER TABLE runs ADD COLUMN notice TEXT",),
    "terms": ("ALTER TABLE runs ADD COLUMN terms TEXT NOT NULL DEFAULT '{}'",),
}
"""The steps in their order: a name, and the statements. Times are microseconds since 1970, UTC."""


def migrate(db: sqlite3.Connection, file: str) -> None:
    """Makes the steps that this file has not seen. Raises HistoryError for a file that a newer version has written."""
    made = _made(db)
    if unknown := made - set(MIGRATIONS):
        raise HistoryError(
            f"the run history {file} was written by a newer version of hopx_magics "
            f"(it has {', '.join(sorted(unknown))}) and is left alone",
            hint="Upgrade hopx_magics, or set HOPX_HISTORY to another file.",
        )
    if made == set(MIGRATIONS):
        return
    for name, statements in MIGRATIONS.items():
        db.execute("BEGIN IMMEDIATE")
        try:
            db.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, made_at INTEGER NOT NULL)")
            if name not in _made(db):  # another kernel may have been faster
                for statement in statements:
                    db.execute(statement)
                db.execute("INSERT INTO migrations VALUES (?, ?)", (name, time.time_ns() // 1000))
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise


def _made(db: sqlite3.Connection) -> set[str]:
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'migrations'").fetchone():
        return set()
    return {name for (name,) in db.execute("SELECT name FROM migrations")}
