"""Every command of README and docs: the real command line takes it, and what can run here runs, on a tiny shop."""

import json
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from unittest import mock

import polars as pl
import pytest
import shell
import yaml
from from_code import commands, routes
from shell import Command
from shops import picture
from typer.testing import CliRunner

from llmrec.cli import app

ROOT = shell.ROOT
FIRST = ["README.md", "docs/tutorial.md"]
"""Pages whose commands run with the quick tests; those of the others are slow."""
OURS = ("prompts", "data_builders", "train", "serve")

# What is only looked at and never run here, and why.
NOT_RUN = {
    r"make ": "these tests are run by make; their targets are looked up",
    r"source |\.venv/bin/": "it is about the environment that these tests run in",
    r"python -m pytest ": "these are tests themselves",
    r"python data_builders/(amazon|movielens|hm|microlens|sequences|xrec)\.py ": "others' data; test_builders_*.py",
    r"llmrec index work/shop .*text_encoder=\./minilm": "other people's encoders; tests/test_encoders.py",
    r"accelerate launch ": "several GPUs; on a CPU tests/test_processes.py does it",
    r"python -m llmrec\.sft train/(llava|qwen|smolvlm)": "it needs a GPU and a model of the hub",
    r"llmrec serve .*tensor-parallel": "it needs two GPUs",
    r"llm ": "somebody else's program; tests/test_clients.py asks with it",
    r"llmrec demo ": "minutes; tests/test_demo.py",
    r"llmrec compare .*(--work|--quick)": "hours, or minutes; tests/test_compare.py",
    r"python data_builders/tabular\.py (--init )?films/": "films and posters are others' data; benchmarks/films.py",
    r"llmrec chat ": "it talks with a server; tests/test_chat.py does",
    r"llmrec doctor": "what it says is of the machine; tests/test_doctor.py",
    r"docker ": "it needs Docker",
    r"python benchmarks/": "minutes each; they have tests of their own",
}
# How a command is made small: what is put behind it, after all that it says itself.
TRAINED = ["walks.passes=0.5", "talks.count=4", "words.warm=1", "words.width=32", "watch=0", "batch_tokens=512"]
SMALLER = {
    r"python data_builders/atelier\.py ": ["--size", "tiny"],
    r"llmrec examples ": ["limit=40"],
    r"llmrec index ": ["sasrec.epochs=1", "sasrec.width=8"],
    r"llmrec pretrain .*captions": ["passes=0.1", "acquaint=1", "asked=2", "among=2"],
    r"llmrec pretrain ": ["epochs=1", "shape.width=64", "shape.vector=16"],
    r"python -m llmrec\.sft ": TRAINED,
    r"llmrec evaluate ": ["--limit", "6"],
    r"llmrec merge ": ["--people", "8"],
}


def every(*, only: Sequence[str] = (), but: Sequence[str] = ()) -> list[Command]:
    """The commands of all pages, or of some."""
    found = [one for path in shell.pages() for one in shell.commands(path)]
    return [one for one in found if (not only or one.page in only) and one.page not in but]


def reason(command: Command) -> str | None:
    """Why a command is not run here, if it is not."""
    return next((why for pattern, why in NOT_RUN.items() if re.match(pattern, str(command))), None)


def smaller(command: Command) -> list[str]:
    """The command with sizes that take seconds, and without what needs vLLM."""
    words = [word for word in command.words if word != "--verify"]  # tests/test_tuning.py compares with vLLM
    more = next((more for pattern, more in SMALLER.items() if re.match(pattern, str(command))), [])
    words += more
    if command.begins("llmrec", "assemble"):
        words += [] if "--layers" in words else ["--layers", "1"]
    if command.begins("python", "-m", "llmrec.sft") and "adapter.layers=" not in str(command):
        words.append("adapter.layers=1")
    return words


def made_by(command: Command) -> str | None:
    """The folder or file that a command writes."""
    words = command.words
    if "--out" in words:
        return words[words.index("--out") + 1]
    if command.begins("python", "-m", "llmrec.sft") and "--dry-run" not in words:
        given = [word.removeprefix("out=") for word in words if word.startswith("out=")]
        return str((given or [yaml.safe_load((ROOT / words[3]).read_text())["out"]])[-1])
    return None


def last_of_each(commands: Sequence[Command]) -> list[Command]:
    """The commands that run, without those whose result a later one replaces."""
    last = {made_by(one) or str(one): one for one in commands if runs(one)}
    return [one for one in commands if last.get(made_by(one) or str(one)) is one]


