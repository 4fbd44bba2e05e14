"""Keys: what opens the gateway, for whom and how often, and a file that holds nothing that opens it."""

import json
import os
import re
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

from llmrec import cli
from llmrec.errors import ConfigError, InputError
from llmrec.gateway.access import Key, Keys, Limiter, add_key, read_keys, remove_key
from llmrec.gateway.faults import Refusal


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.yaml"


def test_a_key_opens_what_it_was_made_for(file):
    made = add_key(file, "shop", ["read", "events"], people="shop1/", rate=600)
    key = Keys.open(file).check(f"Bearer {made}")
    assert key == Key("shop", ("read", "events"), "shop1/", 600)
    key.require("read")
    key.require("events")
    with pytest.raises(Refusal, match="'shop' has not the role 'admin', only read, events") as refused:
        key.require("admin")
    assert (refused.value.status, refused.value.kind) == (403, "permission_error")
    key.require_person("shop1/ann")
    for foreign in ("shop2/ann", "shop1", "", "shop10/ann", "Shop1/ann"):
        with pytest.raises(Refusal, match="only for people whose id begins with 'shop1/'"):
            key.require_person(foreign)


def test_admin_has_all_roles_and_a_key_without_a_prefix_all_people():
    for role in ("read", "events", "admin"):
        Key("root", ("admin",)).require(role)
    Key("root").require_person("anybody")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic c2hvcDp4", "sk-shop-1"])
def test_no_key_is_a_401_in_openais_words(file, header):
    add_key(file, "shop", ["read"])
    with pytest.raises(Refusal, match="You didn't provide an API key") as refused:
        Keys.open(file).check(header)
    assert (refused.value.status, refused.value.kind) == (401, "authentication_error")
    assert refused.value.headers == {"WWW-Authenticate": "Bearer"}


def test_a_wrong_key_is_a_401_that_does_not_repeat_it(file):
    made = add_key(file, "shop", ["read"])
    other = add_key(file, "other", ["read"])
    swapped = made.replace("shop", "other")
    for wrong in (made[:-1], made + "0", made.upper(), swapped, "sk-nobody-1", "sk-", "-", "ÿ" * 50, "x" * 10_000):
        with pytest.raises(Refusal) as refused:
            Keys.open(file).check(f"Bearer {wrong}")
        assert (refused.value.status, refused.value.code) == (401, "invalid_api_key")
        assert wrong == "-" or wrong not in str(refused.value)
    assert Keys.open(file).check(f"bearer   {other} ").name == "other"


def test_the_file_holds_only_hashes_and_only_its_owner_reads_it(file):
    made = [add_key(file, name, ["read"]) for name in ("one", "two")]
    text = file.read_text()
    for key in made:
        assert re.fullmatch(r"sk-(one|two)-[0-9a-f]{64}", key)
        assert key not in text
        assert key.rpartition("-")[2] not in text
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len({entry.hash for entry in read_keys(file).values()}) == 2


def test_the_file_may_be_json(tmp_path):
    file = tmp_path / "keys.json"
    made = add_key(file, "shop", ["read"], people="a:")
    assert json.loads(file.read_text())["keys"]["shop"]["people"] == "a:"
    assert Keys.open(file).check(f"Bearer {made}").name == "shop"


def test_without_a_file_everything_is_open_but_only_on_this_machine(file):
    keys = Keys.none()
    assert keys.check(None) == Key("anyone", ("read", "events", "admin"))
    for inside in ("127.0.0.1", "localhost", "::1", "127.1.2.3"):
        keys.require_loopback(inside)
    for outside in ("0.0.0.0", "::", "192.168.1.5", "example.org", ""):
        with pytest.raises(InputError, match="llmrec keys add"):
            keys.require_loopback(outside)
    add_key(file, "shop", ["read"])
    Keys.open(file).require_loopback("0.0.0.0")


def test_a_changed_file_counts_within_a_second(file):
    clock = Clock()
    first = add_key(file, "one", ["read"])
    keys = Keys.open(file, clock)
    second = add_key(file, "two", ["read"])
    remove_key(file, "one")
    assert keys.check(f"Bearer {first}").name == "one"
    clock.now += 1
    assert keys.check(f"Bearer {second}").name == "two"
    with pytest.raises(Refusal):
        keys.check(f"Bearer {first}")


def test_a_file_that_is_broken_or_gone_leaves_the_former_keys_and_is_told_once(file, caplog):
    clock = Clock()
    made = add_key(file, "one", ["read"])
    keys = Keys.open(file, clock)
    whole = file.read_text()
    for broken in ("keys: {one: {hash: x, roles: [read]}}", "][", None):
        caplog.clear()
        if broken is None:
            file.unlink()
        else:
            file.write_text(broken)
        for _ in range(3):
            clock.now += 1
            assert keys.check(f"Bearer {made}").name == "one"
        assert len(caplog.records) == 1
        assert "The keys stay as they were" in caplog.text
    file.write_text(whole.replace("read", "admin"))
    clock.now += 1
    assert keys.check(f"Bearer {made}").roles == ("admin",)


