"""What a stage writes is whole or absent: also when it fails, is killed, or the disk is full."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from shops import interactions, shop

from llmrec.artifact import read_json, staged, staged_file, write_json
from llmrec.dataset import Dataset
from llmrec.errors import DiskFull, InputError

MARKER = "it.json"


def make(out: Path, content: str = "new", *, overwrite: bool = False) -> None:
    with staged(out, marker=MARKER, holds=["table"], overwrite=overwrite) as folder:
        (folder / "table").write_text(content)
        write_json(folder / MARKER, {"content": content})


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_folder_appears_when_it_is_whole(tmp_path):
    with staged(tmp_path / "deep" / "out", marker=MARKER) as folder:
        (folder / "table").write_text("half")
        assert not (tmp_path / "deep" / "out").exists()
    assert (tmp_path / "deep" / "out" / "table").read_text() == "half"


def test_a_failure_leaves_nothing_and_keeps_what_stood_there(tmp_path):
    make(tmp_path / "out", "old")

    def fail():
        with staged(tmp_path / "out", marker=MARKER, holds=["table"], overwrite=True) as folder:
            (folder / "table").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert names(tmp_path) == {"out"}
    assert (tmp_path / "out" / "table").read_text() == "old"


def test_a_folder_is_only_replaced_when_asked_to(tmp_path):
    make(tmp_path / "out", "old")
    with pytest.raises(InputError, match="--overwrite"):
        make(tmp_path / "out")
    make(tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "table").read_text() == "new"
    assert names(tmp_path) == {"out"}


def test_a_foreign_folder_is_never_replaced(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_text("dear to me")
    with pytest.raises(InputError, match="did not make it"):
        make(tmp_path / "photos", overwrite=True)
    assert (tmp_path / "photos" / "holiday.jpg").read_text() == "dear to me"


def test_notes_that_somebody_left_in_a_result_are_not_removed_with_it(tmp_path):
    make(tmp_path / "out", "old")
    (tmp_path / "out" / "notes.txt").write_text("dear to me")
    with pytest.raises(InputError, match=r"did not put there \(notes\.txt\)"):
        make(tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "notes.txt").read_text() == "dear to me"


def test_a_file_in_the_place_of_a_folder_is_never_replaced(tmp_path):
    (tmp_path / "out").write_text("dear to me")
    with pytest.raises(InputError):
        make(tmp_path / "out", overwrite=True)
    assert (tmp_path / "out").read_text() == "dear to me"


def test_an_empty_folder_may_be_filled(tmp_path):
    (tmp_path / "out").mkdir()
    make(tmp_path / "out")
    assert names(tmp_path / "out") == {"table", MARKER}


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        make(tmp_path / "file" / "out")


def test_what_a_killed_run_left_is_cleared_and_what_it_was_replacing_comes_back(tmp_path, caplog):
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
    ).stdout.strip()
    make(tmp_path / ".out.old-0", "old")
    (tmp_path / ".out.old-0").rename(tmp_path / f".out.old-{gone}")
    (tmp_path / f".out.partial-{gone}").mkdir()
    with pytest.raises(InputError, match="already exists"):
        make(tmp_path / "out")
    assert names(tmp_path) == {"out"}
    assert (tmp_path / "out" / "table").read_text() == "old"
    assert "the former folder is back" in caplog.text


def test_the_work_of_a_living_process_is_left_alone(tmp_path):
    other = tmp_path / f".out.partial-{os.getppid()}"
    other.mkdir()
    make(tmp_path / "out")
    assert other.exists()


WRITER = """
import sys, time
from pathlib import Path
from llmrec.artifact import staged
with staged(Path(sys.argv[1]), marker="it.json") as folder:
    (folder / "table").write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_stopped_in_the_middle_leaves_no_folder_that_could_be_taken_for_whole(tmp_path, sent):
    run = subprocess.Popen(
        [sys.executable, "-c", WRITER, tmp_path / "out"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert run.stdout.readline() == b"writing\n"
    run.send_signal(sent)
    run.wait()
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="does not exist"):
        Dataset.open(tmp_path / "out")
    make(tmp_path / "out")
    assert names(tmp_path) == {"out"}


def test_a_file_takes_its_place_only_when_it_is_whole(tmp_path):
    (tmp_path / "page.html").write_text("ours: old")

    def fail():
        with staged_file(tmp_path / "page.html", mark="ours") as partial:
            partial.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (tmp_path / "page.html").read_text() == "ours: old"
    assert names(tmp_path) == {"page.html"}


def test_a_file_that_is_not_ours_is_never_replaced(tmp_path):
    (tmp_path / "diary.html").write_text("dear to me")
    for out, message in ((tmp_path / "diary.html", "was not written by llmrec"), (tmp_path, "is a folder")):
        with pytest.raises(InputError, match=message), staged_file(out, mark="ours"):
            pass
    assert (tmp_path / "diary.html").read_text() == "dear to me"


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 400 KiB, where one can be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_disk_that_fills_with_pictures_or_tables_is_named_and_left_empty(small_disk):
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 255, (130, 130, 3), dtype=np.uint8))
    noise.save(small_disk.parent / "noise.png")
    many = pl.DataFrame(
        {
            "user": [str(user) for user in rng.integers(0, 2**60, 100_000)],
            "item": [f"i{code:03d}" for code in rng.integers(0, 40, 100_000)],
            "timestamp": rng.integers(10**12, 2 * 10**12, 100_000),
        }
    )
    pictures = {f"i{code:03d}": small_disk.parent / "noise.png" for code in range(40)}
    for changes in ({"images": pictures}, {"interactions": many, "images": ()}):
        with pytest.raises(DiskFull, match="disk was full"):
            shop(small_disk / "shop", **changes)
        assert not list(small_disk.iterdir())
    assert shop(small_disk / "shop", images=()).name == "a small shop"


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "not valid JSON"), ("[1]", "not a JSON object"), ("{", "not valid JSON"), ("\x00\xff", "not valid JSON")],
)
def test_a_description_that_cannot_be_read_is_named_with_the_remedy(tmp_path, content, message):
    (tmp_path / MARKER).write_text(content)
    with pytest.raises(InputError, match=f"{message}.*Make it anew"):
        read_json(tmp_path, MARKER, kind="a thing", remedy="Make it anew")


def test_a_dataset_is_not_opened_before_it_is_whole(tmp_path):
    """The description is written last: a folder without it is no dataset, whatever else it holds."""
    dataset = shop(tmp_path / "shop", interactions=interactions())
    (dataset.folder / "dataset.json").unlink()
    with pytest.raises(InputError, match=r"has no dataset\.json"):
        Dataset.open(dataset.folder)
