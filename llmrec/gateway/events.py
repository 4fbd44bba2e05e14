"""What people do while the gateway runs: events that count in the next request, kept in SQLite or PostgreSQL.

An event that was acknowledged is on the disk. Everything here is synchronous and may be called from many threads.
"""

import hashlib
import hmac
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Engine,
    Index,
    MetaData,
    Table,
    Text,
    bindparam,
    delete,
    func,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy import Sequence as Numbers
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoneFree

from llmrec.errors import InputError
from llmrec.gateway.databases import SECONDS, address_of, check_encoding, engine_of
from llmrec.gateway.faults import NEVER, EventsDown, Refusal
from llmrec.schema import EARLIEST, LATEST, SECONDS_LOOK_LIKE

EventKind = Literal["purchase", "like", "view", "dismiss"]
KINDS: tuple[EventKind, ...] = get_args(EventKind)
TAKEN = ("purchase", "like")  # kinds that count as having taken an item

VERSION = 1
LONGEST_ID = 256  # characters of a key, a person or an item
AT_MOST = 10_000  # events in one call
SETTING_UP = 5_710_431  # the number of the lock under which one process makes PostgreSQL's tables

Answer = TypeVar("Answer")

_tables = MetaData()
_about = Table("llmrec_about", _tables, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))
_events = Table(
    "llmrec_events",
    _tables,
    Column("key", Text, primary_key=True),
    Column("arrival", BigInteger, nullable=False),
    Column("person", Text, nullable=False),
    Column("item", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("rating", Double),
)
_by_person = Index("llmrec_events_by_person", _events.c.person, _events.c.time, _events.c.arrival)
_newest = Index("llmrec_events_by_arrival", _events.c.arrival)
# The person as a keyed hash: whoever asked to be forgotten must not stay behind by name in the list of those who asked.
# A plain hash would not do, since ids are often numbers, which are all tried out in seconds; with a key the list alone
# says nothing. The key lies in the same database unless `secret` is given, so that nobody loses it by mistake, and with
# it all that was forgotten. Where copies of the whole database may get about, keep the secret elsewhere.
_forgotten = Table(
    "llmrec_forgotten",
    _tables,
    Column("person_hash", Text, primary_key=True),
    Column("since", BigInteger, nullable=False),
)
_arrivals = Numbers("llmrec_arrivals", metadata=_tables)  # PostgreSQL alone: SQLite has one writer, who counts


@dataclass(frozen=True)
class Event:
    """One thing that a person did. `key` is the client's own id of it: sent again, it does not count twice."""

    key: str
    person: str
    item: str
    kind: EventKind
    time: int | None
    """Milliseconds since 1970, as in a dataset's log; None is when it arrives, and says nothing against one that came
    with the same key before."""
    rating: float | None = None


_HISTORY = (
    select(*(_events.c[name] for name in Event.__dataclass_fields__))
    .where(_events.c.person == bindparam("person"))
    .order_by(_events.c.time, _events.c.arrival)
)
_SINCE = select(_forgotten.c.since).where(_forgotten.c.person_hash == bindparam("hash"))
"""Asked at every request, so that they are written once."""


@dataclass(frozen=True)
class History:
    """What is known of a person from events."""

    events: tuple[Event, ...] = ()
    """All of them, oldest first; those of one time in the order in which they arrived."""
    since: int | None = None
    """The time at which the person asked to be forgotten: no earlier row of the training log is to be used."""

    @cached_property
    def taken(self) -> tuple[str, ...]:
        """The items of purchases and likes, oldest first."""
        return tuple(one.item for one in self.events if one.kind in TAKEN)

    @cached_property
    def dismissed(self) -> frozenset[str]:
        """The items that are not to be shown again."""
        return frozenset(one.item for one in self.events if one.kind == "dismiss")


class Events:
    """The events of all people."""

    def __init__(self, url: URL, engine: Engine, now: Callable[[], int]):
        self._url, self._now = url, now
        # SQLite has to know at its BEGIN who is going to write.
        self._reading, self._writing = engine, engine.execution_options(writes=True)
        self._file = Path(str(url.database)) if engine.dialect.name == "sqlite" else None
        # SQLite lets writers try again and again for its one lock; threads of one process stand in a line instead.
        self._line = threading.Lock()
        self._inode: int | None = None
        self._secret = b""
        self._given: bytes | None = None

    @classmethod
    def open(cls, url: str, *, secret: str | None = None, now: Callable[[], int] | None = None) -> "Events":
        """Open a database, and make its tables where there are none: `sqlite:///events.db`, `postgresql://user@host/name`.

        `secret` is what forgotten people are hashed with, where it should not lie in the database. It can't be changed
        later.
        """
        parsed = address_of(url)
        opened = cls(parsed, engine_of(parsed), now or (lambda: time.time_ns() // 1_000_000))
        opened._given = secret.encode() if secret else None
        try:
            opened._set_up()
        except BaseException:
            opened.close()
            raise
        return opened

    def add(self, events: Sequence[Event]) -> list[bool]:
        """Keep events, all or none of them, and tell of each whether it is new.

        A key that is known with the same content is passed over; with another content it is a Refusal.
        """
        if len(events) > AT_MOST:
            raise Refusal(422, f"{len(events):,} events came at once. Send at most {AT_MOST:,}", param="events")
        wanted: dict[str, Event] = {}
        new = []
        for place, one in enumerate(events):
            _check(one, f"events[{place}]")
            new.append(one.key not in wanted)
            if wanted.setdefault(one.key, one) != one:
                raise _taken(one.key)
        if not wanted:
            return []
        now = self._now()
        kept = self._do(lambda connection: _add(connection, wanted, now), write=True)
        return [first and one.key in kept for first, one in zip(new, events, strict=True)]

    def history(self, person: str) -> History:
        """All that is known of one person."""
        _check_id(person, "person")

        def work(connection: Connection) -> History:
            rows = connection.execute(_HISTORY, {"person": person})
            events = tuple(Event(*row) for row in rows)
            return History(events, connection.scalar(_SINCE, {"hash": self._hash(person)}))

        return self._do(work)

    def forget(self, person: str) -> int:
        """Delete a person's events, and remember that the training log's rows of them are not to be used any more.

        The number of events that were deleted. Their keys are free again, and what the person does from now on counts.
        """
        _check_id(person, "person")

        def work(connection: Connection) -> int:
            row = {"person_hash": self._hash(person), "since": self._now()}
            # First the mark: two that forget one person at one time wait here for each other.
            insert_or = _insert(connection, _forgotten)
            later = {"since": _larger(connection, _forgotten.c.since, insert_or.excluded.since)}
            connection.execute(insert_or.on_conflict_do_update(index_elements=["person_hash"], set_=later), row)
            return connection.execute(delete(_events).where(_events.c.person == person)).rowcount

        gone = self._do(work, write=True)
        if self._file:  # the deleted rows stand in the write-ahead log still
            with suppress(SQLAlchemyError), self._line, self._reading.connect() as connection:
                raw = connection.connection.dbapi_connection
                assert raw is not None
                raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return gone

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            return bool(self._do(lambda connection: connection.scalar(select(func.count()).select_from(_about))))
        except EventsDown:
            return False

    def close(self) -> None:
        """Close all connections."""
        self._reading.dispose()

    def _hash(self, person: str) -> str:
        return hmac.new(self._secret, person.encode(), hashlib.sha256).hexdigest()

    def _do(self, work: Callable[[Connection], Answer], *, write: bool = False) -> Answer:
        """Do something in one transaction; a database that does not take it is down."""
        try:
            if self._file is None:
                with self._writing.begin() if write else self._reading.begin() as connection:
                    return work(connection)
            if not write:
                self._look()
                with self._reading.begin() as connection:
                    return work(connection)
            if not self._line.acquire(timeout=SECONDS):
                raise self._down("other writers keep it busy")
            try:
                self._look()
                with self._writing.begin() as connection:
                    done = work(connection)
                if _inode(self._file) != self._inode:  # what went into a file that is no more is not acknowledged
                    raise self._down("its file was taken away")
                return done
            finally:
                self._line.release()
        except NoneFree as error:
            raise self._down("all connections to it are in use") from error
        except DBAPIError as error:
            raise self._down(_first_line(error)) from error

    def _look(self) -> None:
        """Notice that SQLite's file is gone or another: open connections would go on with the one that is no more."""
        assert self._file is not None
        inode = _inode(self._file)
        if inode is not None and inode == self._inode:
            return
        self._reading.dispose()
        self._inode = None
        if inode is None:
            raise self._down("its file is gone. Put it back, or start the server again")
        try:
            self._set_up()
        except InputError as error:
            raise self._down(str(error)) from error

    def _set_up(self) -> None:
        """Make the tables where there are none, and check that these are ours."""
        if self._file and not self._file.parent.is_dir():
            raise InputError(f"{self._file.parent} is not a folder. Make it, or choose another place for the events")
        try:
            with self._writing.begin() as connection:
                if self._file is None:
                    check_encoding(connection)
                    connection.execute(select(func.pg_advisory_xact_lock(SETTING_UP)))
                if not inspect(connection).has_table(_about.name):
                    _tables.create_all(connection)
                    rows = [{"name": "version", "value": str(VERSION)}]
                    if self._given is None:
                        rows.append({"name": "secret", "value": secrets.token_hex(32)})
                    else:
                        rows.append({"name": "secret_check", "value": _proof(self._given)})
                    connection.execute(insert(_about), rows)
                about = {row.name: row.value for row in connection.execute(select(_about.c.name, _about.c.value))}
                self._check_about(about)
                # Whether it may be written is found out now, not at the first event.
                connection.execute(_about.update().where(_about.c.name == "version").values(value=about["version"]))
            if self._file:
                self._inode = _inode(self._file)
        except DBAPIError as error:
            raise self._unusable(error) from error
        except NoneFree as error:
            raise self._down("all connections to it are in use") from error

    def _check_about(self, about: dict[str, str]) -> None:
        version = about.get("version", "")
        if version != str(VERSION):
            newer = version.isdecimal() and int(version) > VERSION
            raise InputError(
                f"{self._url} holds events of version {version or 'unknown'}, and this llmrec knows version {VERSION}. "
                + ("Use a newer llmrec" if newer else "Choose another database")
            )
        if self._given is None and "secret" not in about:
            raise InputError(f"{self._url} was made with a secret of its own. Give the same one again")
        if self._given is not None and about.get("secret_check") != _proof(self._given):
            raise InputError(
                f"{self._url} was made with another secret: people who asked to be forgotten would be remembered. "
                "Give the same one again"
            )
        self._secret = self._given if self._given is not None else bytes.fromhex(about["secret"])

    def _unusable(self, error: DBAPIError) -> Exception:
        """Why a database cannot be opened: for a server that does not answer it may help to wait, for a file not."""
        said = _first_line(error)
        if self._file is None:
            return self._down(said)
        if isinstance(error.orig, sqlite3.OperationalError) and "locked" in said:
            return self._down("another process holds it")
        if "not a database" in said or "malformed" in said:
            return InputError(
                f"{self._file} is no whole SQLite database ({said}). Bring back a copy, or move it away to begin anew"
            )
        return InputError(f"{self._file} cannot be used for events: {said}. Choose a file that can be written")

    def _down(self, why: str) -> EventsDown:
        return EventsDown(f"The events' database {self._url} does not take it: {why}")


def _inode(file: Path) -> int | None:
    try:
        return file.stat().st_ino
    except OSError:
        return None


def _add(connection: Connection, wanted: dict[str, Event], now: int) -> set[str]:
    """Insert what is not there; the keys of what was. What is there has to be the same."""
    if connection.dialect.name == "postgresql":
        # Whatever the server's defaults are; and it gives up waiting for a lock before we give up waiting for it.
        connection.execute(
            text("SELECT set_config('synchronous_commit', 'on', true), set_config('lock_timeout', '3s', true)")
        )
        numbers = sorted(connection.scalars(select(_arrivals.next_value()).select_from(
            func.generate_series(1, len(wanted)).table_valued("number")
        )))  # fmt: skip
    else:
        newest = connection.scalar(select(func.coalesce(func.max(_events.c.arrival), 0))) or 0
        numbers = list(range(newest + 1, newest + 1 + len(wanted)))
    rows = [
        asdict(one) | {"arrival": number, "time": now if one.time is None else one.time}
        for one, number in zip(wanted.values(), numbers, strict=True)
    ]
    # In the order of keys: two that add the same ones in another order would wait for each other for ever.
    left = {row["key"]: row for row in sorted(rows, key=lambda row: row["key"])}
    put_in = _insert(connection, _events).on_conflict_do_nothing(index_elements=["key"]).returning(_events.c.key)
    new: set[str] = set()
    while left:
        for some in _in_parts(list(left.values())):
            new.update(connection.scalars(put_in, some))
        left = {key: row for key, row in left.items() if key not in new}
        columns = [_events.c[name] for name in Event.__dataclass_fields__]
        for some in _in_parts(list(left)):
            for row in connection.execute(select(*columns).where(_events.c.key.in_(some))):
                told = wanted[row.key]
                if Event(*row) != (replace(told, time=row.time) if told.time is None else told):
                    raise _taken(row.key)
                del left[row.key]
        # What is neither new nor there has been forgotten between the two: it is put in after all.
    return new


def _in_parts(rows: list[Any]) -> list[list[Any]]:
    return [rows[begin : begin + 1000] for begin in range(0, len(rows), 1000)]


def _insert(connection: Connection, table: Table) -> Any:
    """An INSERT that knows ON CONFLICT, which both databases write in the same way and SQLAlchemy in two modules."""
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)


def _larger(connection: Connection, one: Any, other: Any) -> Any:
    return func.greatest(one, other) if connection.dialect.name == "postgresql" else func.max(one, other)


def _proof(secret: bytes) -> str:
    return hmac.new(secret, b"llmrec: this is the secret", hashlib.sha256).hexdigest()


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0]


def _taken(key: str) -> Refusal:
    return Refusal(
        409, f"An event with the key {key!r} is there and says something else. Give each event a key of its own",
        param="key", code="key_taken", headers=NEVER,
    )  # fmt: skip


def _check(one: Event, where: str) -> None:
    for name in ("key", "person", "item"):
        _check_id(getattr(one, name), f"{where}.{name}")
    if one.kind not in KINDS:
        raise Refusal(422, f"{where}.kind is {one.kind!r}: it can be {', '.join(KINDS)}", param=f"{where}.kind")
    if one.time is not None and (type(one.time) is not int or not EARLIEST <= one.time <= LATEST):
        raise Refusal(
            422, f"{where}.time is {one.time!r}: it is a whole number of milliseconds since 1970", param=f"{where}.time"
        )
    if one.time is not None and 0 < one.time < SECONDS_LOOK_LIKE:
        raise Refusal(
            422, f"{where}.time is {one.time}: these look like seconds. Send milliseconds", param=f"{where}.time"
        )
    if one.rating is not None and not -1e9 <= one.rating <= 1e9:  # NaN is not between, either
        raise Refusal(422, f"{where}.rating is {one.rating!r}: it is a number, or left out", param=f"{where}.rating")


def _check_id(value: str, where: str) -> None:
    if not isinstance(value, str) or not value:
        raise Refusal(422, f"{where} is empty: it is a text of 1 to {LONGEST_ID} characters", param=where)
    if len(value) > LONGEST_ID:
        raise Refusal(422, f"{where} has {len(value):,} characters: it may have {LONGEST_ID}", param=where)
    if "\0" in value:
        raise Refusal(422, f"{where} holds a NUL character. Take it out", param=where)
    if not value.isascii() and any("\ud800" <= sign <= "\udfff" for sign in value):
        raise Refusal(422, f"{where} holds half of a surrogate pair, which is no character. Take it out", param=where)