def test_looking_at_the_file_costs_a_request_next_to_nothing(file):
    made = f"Bearer {add_key(file, 'one', ['read'])}"
    keys = Keys.open(file)
    began = time.perf_counter()
    for _ in range(2_000):
        keys.check(made)
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("keys: {shop: {hash: sk-shop-1, roles: [read]}}", "hash is not of the form sha256:SALT:DIGEST"),
        ("keys: {shop: {hash: GOOD, roles: []}}", "roles is empty"),
        ("keys: {shop: {hash: GOOD, roles: [write]}}", "it can be read, events, admin"),
        ("keys: {shop: {hash: GOOD, roles: [read], people: shop1}}", "let it end in a sign"),
        ("keys: {shop: {hash: GOOD, roles: [read], people: ''}}", "let it end in a sign"),
        ("keys: {shop: {hash: GOOD, roles: [read], rate: 0}}", "at least 1 request a minute"),
        ("keys: {shop: {hash: GOOD, roles: [read], rates: 9}}", "did you mean keys.shop.rate?"),
        ("keys: {My Shop: {hash: GOOD, roles: [read]}}", "'My Shop' cannot name a key"),
        ("keys: {shop: {roles: [read]}}", "keys.shop.hash is missing"),
        ("[1]", "holds list"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_what_is_wrong(file, text, said):
    file.write_text(text.replace("GOOD", f"'sha256:{'0' * 32}:{'0' * 64}'"))
    with pytest.raises(ConfigError, match=re.escape(said)):
        Keys.open(file)


def test_keys_that_are_added_at_one_time_are_all_there(file):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: add_key(file, f"key{n}", ["read"]), range(24)))
    assert len(read_keys(file)) == 24


def test_a_bucket_empties_refills_and_says_how_long_to_wait():
    clock = Clock()
    limiter, key = Limiter(clock=clock), Key("shop", rate=3)
    for _ in range(3):
        limiter.take(key)
    with pytest.raises(Refusal, match="3 requests a minute") as refused:
        limiter.take(key)
    assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "20"})
    clock.now += 19.5
    with pytest.raises(Refusal) as refused:
        limiter.take(key)
    assert refused.value.headers == {"Retry-After": "1"}
    clock.now += 0.5
    limiter.take(key)
    limiter.take(Key("other", rate=1))
    clock.now += 3600  # an hour of rest gives no more than a minute's worth
    for _ in range(3):
        limiter.take(key)
    with pytest.raises(Refusal):
        limiter.take(key)


def test_a_key_without_a_rate_is_never_counted_and_buckets_are_bounded():
    limiter = Limiter(most=10)
    for number in range(1000):
        limiter.take(Key("free"))
        limiter.take(Key(f"key{number}", rate=1))
    assert len(limiter) == 10


def test_many_threads_share_one_bucket_and_take_no_more_than_it_holds():
    limiter = Limiter(clock=Clock())

    def take(_: int) -> bool:
        try:
            limiter.take(Key("shop", rate=500))
        except Refusal:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(2_000))) == 500


def command(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli.app, ["keys", *map(str, words)])
    said = str(done.exception) if isinstance(done.exception, InputError) else done.stderr
    return done.exit_code, done.stdout, said


def test_the_command_line_adds_a_key_and_prints_it_once_alone(file):
    code, out, said = command("add", file, "--name", "shop", "--role", "read", "--role", "events", "--rate", 600)
    assert code == 0
    assert Keys.open(file).check(f"Bearer {out.strip()}") == Key("shop", ("read", "events"), None, 600)
    assert "not shown again" in said
    assert command("add", file, "--name", "shop", "--role", "read")[2].endswith("or remove that one first")
    assert command("add", file, "--name", "two", "--role", "write")[2].startswith("'write' is not a role")
    assert command("add", file, "--name", "two")[0] == 2
    assert list(read_keys(file)) == ["shop"]


def test_the_command_line_lists_and_removes_keys_and_tells_no_hash(file):
    command("add", file, "--name", "shop", "--role", "read", "--people", "shop1/")
    command("add", file, "--name", "boss", "--role", "admin")
    code, out, _ = command("list", file)
    assert code == 0
    assert "shop1/" in out
    assert "boss" in out
    assert "sha256" not in out
    assert command("remove", file, "shop")[0] == 0
    assert list(read_keys(file)) == ["boss"]
    assert "has no key 'shop'. It has boss" in command("remove", file, "shop")[2]


def test_the_command_line_explains_itself_and_fails_as_the_others_do(tmp_path):
    for word in ("add", "list", "remove"):
        assert "Example" in command(word, "--help")[1]
    done = subprocess.run(
        [sys.executable, "-m", "llmrec", "keys", "list", str(tmp_path / "none.yaml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert "none.yaml does not exist" in done.stderr


def test_a_folder_that_is_not_there_or_cannot_be_written_is_told(tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        add_key(tmp_path / "none" / "keys.yaml", "shop", ["read"])
    with pytest.raises(InputError, match="cannot be written"):
        add_key(Path("/proc/keys.yaml"), "shop", ["read"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_servers_user_goes_on_reading_a_file_that_root_changes(file):
    add_key(file, "one", ["read"])
    os.chown(file, 65534, 65534)
    add_key(file, "two", ["read"])
    assert (file.stat().st_uid, stat.S_IMODE(file.stat().st_mode)) == (65534, 0o600)
