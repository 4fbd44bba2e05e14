"""Examples on disk: Arrow shards that `datasets.load_from_disk` opens as they are, with the prompts they came from."""

import gc
import hashlib
import multiprocessing
import os
import signal
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from llmrec import __version__
from llmrec.artifact import read_json, staged, write_json
from llmrec.dataset import Dataset
from llmrec.errors import InputError
from llmrec.examples import ExampleRecipe, ExampleSource, Said
from llmrec.progress import Progress
from llmrec.prompts import Prompts
from llmrec.shelf import Piece
from llmrec.splits import PARTS, Part
from llmrec.tasks import Example
from llmrec.tokens import TokenMeter

MARKER = "examples.json"
HOLDS = ("train", "valid", "test", "prompts", "dataset_dict.json")
VERSION = 1
BATCH = 2_000
SHARD = 50_000
WORTH_WORKERS = 10_000  # below this, starting processes costs more than they save

Weights = npt.NDArray[np.float64]

_TURN = pa.struct(
    [("role", pa.string()), ("content", pa.list_(pa.struct([("type", pa.string()), ("text", pa.string())])))]
)
SCHEMA = pa.schema(
    [
        ("prompt", pa.list_(_TURN)),
        ("completion", pa.list_(_TURN)),
        ("images", pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))),
        ("dataset", pa.string()),
        ("user", pa.string()),
        ("target", pa.string()),
        ("task", pa.string()),
        ("template", pa.string()),
        ("label", pa.string()),
        ("candidates", pa.list_(pa.string())),
        ("history", pa.list_(pa.string())),
        ("timestamp", pa.int64()),
        ("tokens", pa.int32()),
    ]
)


