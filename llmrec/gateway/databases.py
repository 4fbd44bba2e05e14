"""A connection to SQLite or PostgreSQL that gives up waiting, and what an address of one may be."""

import sqlite3
import time
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from llmrec.errors import InputError

SECONDS = 4  # after which a database that does not answer counts as down
CONNECTING = 2
POOL = 8  # connections, and as many again when they are all in use


def address_of(url: str) -> URL:
    """The parsed address, or what is wrong with it; what may hold a password is never quoted."""
    examples = "Examples: sqlite:///events.db, postgresql://user:password@host/name"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise InputError(f"The address of the events' database cannot be read. {examples}") from None
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "postgresql+psycopg"):
        raise InputError(f"Events cannot be kept with {parsed.drivername}, only in SQLite and PostgreSQL. {examples}")
    if parsed.drivername == "sqlite":
        if not parsed.database or parsed.database == ":memory:" or parsed.database.startswith("file:"):
            raise InputError(f"{parsed} names no file, and events have to outlive the server. {examples}")
        if parsed.query:
            raise InputError(f"{parsed} has settings behind a '?', which SQLite's file does not take here. {examples}")
    return parsed


def engine_of(url: URL) -> Engine:
    """What gives connections: each waits for an answer so long and no longer."""
    shared: dict[str, Any] = {"pool_size": POOL, "max_overflow": POOL, "pool_timeout": SECONDS, "hide_parameters": True}
    if url.drivername == "sqlite":
        engine = create_engine(url, connect_args={"timeout": SECONDS}, **shared)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        import psycopg
        from psycopg.pq import TransactionStatus
    except ImportError as error:
        raise InputError("PostgreSQL needs psycopg. Run: pip install 'llmrec[postgres]'") from error

    class Patient(psycopg.Connection[Any]):
        """A connection that waits for an answer only so long: a frozen server would hold its threads for ever."""

        def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
            try:
                return super().wait(gen, interval, SECONDS if timeout is None else timeout)
            except psycopg.OperationalError:
                if self.pgconn.transaction_status == TransactionStatus.ACTIVE:  # it is still at it
                    self.pgconn.finish()
                raise

    engine = create_engine(
        url,
        pool_pre_ping=True,
        connect_args={"connect_timeout": CONNECTING, "tcp_user_timeout": SECONDS * 1000, "application_name": "llmrec"}
        | dict(url.query),
        **shared,
    )

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, record: Any, arguments: Any, named: Any) -> Any:  # noqa: ARG001
        return Patient.connect(*arguments, **named)

    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _: Any) -> None:
    connection.isolation_level = None  # transactions begin where we say so, not where the driver thinks so
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:  # this one pragma does not wait for who changes the mode just now
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    connection.execute("PRAGMA synchronous=FULL")  # acknowledged means on the disk; NORMAL would not be
    connection.execute("PRAGMA secure_delete=ON")  # what is forgotten is overwritten, not only unlinked


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def check_encoding(connection: Connection) -> None:
    """A database that cannot hold every name is an error."""
    encoding = connection.scalar(text("SHOW server_encoding"))
    if encoding != "UTF8":
        raise InputError(f"The database's encoding is {encoding}, which cannot hold every name. Make one with UTF8")
