"""Makes a dataset of XRec's explanations: JSON lines of who took what and why, read from reviews by a language model.

A line has uid, iid, title, user_summary, item_summary and explanation. The explanation becomes the review, what is said
of an item an attribute of it (the first line of an item tells). What is said of a person (user_summary) is left out: it
is made of the same reviews that the explanations are made of. There is no clock and no order: the lines' own stands
for it.

examples:
  python data_builders/xrec.py amazon.tst.jsonl --out work/xrec
"""

import argparse
import json
from pathlib import Path

import polars as pl
import sources

from llmrec.dataset import Dataset, write_dataset
from llmrec.errors import InputError
from llmrec.progress import shown_progress

NEEDED = ("uid", "iid", "title", "item_summary", "explanation")


def main(arguments: list[str] | None = None) -> None:
    parser = sources.parser(__doc__, "xrec.py")
    parser.add_argument("lines", type=Path, metavar="FILE", help="JSON lines, such as amazon.tst.jsonl")
    sources.run(build, parser.parse_args(arguments))


def build(options: argparse.Namespace) -> Dataset:
    """Read the lines and write the dataset."""
    rows, bad, twice = read_lines(options.lines, drop=options.drop_bad_rows)
    place = pl.int_range(pl.len()).over("uid").cast(pl.Int64)
    events = rows.select(user="uid", item="iid", timestamp=place, review="explanation")
    items = rows.unique("iid", keep="first", maintain_order=True)
    with shown_progress() as progress:
        return write_dataset(
            options.out,
            items.select(item="iid", title="title", summary="item_summary"),
            events,
            name=f"xrec {options.lines.name.partition('.')[0]}",
            licence="Apache-2.0",
            source=f"xrec: {options.lines.name}",
            clock="order",
            files=(str(options.lines), str(options.lines)),
            notes={"left out": {"unusable lines": bad, "a person's further lines of an item": twice}},
            progress=progress,
            **sources.written(options),
        )


def read_lines(path: Path, *, drop: bool) -> tuple[pl.DataFrame, int, int]:
    """The rows as text, and how many were unusable or told of what the person had told of before."""
    rows: list[dict[str, str]] = []
    seen: set[tuple[str, str]] = set()
    bad = twice = 0
    for number, line in enumerate(sources.text_of(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            told = json.loads(line)
            row = {name: str(told[name]).strip() for name in NEEDED}
            if not row["uid"] or not row["iid"]:
                raise ValueError
        except (ValueError, KeyError, TypeError):
            if not drop:
                raise InputError(
                    f"{path}, line {number} is not a JSON object with {', '.join(NEEDED)}: {line[:40]!r}. Correct it, "
                    "or add --drop-bad-rows"
                ) from None
            bad += 1
            continue
        key = row["uid"], row["iid"]
        if key in seen:
            twice += 1
            continue
        seen.add(key)
        rows.append(row)
    if not rows:
        raise InputError(f"{path} has no row. Each line is an object with {', '.join(NEEDED)}")
    return pl.DataFrame(rows, schema=dict.fromkeys(NEEDED, pl.String)), bad, twice


if __name__ == "__main__":
    main()