def write_examples(
    out: Path | str,
    domains: Sequence[tuple[Dataset, float]],
    prompts: Prompts,
    meter: TokenMeter,
    recipe: ExampleRecipe,
    *,
    tokenizer_name: str,
    parts: Sequence[Part] = PARTS,
    workers: int = os.cpu_count() or 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Make the examples of one or several datasets (mixed by weight) and write them; returns their description."""
    sources = [ExampleSource(dataset, prompts, meter, recipe, progress) for dataset, _ in domains]
    weights = np.array([weight for _, weight in domains], dtype=float)
    if (weights <= 0).any():
        raise InputError("Every dataset needs a weight above 0. Leave out the one that should not be there")
    with staged(Path(out), marker=MARKER, holds=HOLDS, overwrite=overwrite) as folder:
        described: dict[str, Any] = {}
        skipped: Counter[str] = Counter()
        for part in parts:
            described[part] = _write_part(folder / part, sources, weights, part, workers, skipped, progress)
        if not sum(described[part]["examples"] for part in parts):
            why = "; ".join(f"{count:,} rows: {reason}" for reason, count in skipped.most_common(3)) or "no rows"
            raise InputError(
                f"No example could be made ({why}). Raise budget={recipe.budget}, or ask for fewer candidates"
            )
        write_json(folder / "dataset_dict.json", {"splits": list(parts)})
        prompts.copy_to(folder / "prompts")
        info = {
            "schema": VERSION,
            "llmrec": __version__,
            "datasets": [
                _described(source.dataset, Path(out), weight)
                for source, (_, weight) in zip(sources, domains, strict=True)
            ],
            "tokenizer": tokenizer_name,
            "prompts": prompts.fingerprint,
            "recipe": asdict(recipe),
            "parts": described,
            "skipped": dict(skipped.most_common()),
        }
        write_json(folder / MARKER, info)
    return info


def open_examples(folder: Path | str, part: Part) -> Any:
    """One part as a `datasets.Dataset`; pictures are found again when examples and dataset were moved together."""
    import datasets

    folder = Path(folder)
    info = read_json(folder, MARKER, kind="a folder of examples", remedy="Run: llmrec examples DATASET --out FOLDER")
    if part not in info["parts"]:
        raise InputError(f"{folder} has no part {part!r}. It has {', '.join(info['parts'])}")
    try:
        examples = datasets.load_from_disk(str(folder / part))
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0][:200]
        raise InputError(
            f"{folder / part} is damaged ({reason}). Make the examples again: llmrec examples DATASET --out {folder} "
            "--overwrite"
        ) from error
    for described in info["datasets"]:
        recorded, moved = Path(described["folder"]), (folder / described["beside"]).resolve()
        if not recorded.exists() and moved.exists():
            examples = _relocated(examples, str(recorded), str(moved))
    return examples


def example_table(examples: Sequence[Example], source: ExampleSource) -> pa.Table:
    """Examples of one dataset as an Arrow table, built from flat columns: nested Python objects are far slower."""
    log, shelf, dataset = source.dataset.log, source.shelf, source.dataset
    root = str(dataset.folder.resolve())
    paths = [
        [f"{root}/{shelf.images[piece]}" for _, turn in example.prompt for piece in turn if isinstance(piece, int)]
        for example in examples
    ]
    flat_paths = pa.array([path for group in paths for path in group], pa.string())
    images = pa.StructArray.from_arrays([pa.nulls(len(flat_paths), pa.binary()), flat_paths], names=["bytes", "path"])
    columns = [
        _turns([example.prompt for example in examples]),
        _turns([[("assistant", [example.answer])] for example in examples]),
        pa.ListArray.from_arrays(_offsets(paths), images),
        pa.array([dataset.name] * len(examples)),
        pa.array(log.users[[example.user for example in examples]].to_list(), pa.string()),
        pa.array([shelf.ids[example.target] for example in examples]),
        pa.array([example.task for example in examples]),
        pa.array([example.template for example in examples]),
        pa.array([example.label for example in examples]),
        _names([example.candidates for example in examples], shelf.ids),
        _names([example.history for example in examples], shelf.ids),
        pa.array(log.time[[example.row for example in examples]]),
        pa.array([example.tokens for example in examples], pa.int32()),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _write_part(
    folder: Path,
    sources: Sequence[ExampleSource],
    weights: Weights,
    part: Part,
    workers: int,
    skips: Counter[str],
    progress: Progress | None,
) -> dict[str, Any]:
    folder.mkdir(parents=True)
    rows = [source.rows(part) for source in sources]
    if len(sources) > 1:
        rows = _mixed(rows, weights, sources[0].recipe.limit)
    total = sum(map(len, rows))
    tasks: Counter[tuple[str, str]] = Counter()
    tokens = [np.zeros(0, dtype=np.int32)]
    shards = _Shards(folder)
    done = 0
    for table in _tables(sources, rows, part, workers if total >= WORTH_WORKERS else 1, skips):
        shards.write(table)
        tasks.update(zip(table["task"].to_pylist(), table["template"].to_pylist(), strict=True))
        tokens.append(table["tokens"].to_numpy())
        done += len(table)
        if progress:
            progress(f"{part} examples", done, total)
    shards.finish(part)
    counted = np.concatenate(tokens) if done else np.zeros(1, dtype=np.int32)
    by_task: Counter[str] = Counter()
    for (task, _), count in tasks.items():
        by_task[task] += count
    return {
        "examples": done,
        "tasks": dict(sorted(by_task.items())),
        "templates": {f"{task}/{name}": count for (task, name), count in sorted(tasks.items())},
        "tokens": {
            "mean": round(float(counted.mean()), 1),
            "p95": int(np.quantile(counted, 0.95)),
            "max": int(counted.max()),
        },
    }


Job = tuple[int, Part, list[tuple[npt.NDArray[np.int64], Said]]]
_at_work: list[ExampleSource] = []  # what forked workers share with their parent without copying


def _tables(
    sources: Sequence[ExampleSource], rows: Sequence[Any], part: Part, workers: int, skips: Counter[str]
) -> Iterator[pa.Table]:
    """Tables of examples in a fixed order, made by several processes where this system can fork."""
    _at_work[:] = sources
    gc.freeze()  # catalogues are large and live on: looking through them again and again costs a fifth of the time
    jobs = _jobs(sources, rows, part)
    alone = workers <= 1 or "fork" not in multiprocessing.get_all_start_methods()
    for table, skipped in map(_table, jobs) if alone else _in_order(jobs, workers):
        skips.update(skipped)
        yield table
    gc.unfreeze()
    _at_work.clear()


def _in_order(jobs: Iterator[Job], workers: int) -> Iterator[tuple[pa.Table, Counter[str]]]:
    """Run jobs in forked processes, a few ahead of what is taken, and yield the results in the jobs' order."""
    waiting: deque[Future[tuple[pa.Table, Counter[str]]]] = deque()
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("fork"), initializer=_quiet) as pool:
        try:
            for job in jobs:
                waiting.append(pool.submit(_table, job))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _quiet() -> None:
    """One thread a worker: the tokenizer's own threads do not survive a fork. Ctrl-C is the first process's to hear."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _jobs(sources: Sequence[ExampleSource], rows: Sequence[Any], part: Part) -> Iterator[Job]:
    """Pieces of work of some thousand rows, each with the same share of every dataset."""
    count = max(1, -(-sum(map(len, rows)) // BATCH))
    cuts = [np.linspace(0, len(own), count + 1).astype(int) for own in rows]
    for number in range(count):
        chosen = [own[cut[number] : cut[number + 1]] for own, cut in zip(rows, cuts, strict=True)]
        yield number, part, [(own, source.said(own)) for source, own in zip(sources, chosen, strict=True)]


def _table(job: Job) -> tuple[pa.Table, Counter[str]]:
    """The examples of one job, those of several datasets shuffled into each other."""
    number, part, work = job
    tables, skipped = [], Counter[str]()
    for source, (rows, said) in zip(_at_work, work, strict=True):
        source.skipped = Counter()
        tables.append(example_table(list(source.examples(rows, said, part)), source))
        skipped.update(source.skipped)
    table = pa.concat_tables(tables)
    if len(tables) > 1:
        order = np.random.default_rng([_at_work[0].recipe.seed, PARTS.index(part), number]).permutation(len(table))
        table = table.take(pa.array(order))
    return table, skipped


def _mixed(rows: Sequence[Any], weights: Weights, limit: int) -> list[Any]:
    """As many rows of each dataset as its weight allows, without using any row twice."""
    share = weights / weights.sum()
    most = min(len(own) / part for own, part in zip(rows, share, strict=True))
    most = min(most, limit) if limit else most
    return [own[: int(most * part)] for own, part in zip(rows, share, strict=True)]


class _Shards:
    """Arrow stream files of some rows each, and the two small files that make a folder a `datasets` dataset."""

    def __init__(self, folder: Path):
        import datasets

        self.folder = folder
        self.features = datasets.Features.from_arrow_schema(SCHEMA)
        self.features["images"] = datasets.List(datasets.Image())
        self.schema = self.features.arrow_schema
        self.files: list[str] = []
        self.writer: pa.RecordBatchStreamWriter | None = None
        self.rows = 0

    def write(self, table: pa.Table) -> None:
        if self.writer is None or self.rows >= SHARD:
            self._open()
        assert self.writer is not None
        self.writer.write_table(table.cast(self.schema))
        self.rows += len(table)

    def finish(self, part: Part) -> None:
        import datasets

        if self.writer is None:
            self._open()
        assert self.writer is not None
        self.writer.close()
        content = hashlib.sha256()
        for file in self.files:
            with (self.folder / file).open("rb") as opened:
                content.update(hashlib.file_digest(opened, "sha256").digest())
        state: dict[str, Any] = {
            "_data_files": [{"filename": file} for file in self.files],
            "_fingerprint": content.hexdigest()[:16],
            "_format_columns": None,
            "_format_kwargs": {},
            "_format_type": None,
            "_output_all_columns": False,
            "_split": part,
        }
        write_json(self.folder / "state.json", state)
        datasets.DatasetInfo(features=self.features).write_to_directory(str(self.folder))

    def _open(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.files.append(f"data-{len(self.files):05d}.arrow")
        self.writer = pa.ipc.new_stream(str(self.folder / self.files[-1]), self.schema)
        self.rows = 0


def _turns(chats: Sequence[Sequence[tuple[str, Sequence[Piece]]]]) -> pa.ListArray:
    roles = [role for chat in chats for role, _ in chat]
    pieces = [turn for chat in chats for _, turn in chat]
    flat = [piece for turn in pieces for piece in turn]
    content = pa.StructArray.from_arrays(
        [
            pa.array(["text" if isinstance(piece, str) else "image" for piece in flat], pa.string()),
            pa.array([piece if isinstance(piece, str) else None for piece in flat], pa.string()),
        ],
        names=["type", "text"],
    )
    turns = pa.StructArray.from_arrays(
        [pa.array(roles, pa.string()), pa.ListArray.from_arrays(_offsets(pieces), content)], names=["role", "content"]
    )
    return pa.ListArray.from_arrays(_offsets(chats), turns)


def _names(codes: Sequence[Sequence[int]], ids: Sequence[str]) -> pa.ListArray:
    flat = pa.array([ids[code] for group in codes for code in group], pa.string())
    return pa.ListArray.from_arrays(_offsets(codes), flat)


def _offsets(groups: Sequence[Sequence[Any]]) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum([len(group) for group in groups])]).astype(np.int32))


def _described(dataset: Dataset, out: Path, weight: float) -> Mapping[str, Any]:
    return {
        "name": dataset.name,
        "folder": str(dataset.folder.resolve()),
        "beside": os.path.relpath(dataset.folder.resolve(), out.resolve()),
        "fingerprint": dataset.fingerprint,
        "weight": weight,
    }


def _relocated(examples: Any, old: str, new: str) -> Any:
    """The same examples with picture paths under another folder."""

    def move(table: pa.Table) -> pa.Table:
        images = table["images"].combine_chunks()
        images = images.chunk(0) if isinstance(images, pa.ChunkedArray) else images
        storage = images.values
        paths = pc.replace_substring(storage.field("path"), old, new, max_replacements=1)
        moved = pa.StructArray.from_arrays([storage.field("bytes"), paths], names=["bytes", "path"])
        column = pa.ListArray.from_arrays(images.offsets, moved)
        return table.set_column(table.schema.get_field_index("images"), "images", column)

    return examples.with_format("arrow").map(move, batched=True, features=examples.features).with_format(None)
