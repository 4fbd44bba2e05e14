"""What the command line prints: tables that fit the terminal, or JSON for programs."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from llmrec.audit import Audit


def say(mark: str, text: str) -> None:
    """One line behind a coloured mark; the text itself is never read as markup."""
    Console().print(f"{mark} {escape(text)}", highlight=False, soft_wrap=True)


def print_json(content: Any) -> None:
    """Plain values as JSON."""
    print(json.dumps(content, indent=2, ensure_ascii=False, default=str))


def print_dataset(info: Mapping[str, Any]) -> None:
    """What a dataset holds."""
    table = Table(title=str(info["name"]), title_justify="left", show_header=False)
    for what, count in info["counts"].items():
        table.add_row(what, f"{count:,}")
    table.add_row("clock", "milliseconds since 1970" if info["clock"] == "ms" else "order only")
    table.add_row("licence", str(info["licence"]))
    Console().print(table)


def print_audit(name: str, found: Audit) -> None:
    """Each check with its verdict."""
    colour = {"pass": "green", "warn": "yellow", "fail": "red"}
    console = Console()
    table = Table(title=f"Audit of {name}, {found.split} split", title_justify="left")
    table.add_column("check", no_wrap=True)
    table.add_column("verdict")
    table.add_column("what was seen")
    for finding in found.findings:
        table.add_row(finding.check, f"[{colour[finding.verdict]}]{finding.verdict}[/]", escape(finding.seen))
    console.print(table)
    for finding in found.findings:
        if finding.verdict != "pass":
            console.print(f"[{colour[finding.verdict]}]{finding.check}[/]: {escape(finding.meaning)}", highlight=False)
            console.print(f"  {escape(finding.remedy)}", highlight=False)


def print_examples(info: Mapping[str, Any]) -> None:
    """Examples by task and part, and how long they are."""
    table = Table(title="Examples", title_justify="left")
    table.add_column("task")
    for part in info["parts"]:
        table.add_column(part, justify="right")
    for task in info["recipe"]["tasks"]:
        table.add_row(task, *(f"{part['tasks'].get(task, 0):,}" for part in info["parts"].values()))
    table.add_row("all", *(f"{part['examples']:,}" for part in info["parts"].values()), style="bold")
    for figure in ("mean", "p95", "max"):
        table.add_row(
            f"tokens, {figure}", *(f"{part['tokens'][figure]:,}" for part in info["parts"].values()), style="dim"
        )
    Console().print(table)
    for reason, count in info["skipped"].items():
        print(f"{count:,} rows were left out: {reason}")


WIDTHS = {"NDCG@10": 7, "95 %": 14}
"""Of figures' columns that are wider than six characters."""


def print_report(content: Mapping[str, Any]) -> None:
    """Each system's main figures with their intervals, best first, and how sure the best one's lead is."""
    how = {
        "full": "every item ranked",
        "cold": f"the {content['ranked']:,} new items ranked",
        "sampled": "1+99 sampled: flatters every system",
    }[content["protocol"]]
    title = f"{content['dataset']['name']}, {content['split']}, {content['part']}: {content['people']:,} targets, {how}"
    several = content["several"]
    table = Table(title=title, title_justify="left", padding=(0, 0, 0, 1) if several else (0, 1))  # within 80 columns
    table.add_column("system", overflow="fold")  # a long name takes another line, figures stay whole
    top = [] if content["protocol"] == "sampled" else ["top 100" if several else "in top 100"]
    for name in ("HR@10", "NDCG@10", *(["±"] if several else []), "95 %", *top, "p"):
        table.add_column(name, justify="right", no_wrap=True, min_width=WIDTHS.get(name, 6))
    certain = {row["other"]: row["corrected"] for row in content["comparisons"] if row["measure"] == "ndcg@10"}
    for system in content["systems"]:
        gain = system["measures"]["ndcg@10"]
        cells = [f"{system['measures']['hr@10']['mean']:.4f}", f"{gain['mean']:.4f}"]
        if several:
            cells.append(f"{system['deviation']['ndcg@10']:.4f}" if system["deviation"] else "")
        cells.append(f"{gain['low']:.3f} to {gain['high']:.3f}")
        p = certain.get(system["name"])
        cells += [f"{system['found']['100']:.1%}" for _ in top]
        cells.append("" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}")
        table.add_row(escape(system["name"]), *cells)
    Console().print(table)
    chance = content["random"]
    say("[dim]random order[/]", f"would get HR@10 {chance['hr@10']:.4f}, NDCG@10 {chance['ndcg@10']:.4f}")
    if certain:
        say(
            "[dim]p[/]",
            "of its lag behind the first in NDCG@10, paired over people, corrected for all comparisons",
        )
    if several:
        say("[dim]±[/]", f"is the standard deviation of NDCG@10 over seeds. {several}")
    for line in content["looks"]["reading"] if content["looks"] else []:
        say("[dim]looks[/]", line)
    for row in content["labels"]:
        say("[dim]labels[/]", row["note"])
    for model in content["speech"]:
        _print_speech(model)
    for line in content["untold"]:
        say("[dim]not here[/]", line)
    for warning in content["warnings"]:
        say("[yellow]warning[/]", warning)