@dataclass
class Workshop:
    """A folder in which the commands of pages are run one after the other, each only where its result is not there."""

    folder: Path
    made: dict[str, str] = field(default_factory=dict)
    """Which command a result is of."""

    def before(self, command: Command) -> None:
        """Make what a command finds: the results of the README, and of its own page down to it as they then are."""
        if not self.made:
            for one in every(only=["README.md"]):
                if one == command:
                    return
                if runs(one):
                    self.run(one)
        own = every(only=[command.page])
        for one in last_of_each(own[: own.index(command)]):
            self.run(one)

    def run(self, command: Command) -> None:
        """Run a command, unless it is done and nothing else has replaced its result."""
        out = made_by(command)
        if self.made.get(out or str(command)) == str(command):
            return
        words = smaller(command)
        if out and (self.folder / out).exists() and "--overwrite" not in words and not out.endswith(".html"):
            words.append("--overwrite")
        code, told = self.started(words)
        assert code == 0, f"{command.page}: {' '.join(words)}\n{told}"
        self.made[out or str(command)] = str(command)
        if out:
            assert (self.folder / out).exists(), f"{command} wrote no {out}"

    def started(self, words: list[str]) -> tuple[int, str]:
        """The exit code of a command that runs in this process, and what it says."""
        if words[0] == "llmrec":
            result = CliRunner().invoke(app, words[1:])
            return result.exit_code, f"{result.output}\n{result.exception or ''}"
        if words[1] == "-m":
            from llmrec.sft import main

            return main(words[3:]), "(see above)"
        with mock.patch.object(sys, "argv", words[1:]), mock.patch.object(sys, "path", ["data_builders", *sys.path]):
            try:
                runpy.run_path(words[1], run_name="__main__")
            except SystemExit as error:
                return int(error.code or 0), "(see above)"
        return 0, ""


def runs(command: Command) -> bool:
    """Whether a command is run in the workshop; servers and what is asked of them have a test of their own."""
    return reason(command) is None and not command.begins("llmrec", "serve") and command.words[0] != "curl"


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """What a reader has before the first command: a checkout, and where a page speaks of tables, such tables."""
    folder = tmp_path_factory.mktemp("reader")
    for name in OURS:
        (folder / name).symlink_to(ROOT / name)
    (folder / "work").mkdir()
    (folder / "photos").mkdir()
    for code in range(12):
        (folder / "photos" / f"00{code:02d}.jpg").write_bytes(picture(code))
    items = {"sku": [f"00{code:02d}" for code in range(12)], "name": [f"Jug {code}" for code in range(12)]}
    items |= {"short_text": ["A jug."] * 12, "long_text": ["It holds water."] * 12, "category": ["Kitchen > Jugs"] * 12}
    pl.DataFrame(items | {"price": ["1.299,00 €"] * 12, "colour": ["red"] * 12, "size": ["S"] * 12}).write_csv(
        folder / "items.csv"
    )
    dice = Random(0)
    rows = [
        (f"c{who}", f"00{code:02d}", f"2024-0{1 + step}-{dice.randrange(10, 28)} 10:{dice.randrange(10, 60)}")
        for who in range(60)
        for step, code in enumerate(dice.sample(range(12), 5))
    ]
    pl.DataFrame(rows, schema=["customer", "sku", "ordered_at"], orient="row").with_columns(stars=pl.lit(4)).write_csv(
        folder / "orders.csv"
    )
    return Workshop(folder)


@pytest.fixture(autouse=True)
def there(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workshop.folder)


