"""Events: kept once, kept for good, in the order of time, in SQLite and in PostgreSQL alike."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.gateway.events import KINDS, Event, Events, History
from llmrec.gateway.faults import EventsDown, Refusal

NOW = 1_700_000_000_000

# A process that adds events, one by one or in pairs, and says which were acknowledged.
ADDING = """
import sys
from llmrec.gateway.events import Event, Events

url, name, count, shared = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "shared"
events = Events.open(url)
print("open", flush=True)
for number in range(count):
    own = Event(f"{name}-{number}", "ann", f"item-{number}", "purchase", 1_700_000_000_000 + number)
    both = Event(f"both-{number}", "ann", "hat", "like", 1_700_000_000_000 + number)
    new = events.add([own, both] if shared else [own])
    print(own.key, *new, flush=True)
"""


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/events.db"
    return request.getfixturevalue("postgres_server").url()


@pytest.fixture
def events(url: str) -> Iterator[Events]:
    opened = Events.open(url, now=lambda: NOW)
    yield opened
    opened.close()


def event(key: str = "e1", person: str = "ann", item: str = "hat", kind: str = "purchase", time: int = NOW) -> Event:
    return Event(key, person, item, kind, time)


def adding(url: str, name: str, count: int, how: str = "alone") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ADDING, url, name, str(count), how], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def test_an_event_counts_in_the_next_history_and_only_for_its_person(events):
    assert events.add([event()]) == [True]
    assert events.history("ann") == History((event(),), None)
    assert events.history("ann").taken == ("hat",)
    assert events.history("bob") == History()


def test_purchases_and_likes_are_taken_views_are_not_and_dismissed_items_are_set_apart(events):
    events.add([event(f"e{kind}", item=kind, kind=kind, time=NOW + place) for place, kind in enumerate(KINDS)])
    history = events.history("ann")
    assert history.taken == ("purchase", "like")
    assert history.dismissed == {"dismiss"}
    assert [one.kind for one in history.events] == list(KINDS)


def test_items_come_oldest_first_and_ties_as_they_arrived(events):
    events.add([event("z", item="late", time=NOW + 5), event("y", item="first"), event("a", item="second")])
    events.add([event("b", item="third"), event("0", item="old", time=NOW - 5)])
    assert events.history("ann").taken == ("old", "first", "second", "third", "late")


def test_an_event_that_is_sent_again_does_not_count_twice(events):
    assert events.add([event(), event("e2", item="tie")]) == [True, True]
    assert events.add([event("e3"), event(), event("e3")]) == [True, False, False]
    assert len(events.history("ann").events) == 3


@pytest.mark.parametrize(
    "other",
    [
        {"item": "tie"}, {"person": "bob"}, {"kind": "view"}, {"time": NOW + 1}, {"rating": 4.0},
    ],
    ids=lambda other: next(iter(other)),
)  # fmt: skip
def test_a_key_with_another_content_is_refused_and_nothing_of_the_call_is_kept(events, other):
    events.add([event()])
    with pytest.raises(Refusal, match="'e1' is there and says something else") as refused:
        events.add([event("e2"), replace(event(), **other)])
    assert (refused.value.status, refused.value.headers) == (409, {"x-should-retry": "false"})
    with pytest.raises(Refusal, match="something else"):
        events.add([event("e3"), replace(event("e3"), **other)])
    assert events.history("ann").events == (event(),)


def test_ratings_and_names_in_any_script_come_back_as_they_went_in(events):
    names = ["Ünïcödé", "日本語", "e\u0301", "\u00e9", "👩\u200d🔬", "a'b\"c;--", "%s {}", " ", "x" * 256]
    sent = [Event(f"k{name}"[:256], name, name, "like", NOW, 3.5) for name in names]
    assert events.add(sent) == [True] * len(names)
    for one in sent:
        assert events.history(one.person).events == (one,)


@pytest.mark.parametrize(
    ("bad", "said", "param"),
    [
        (event(key=""), "events[0].key is empty", "events[0].key"),
        (event(person="a\0b"), "events[0].person holds a NUL character", "events[0].person"),
        (event(item="\ud800"), "events[0].item holds half of a surrogate pair", "events[0].item"),
        (event(item="x" * 257), "events[0].item has 257 characters: it may have 256", "events[0].item"),
        (event(kind="steal"), "events[0].kind is 'steal': it can be purchase, like, view, dismiss", "events[0].kind"),
        (event(time=NOW // 1000), "these look like seconds", "events[0].time"),
        (event(time=10**18), "milliseconds since 1970", "events[0].time"),
        (event(time=1.5), "milliseconds since 1970", "events[0].time"),
        (replace(event(), rating=float("nan")), "events[0].rating is nan", "events[0].rating"),
    ],
)  # fmt: skip
def test_what_no_database_should_hold_is_refused_and_named(events, bad, said, param):
    with pytest.raises(Refusal) as refused:
        events.add([bad])
    assert said in str(refused.value)
    assert (refused.value.status, refused.value.param) == (422, param)


def test_people_are_checked_where_they_are_asked_for_too(events):
    for ask in (events.history, events.forget):
        with pytest.raises(Refusal, match="NUL"):
            ask("a\0b")


def test_many_events_come_in_one_call_but_not_without_end(events):
    sent = [event(f"e{number}", time=NOW + number % 7) for number in range(2_500)]
    assert events.add(sent) == [True] * 2_500
    assert events.add(sent) == [False] * 2_500
    assert events.add([]) == []
    with pytest.raises(Refusal, match="at most 10,000"):
        events.add(sent * 5)


def test_forgetting_deletes_the_events_and_marks_the_log(events):
    events.add([event(), event("e2", person="bob")])
    assert events.forget("ann") == 1
    assert events.history("ann") == History((), NOW)
    assert events.history("bob") == History((event("e2", person="bob"),), None)
    assert events.add([event()]) == [True]  # the key is free again, and what comes now counts
    assert events.history("ann") == History((event(),), NOW)


def test_who_is_forgotten_twice_is_forgotten_at_the_later_time(url):
    clock = iter([NOW + 10, NOW])
    events = Events.open(url, now=lambda: next(clock))
    assert [events.forget("nobody"), events.forget("nobody")] == [0, 0]
    assert events.history("nobody").since == NOW + 10
    events.close()


def test_the_mark_outlives_the_server_and_nothing_of_the_person_is_left_in_the_files(tmp_path):
    address = f"sqlite:///{tmp_path}/events.db"
    events = Events.open(address)
    events.add(
        [event(f"own-{n}", person="ann-in-full", item=f"secret-{n}") for n in range(200)] + [event(person="bob")]
    )
    events.forget("ann-in-full")
    left = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"bob" in left
    assert b"ann-in-full" not in left
    assert b"secret-" not in left
    events.close()
    again = Events.open(address)
    assert again.history("ann-in-full").since is not None
    again.close()


def test_a_secret_from_elsewhere_is_not_in_the_database_and_has_to_be_the_same_again(url, tmp_path):
    events = Events.open(url, secret="in the vault")
    events.forget("ann")
    events.close()
    for wrong, said in ((None, "was made with a secret of its own"), ("another", "was made with another secret")):
        with pytest.raises(InputError, match=said):
            Events.open(url, secret=wrong)
    again = Events.open(url, secret="in the vault")
    assert again.history("ann").since is not None
    again.close()
    assert not any(b"in the vault" in path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_a_history_is_what_plain_python_makes_of_the_same_calls(database, tmp_path_factory, request):
    people, items = st.sampled_from(["ann", "bob"]), st.sampled_from(["hat", "tie", "bag"])
    some = st.builds(
        Event, st.sampled_from([f"k{n}" for n in range(12)]), people, items, st.sampled_from(KINDS),
        st.integers(NOW, NOW + 2), st.none() | st.floats(-5, 5),
    )  # fmt: skip
    calls = st.lists(st.lists(some, max_size=4) | people, max_size=10)
    if database == "sqlite":
        address = f"sqlite:///{tmp_path_factory.mktemp('model')}/events.db"
    else:
        address = request.getfixturevalue("postgres_server").url()
    events = Events.open(address, now=lambda: NOW)

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(calls)
    def check(calls):
        for person in ("ann", "bob"):
            events.forget(person)
        known: dict[str, Event] = {}
        for call in calls:
            if isinstance(call, str):
                known = {key: one for key, one in known.items() if one.person != call}
                events.forget(call)
                continue
            after, new = dict(known), []
            for one in call:
                new.append(one.key not in after)
                after.setdefault(one.key, one)
            if all(after[one.key] == one for one in call):
                assert events.add(call) == new
                known = after
            else:
                with pytest.raises(Refusal, match="something else"):
                    events.add(call)
        for person in ("ann", "bob"):
            rows = tuple(sorted((one for one in known.values() if one.person == person), key=lambda one: one.time))
            assert events.history(person) == History(rows, NOW)

    check()
    events.close()


def test_many_threads_lose_nothing_and_double_nothing(events):
    sent = [[event(f"{n}-{m}", time=NOW + n) for m in range(3)] + [event("all")] for n in range(60)]
    with ThreadPoolExecutor(20) as pool:
        told = list(pool.map(events.add, sent))
    assert sum(new[-1] for new in told) == 1
    assert all(new[:3] == [True] * 3 for new in told)
    assert len(events.history("ann").events) == 60 * 3 + 1


def test_threads_that_send_the_same_in_another_order_do_not_wait_for_each_other_for_ever(events):
    sent = [event(f"e{n}") for n in range(50)]
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(events.add, [sent, sent[::-1]] * 10))
    assert time.monotonic() - began < 4
    assert sum(map(sum, told)) == 50


def test_two_processes_lose_nothing_and_double_nothing(url):
    both = [adding(url, name, 30, "shared") for name in ("one", "two")]
    told = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    acknowledged = [line.split() for out, _ in told for line in out.splitlines()[1:]]
    events = Events.open(url)
    rows = events.history("ann").events
    events.close()
    assert len(acknowledged) == 60
    assert len(rows) == 30 * 2 + 30
    assert all(own == "True" for _, own, _ in acknowledged)
    assert sum(shared == "True" for _, _, shared in acknowledged) == 30


def test_a_process_that_is_killed_while_it_adds_loses_nothing_that_was_acknowledged(url):
    process = adding(url, "one", 100_000)
    acknowledged = []
    for line in process.stdout:
        acknowledged.append(line.split()[0])
        if len(acknowledged) == 100:
            process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    events = Events.open(url)
    kept = [one.key for one in events.history("ann").events]
    assert acknowledged[1:] == kept[: len(acknowledged) - 1]
    assert len(kept) <= len(acknowledged)  # at most one was kept and not yet told
    events.close()


def test_a_server_that_dies_is_told_in_seconds_and_works_when_it_is_back(postgres_server):
    events = Events.open(postgres_server.url())
    acknowledged: list[str] = []
    down = threading.Event()

    def add_on() -> None:
        for number in range(100_000):
            try:
                events.add([event(f"e{number}", time=NOW + number)])
            except EventsDown:
                down.set()
                return
            acknowledged.append(f"e{number}")

    adds = threading.Thread(target=add_on)
    adds.start()
    wait_for(lambda: len(acknowledged) > 50)
    postgres_server.stop("immediate")
    try:
        adds.join(10)
        assert down.is_set()
        began = time.monotonic()
        assert not events.ready()
        with pytest.raises(EventsDown, match=r"postgresql\+psycopg://tests@127.0.0.1:\d+/\S+ does not take it: "):
            events.history("ann")
        assert time.monotonic() - began < 5
    finally:
        postgres_server.start()
    assert events.ready()
    kept = [one.key for one in events.history("ann").events]
    assert kept[: len(acknowledged)] == acknowledged
    assert events.add([event("after")]) == [True]
    events.close()


@pytest.mark.slow
def test_a_server_that_stands_still_is_told_in_seconds_too(postgres_server):
    events = Events.open(postgres_server.url())
    events.add([event()])
    with postgres_server.frozen():
        began = time.monotonic()
        with pytest.raises(EventsDown):
            events.add([event("e2")])
        assert time.monotonic() - began < 9
    wait_for(events.ready)
    assert events.add([event(), event("e2")])[0] is False
    events.close()


@pytest.mark.slow
def test_a_file_that_another_process_holds_is_told_in_seconds(tmp_path):
    events = Events.open(f"sqlite:///{tmp_path}/events.db")
    holder = sqlite3.connect(tmp_path / "events.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    with pytest.raises(EventsDown, match="locked"):
        events.add([event()])
    assert time.monotonic() - began < 6
    assert events.history("ann") == History()  # who reads does not wait
    holder.execute("ROLLBACK")
    assert events.add([event()]) == [True]
    holder.close()
    events.close()


def test_a_file_that_is_taken_away_is_told_and_nothing_is_acknowledged_into_the_void(tmp_path):
    address = tmp_path / "data" / "events.db"
    address.parent.mkdir()
    events = Events.open(f"sqlite:///{address}")
    events.add([event()])
    address.parent.rename(tmp_path / "away")
    for ask in (lambda: events.add([event("e2")]), lambda: events.history("ann"), lambda: events.forget("ann")):
        with pytest.raises(EventsDown, match="its file is gone"):
            ask()
    assert not events.ready()
    (tmp_path / "away").rename(address.parent)
    assert events.ready()
    assert events.add([event(), event("e2")]) == [False, True]
    events.close()


def test_a_file_that_is_replaced_is_read_anew(tmp_path):
    for name in ("events.db", "copy.db"):
        made = Events.open(f"sqlite:///{tmp_path / name}")
        made.add([event(name)])
        made.close()
    events = Events.open(f"sqlite:///{tmp_path}/events.db")
    assert [one.key for one in events.history("ann").events] == ["events.db"]
    (tmp_path / "copy.db").replace(tmp_path / "events.db")
    assert [one.key for one in events.history("ann").events] == ["copy.db"]
    events.close()


def test_a_damaged_file_is_told_when_it_is_opened_and_when_it_is_read(tmp_path):
    path = tmp_path / "events.db"
    events = Events.open(f"sqlite:///{path}")
    events.add([event(f"e{n}") for n in range(2_000)])
    events.close()
    whole = path.read_bytes()
    path.write_bytes(b"not a database at all" * 1_000)
    with pytest.raises(InputError, match=r"events.db is no whole SQLite database \(file is not a database\)"):
        Events.open(f"sqlite:///{path}")
    path.write_bytes(whole[: 4096 * 8] + os.urandom(len(whole) - 4096 * 8))
    events = Events.open(f"sqlite:///{path}")
    with pytest.raises(EventsDown, match="malformed"):
        events.history("ann")
    events.close()


def test_a_disk_that_is_full_is_told_and_what_was_kept_stays(tmp_path):
    events = Events.open(f"sqlite:///{tmp_path}/events.db")
    events.add([event()])
    with events._reading.connect() as connection:  # the smallest disk there is
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    with pytest.raises(EventsDown, match="full"):
        events.add([event(f"e{n}", item="x" * 200) for n in range(2_000)])
    assert events.history("ann").events == (event(),)
    events.close()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("events.db", "cannot be read"),
        ("postgresql://user:hunter2@host:port/name", "cannot be read"),
        ("mysql://user:hunter2@host/name", "only in SQLite and PostgreSQL"),
        ("postgresql+asyncpg://user:hunter2@host/name", "only in SQLite and PostgreSQL"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///events.db?mode=memory", "settings behind a '?'"),
        ("sqlite:////nowhere/at/all/events.db", "/nowhere/at/all is not a folder"),
        ("sqlite:////tmp", "/tmp cannot be used for events"),
        ("sqlite:////proc/events.db", "cannot be used for events"),
    ],
)  # fmt: skip
def test_an_address_that_cannot_hold_events_is_refused_with_no_password_told(wrong, said):
    with pytest.raises(InputError, match=None) as refused:
        Events.open(wrong)
    assert said in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_database_that_a_newer_llmrec_made_is_left_alone(url):
    events = Events.open(url)
    with events._writing.begin() as connection:
        connection.exec_driver_sql("UPDATE llmrec_about SET value = '2' WHERE name = 'version'")
    events.close()
    with pytest.raises(InputError, match=r"version 2, and this llmrec knows version 1\. Use a newer"):
        Events.open(url)


def test_a_database_that_cannot_hold_every_name_is_refused(postgres_server):
    with pytest.raises(InputError, match="encoding is LATIN1"):
        Events.open(postgres_server.make("latin", "LATIN1"))


def test_a_server_that_is_not_there_is_down_and_not_wrong():
    with pytest.raises(EventsDown, match=r"postgresql\+psycopg://user:\*\*\*@127.0.0.1:1/name") as down:
        Events.open("postgresql://user:hunter2@127.0.0.1:1/name")
    assert "hunter2" not in str(down.value)


def test_many_open_an_empty_database_at_one_time(url):
    with ThreadPoolExecutor(6) as pool:
        opened = list(pool.map(lambda _: Events.open(url), range(6)))
    opened[0].forget("ann")
    assert all(one.history("ann").since for one in opened)
    for one in opened:
        one.close()


def test_an_event_lies_on_the_disk_before_it_is_acknowledged(tmp_path, postgres_server):
    events = Events.open(f"sqlite:///{tmp_path}/events.db")
    with events._writing.begin() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    events.close()
    url = postgres_server.url()
    careless = Events.open(url + "%20-csynchronous_commit%3Doff")
    seen = []
    from sqlalchemy import event as hooks

    @hooks.listens_for(careless._reading, "commit")
    def ask(connection):
        seen.append(connection.exec_driver_sql("SHOW synchronous_commit").scalar())

    careless.add([event()])
    assert seen == ["on"]
    careless.close()


def wait_for(what: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)