def _print_speech(model: Mapping[str, Any]) -> None:
    """What one model said, by task: its own figures; those of plain answers stand in the report."""
    if model["missing"]:
        say(f"[dim]{escape(model['name'])} says[/]", f"nothing: {model['missing']}")
        return
    table = Table(title=f"What the {escape(model['name'])} says", title_justify="left", show_lines=True)
    for name in ("task", "rows", "figures"):
        table.add_column(name, justify="right" if name == "rows" else "left")
    for task in model["tasks"]:
        figures = f"not measured: {task['missing']}" if task["missing"] else _figures(task["rows"][0]["figures"])
        table.add_row(task["task"], f"{task['cases']:,}", escape(figures))
    for row in model["evidence"]:
        told = f"not measured: {row['missing']}"
        if not row["missing"]:
            told = f"{row['fall']['mean']:.3f} nats less without what it rests on, "
            told += f"{row['fall_of_others']['mean']:.3f} without "
            told += f"{row['against']}: {row['gap']['mean']:+.3f} (p {row['corrected']:.4f})"
        table.add_row(f"why: {escape(row['name'])}", f"{row['cases']:,}", escape(told))
    Console().print(table)


def _figures(found: Mapping[str, Mapping[str, float]]) -> str:
    return ", ".join(f"{name} {figure['mean']:.3f}" for name, figure in found.items())


def print_comparison(first: Path, second: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """The paired differences between two reports."""
    table = Table(title=f"{first} minus {second}, paired over people", title_justify="left")
    for name in ("system", "against", "measure"):
        table.add_column(name)
    for name in ("difference", "95 %", "p, corrected"):
        table.add_column(name, justify="right")
    for row in rows:
        p = "< 0.001" if row["corrected"] < 0.001 else f"{row['corrected']:.3f}"
        between = f"{row['low']:+.4f} to {row['high']:+.4f}"
        cells = (row["system"], row["other"], row["measure"], f"{row['mean']:+.4f}", between, p)
        table.add_row(*map(escape, cells))
    Console().print(table)


def _learnt_table(title: str) -> Table:
    """What was learnt, beside what was known before and what a guess would get."""
    table = Table(title=title, title_justify="left")
    table.add_column("what")
    for column in ("trained", "untrained", "by chance"):
        table.add_column(column, justify="right")
    return table


def print_tower(info: Mapping[str, Any]) -> None:
    """What a picture tower has learnt, beside the same tower untrained."""
    trained, untrained = info["learnt"]["trained"], info["learnt"]["untrained"]
    table = _learnt_table(f"Tower, {info['items']['held_out']:,} items held out")
    found = trained["picture_to_text"]
    if found:
        for cut in (1, 10):
            before = untrained["picture_to_text"][f"recall@{cut}"]
            chance = min(1.0, cut / found["among"])
            what = f"its text within {cut} of {found['among']}"
            table.add_row(what, f"{found[f'recall@{cut}']:.1%}", f"{before:.1%}", f"{chance:.1%}")
    for column, one in trained["read_from_vector"].items():
        before = untrained["read_from_vector"].get(column, {}).get("accuracy", float("nan"))
        table.add_row(f"reads {column}", f"{one['accuracy']:.1%}", f"{before:.1%}", f"{one['commonest']:.1%}")
    after, before = trained["next_item_ndcg@10"]["vector"], untrained["next_item_ndcg@10"]["vector"]
    table.add_row("next item, NDCG@10", f"{after:.4f}", f"{before:.4f}", "")
    Console().print(table)


def print_captions(info: Mapping[str, Any]) -> None:
    """What a model tells of held-out pictures, beside the same model before its projector learnt."""
    trained, untrained = info["learnt"]["trained"], info["learnt"]["untrained"]
    table = _learnt_table(f"Captions, {trained['asked']:,} held-out pictures asked")
    shown = {"right": "its picture", "other": "another item's picture", "blank": "a blank picture"}
    for name, picture in shown.items():
        after, before = trained["caption_loss"][name], untrained["caption_loss"][name]
        table.add_row(f"nats a token after {picture}", f"{after:.3f}", f"{before:.3f}", "")
    for name, one in trained["answers"].items():
        before = untrained["answers"][name]["accuracy"]
        table.add_row(f"names {escape(name)}", f"{one['accuracy']:.1%}", f"{before:.1%}", f"{one['commonest']:.1%}")
    found, before = trained["picture_to_caption"], untrained["picture_to_caption"]
    for cut in (1, 10):
        if cut < found["among"]:
            what, key = f"its caption within {cut} of {found['among']}", f"recall@{cut}"
            table.add_row(what, f"{found[key]:.1%}", f"{before[key]:.1%}", f"{cut / found['among']:.1%}")
    Console().print(table)


def print_keys(known: Mapping[str, Mapping[str, Any]]) -> None:
    """The keys of a gateway by name, with what they may do."""
    table = Table("key", "roles", "people", "requests a minute")
    for name, key in known.items():
        people = f"{escape(key['people'])}…" if key["people"] else "all"
        table.add_row(name, ", ".join(key["roles"]), people, f"{key['rate']:,}" if key["rate"] else "no limit")
    Console().print(table)


def print_verified(told: dict[str, Any]) -> None:
    """How far adapter, merged and served model lie apart."""
    table = Table("log-probabilities of items", "mean difference", "largest", "of the first ten shared")
    for pair, gap in told["differences"].items():
        table.add_row(pair, f"{gap['mean']:.4f}", f"{gap['largest']:.4f}", f"{gap['top_10_shared']:.0%}")
    Console().print(table)
    say("[green]agree[/]" if told["agree"] else "[red]disagree[/]", f"tolerance {told['tolerance']} in {told['dtype']}")