@pytest.mark.parametrize("page", shell.pages(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_command_line_takes_every_command_of_a_page(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for command in shell.commands(page):
        if command.words[0] == "curl":
            check_asked(command)
        elif not re.match(r"llm |source |docker |\.venv/bin/", str(command)):
            shell.check(command)
    for command in shell.inline(page):
        shell.check_inline(command)


def test_the_command_line_takes_the_examples_of_its_own_help_and_of_the_recipes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    told = re.findall(r"```sh\n(.*?)```", commands.reference(), flags=re.DOTALL)
    lines = [line for block in told for line in block.splitlines()]
    assert len(lines) > 20
    for path in sorted((ROOT / "train").rglob("*.yaml")):
        lines += re.findall(r"^# +((?:llmrec|python|accelerate) .*)$", path.read_text(), flags=re.MULTILINE)
    for line in lines:
        if "RECIPE" not in line:
            shell.check(Command("help", shell.words_of(line)))


def check_asked(command: Command) -> None:
    """A request goes to a route that there is, with a body of the form that it takes."""
    (address,) = [word for word in command.words if word.startswith("http://")]
    path = "/" + address.split("/", 3)[3]
    assert path in {one for _, one, _ in routes.operations()}, command
    json.loads(command.words[command.words.index("-d") + 1])


def test_what_is_not_run_is_there_and_has_a_reason() -> None:
    told = [str(one) for one in every()] + [str(one) for path in shell.pages() for one in shell.inline(path)]
    for pattern in set(NOT_RUN) - {"docker "}:
        assert any(re.match(pattern, one) for one in told), f"no page has {pattern} any more: take it out"
    assert sum(runs(one) for one in every()) > 40


def test_a_wrong_command_would_be_seen() -> None:
    for wrong in (
        "llmrec evaluat work/index --out x",
        "llmrec evaluate work/index --ouput x",
        "llmrec index work/atelier --out x sasrec.widht=3",
        "python -m llmrec.sft train/none.yaml",
        "python -m llmrec.sft train/starter.yaml walks.pases=2",
        "python data_builders/atelier.py --out x --sze tiny",
        "make dmo",
    ):
        with pytest.raises((Exception, SystemExit)) as caught:
            shell.check(Command("here", tuple(wrong.split())))
        assert "Parsed" not in repr(caught.value)


def ids(command: Command) -> str:
    return f"{command.page.removeprefix('docs/')}: {command}"


@pytest.mark.parametrize("command", [one for one in every(only=FIRST) if runs(one)], ids=ids)
def test_the_commands_of_the_first_pages_run(command: Command, workshop: Workshop) -> None:
    workshop.before(command)
    workshop.run(command)


@pytest.mark.slow
@pytest.mark.parametrize("command", [one for one in every(but=FIRST) if runs(one)], ids=ids)
def test_the_commands_of_the_other_pages_run(command: Command, workshop: Workshop) -> None:
    prepare(command, workshop)
    workshop.before(command)
    workshop.run(command)


def prepare(command: Command, workshop: Workshop) -> None:
    """What a page tells people to write by hand between two commands."""
    if command.page == "docs/datasets.md":
        told = [text for language, text in shell.blocks((ROOT / command.page).read_text()) if language == "yaml"]
        mapping = workshop.folder / "mapping.yaml"
        if "mapping.yaml" in command.words and "--init" not in command.words:
            mapping.write_text(with_indents(ROOT / command.page))
            assert yaml.safe_load(mapping.read_text())["name"] == "shop"
        elif "--init" in command.words:
            mapping.unlink(missing_ok=True)
        assert told


def with_indents(page: Path) -> str:
    """The mapping that the page shows, which stands in a list."""
    (block,) = re.findall(r"^ +```yaml\n(.*?)^ +```", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return "".join(line[3:] + "\n" for line in block.splitlines())


@contextmanager
def served(words: list[str], folder: Path) -> Iterator[str]:
    """A server by its own command, on a port that is free; its address once it says that it is ready."""
    more = ["engine=local", "port=0", "patience=30", f"state={folder / 'state'}"]
    log = (folder / "serve.log").open("w+")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen([sys.executable, "-m", *words, *more], stdout=log, stderr=log, env=environment)
    try:
        until = time.monotonic() + 120
        while not (found := re.search(r"ready: (http://[\d.:]+)/v1", Path(log.name).read_text())):
            assert process.poll() is None, Path(log.name).read_text()
            assert time.monotonic() < until, Path(log.name).read_text()
            time.sleep(0.2)
        yield found[1].replace("0.0.0.0", "127.0.0.1")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        log.close()


def asked(command: Command, address: str, person: str) -> str:
    """What curl prints for a command of a page."""
    words = [re.sub("http://127.0.0.1:8080", address, word) for word in command.words]
    words = [re.sub('"user": "[^"]+"', f'"user": "{person}"', word) for word in words]  # the tiny shop has others
    done = subprocess.run(
        [*words, "--noproxy", "*", "--show-error", "--fail-with-body"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_what_is_served_answers_every_request_of_the_pages(workshop: Workshop, tmp_path: Path) -> None:
    (command, *_) = [one for one in every(only=["README.md"]) if one.begins("llmrec", "serve")]
    workshop.before(command)
    person = pl.read_parquet("work/atelier/interactions.parquet")["user"][0]
    requests = {str(one): one for one in every() if one.words[0] == "curl"}
    with served(list(command.words), tmp_path) as address:
        for request in requests.values():
            told = asked(request, address, person)
            if '"stream": true' in str(request):
                assert told.strip().endswith("data: [DONE]")
            elif "chat" in str(request):
                (choice,) = json.loads(told)["choices"]
                assert choice["message"]["content"]
                assert choice["message"]["llmrec"]["cold"] is False
            else:
                assert len(json.loads(told)["items"]) == 3


@pytest.mark.slow
def test_a_server_with_keys_asks_for_one(workshop: Workshop, tmp_path: Path) -> None:
    (command,) = [one for one in every() if one.begins("llmrec", "serve") and "keys=keys.yaml" in one.words]
    workshop.before(command)
    (request, *_) = [one for one in every() if one.words[0] == "curl"]
    with served(list(command.words), tmp_path) as address, pytest.raises(AssertionError, match="401"):
        asked(request, address, "nobody")
