"""The figures of the page of results, from the files that the benchmarks wrote."""

import ast
import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fingerprints import changed
from papers import OTHERWISE, RANKED

from llmrec.compare.page import COSTS, along, plot
from llmrec.page import page_template

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
NAMED = 4
"""Changed modules that are named."""
SHOWN = 15
"""Characters of a dataset's fingerprint."""
FIGURE = re.compile(r"\{(\+?)([^{}]+)\}")
"""Where a figure stands in a phrase."""
SIGNS = {">=": "at least", "<=": "at most"}


def names() -> list[str]:
    """The kept results."""
    return sorted(path.stem for path in RESULTS.glob("*.json"))


@cache
def result(name: str) -> dict[str, Any]:
    """What one run of a benchmark wrote."""
    content: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return content


def provenance(name: str) -> str:
    """The command, the machine, the data and what else the file says of how its figures came to be."""
    told = result(name)
    machine = told["machine"]
    special = f" with {machine['instructions'][-1]}" if machine.get("instructions") else ""
    where = f"{machine['processor']}{special}, {machine['cores']} cores, {machine['memory_gib']:g} GiB, "
    where += machine["system"]
    told_of = [f"`{told['command']}`", where, f"commit {told['commit']}", f"seed {told['seed']}"]
    if "date" in told:
        told_of.insert(2, told["date"])
    told_of += [f"data {data} `{fingerprint[:SHOWN]}…`" for data, fingerprint in told.get("data", {}).items()]
    stale = _stale(told)
    versions = ", ".join(f"{package} {version}" for package, version in told["versions"].items())
    return f'<div class="provenance" markdown="1">\n{" · ".join(told_of)}  \n{versions}{stale}\n</div>'


def _stale(told: dict[str, Any]) -> str:
    """That a result was made by other code than this, and which; nothing where it is of this code."""
    since = changed(told)
    if since is None:
        return '  \n<span class="missed">stale?</span> It was made before results kept what code made them.'
    if not since:
        return ""
    more = f" and {len(since) - NAMED} more" if len(since) > NAMED else ""
    return (
        f'  \n<span class="missed">stale</span> Changed since: {", ".join(f"`{one}`" for one in since[:NAMED])}{more}.'
    )


def reaches(name: str) -> str:
    """Every target of a benchmark, what was seen, and whether that is enough."""
    told = result(name)
    lines = ["| target | wanted | seen | |", "|---|--:|--:|---|"]
    for figure, (sign, wanted) in told["reach"].items():
        seen = told["figures"].get(figure)
        good = seen is not None and (seen >= wanted if sign == ">=" else seen <= wanted)
        lines.append(
            f"| `{figure}` | {SIGNS[sign]} {number(wanted)} | {'nothing' if seen is None else number(seen)} "
            f"| {_verdict(good)} |"
        )
    return "\n".join(lines)


def _verdict(good: bool) -> str:
    return '<span class="met">met</span>' if good else '<span class="missed">missed</span>'


def every(name: str) -> str:
    """All figures of a file, folded away."""
    rows = [f"    | `{figure}` | {number(value)} |" for figure, value in result(name)["figures"].items()]
    return "\n".join(['??? note "All figures"', "", "    | figure | seen |", "    |---|--:|", *rows])


def chosen(name: str, rows: list[str]) -> str:
    """A table of some figures: the first row is its head, then a label and names of figures in each row."""
    rows = [said(name, rows[0]), *rows[1:]]
    head, *rest = [[cell.strip() for cell in row.split("|")] for row in rows if row.strip()]
    lines = [f"| {' | '.join(head)} |", "|---|" + "--:|" * (len(head) - 1)]
    figures = result(name)["figures"]
    for label, *wanted in rest:
        lines.append(f"| {' | '.join([label, *(number(figures[figure]) if figure else '' for figure in wanted)])} |")
    return "\n".join(lines)


def said(name: str, phrase: str) -> str:
    """A phrase with figures in the places of their {names}; with a sign where one is of a difference: {+name}."""
    figures = result(name)["figures"]
    return FIGURE.sub(lambda one: ("+" if one[1] and figures[one[2]] > 0 else "") + number(figures[one[2]]), phrase)


def published(name: str, own: list[str]) -> str:
    """What others published, from the benchmark's own tables, and beside it what we measured.

    A row of `own` is a label and how the figures of ours are called between the set and the measure. A row of which
    there is no figure yet is left out.
    """
    head = [f"{measure.upper()}, {place.title()}" for place, table in RANKED.items() for measure in table.measures]
    lines = [f"| | {' | '.join(head)} | |", "|---|" + "--:|" * len(head) + "---|"]
    labels = list(dict.fromkeys(label for table in RANKED.values() for label in table.rows))
    for label in labels:
        rows = [(table.rows.get(label), table) for table in RANKED.values()]
        values = [value for row, table in rows for value in (row.values if row else (None,) * len(table.measures))]
        notes = "; ".join(dict.fromkeys(row.note for row, _ in rows if row and row.note))
        lines.append(_published(label, values, notes))
    figures = result(name)["figures"]
    for label, short in ([cell.strip() for cell in row.split("|")] for row in own if row.strip()):
        seen = [figures.get(f"{place}_{short}_{one}") for place, table in RANKED.items() for one in table.measures]
        if any(value is not None for value in seen):
            lines.append(_published(f"**{label}**", seen, "ours"))
    for table in OTHERWISE.values():
        lines += ["", f"{table.says}:", "", f"| | {' | '.join(table.measures)} | |"]
        lines += ["|---|" + "--:|" * len(table.measures) + "---|"]
        lines += [_published(label, row.values, row.note, "g") for label, row in table.rows.items()]
    return "\n".join(lines)


def _published(label: str, values: Sequence[float | None], note: str, how: str = ".4f") -> str:
    cells = ["" if value is None else format(value, how) for value in values]
    return f"| {' | '.join([label, *cells, note])} |"


def suite(name: str, drawn: list[str]) -> str:
    """What a suite asked, its cells with their costs, what these figures allow to say, and drawings by some costs."""
    told = result(name)["suite"]
    seeds = f"seed {told['seeds'][0]} alone" if len(told["seeds"]) == 1 else f"means over {len(told['seeds'])} seeds"
    asked = f"{told['people']:,} people of test, {told['catalogue']:,} things ranked"
    about = f"*{told['question']}* {told['dataset']['name']}, {asked}, {seeds}."
    head = ["cell", "NDCG@10", "95 %", f"minus {told['against']}", "p", "minutes", "GiB", "tuned"]
    lines = [f"| {' | '.join(head)} |", "|---|" + "--:|" * (len(head) - 1)]
    for number, one in enumerate(told["found"], 1):
        span, gap, costs = one["interval"], one["gap"], one["costs"]
        cells = [
            f"{number}. **{one['name']}**" + (f": {one['says']}" if one["says"] else ""),
            f"{span['mean']:.4f}" + (f" ± {one['deviation']:.4f}" if one["deviation"] is not None else ""),
            f"{span['low']:.3f} to {span['high']:.3f}",
            f"{gap['mean']:+.4f}" if gap else "",
            ("< .0001" if one["corrected"] < 1e-4 else f"{one['corrected']:.4f}") if gap else "",
            _known(costs["minutes"], ".1f"),
            _known(costs["memory"] and costs["memory"] / 1024, ".1f"),
            _known(costs["trained"], ","),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    said = [f"- {sentence}" for sentence in told["reading"]]
    figures = "".join(_scatter(told, by) for by in drawn)
    if figures:
        figures = f'<div class="plots">{figures}</div>\n{page_template("scatter.html").module.legend()}'
    return "\n".join([about, "", *lines, *_beside(told["found"]), "", *said, "", figures, "", provenance(name)])


def _beside(found: Sequence[dict[str, Any]]) -> list[str]:
    """What the systems that a suite names reach in the reports of each cell, as a table of its own."""
    names = list(dict.fromkeys(system for one in found for system in one["beside"]))
    if not names:
        return []
    lines = ["", "What others reach in the same reports:", "", f"| cell | NDCG@10 | {' | '.join(names)} |"]
    lines.append("|---|" + "--:|" * (len(names) + 1))
    for number, one in enumerate(found, 1):
        means = [one["interval"]["mean"], *(one["beside"].get(name) for name in names)]
        cells = ["not in all reports" if mean is None else f"{mean:.4f}" for mean in means]
        lines.append(f"| {number}. {one['name']} | {' | '.join(cells)} |")
    return lines


def _known(cost: float | None, how: str) -> str:
    return "not known" if cost is None else format(cost, how)


def _scatter(told: dict[str, Any], by: str) -> str:
    """The cells by one cost, or along what is compared, as the suite's own page draws them."""
    cells = [json.loads(json.dumps(one), object_hook=lambda one: SimpleNamespace(**one)) for one in told["found"]]
    axis = along(told.get("along", "what is compared")) if by == "along" else COSTS[by]
    drawing = page_template("scatter.html").module.scatter(plot(cells, axis))
    lines = (line.strip() for line in str(drawing).splitlines())  # Markdown takes indented lines for code
    return f'<figure class="drawn drawing">{"".join(lines)}</figure>'


def whole(name: str) -> str:
    """Provenance, targets and all figures."""
    return "\n\n".join([provenance(name), reaches(name), every(name)])


def rest(told: set[str]) -> str:
    """The results that the page says nothing of by hand, each under what its benchmark says of itself."""
    parts = []
    for name in names():
        if name not in told:
            program = ROOT / "benchmarks" / f"{result(name)['benchmark']}.py"
            said = (ast.get_docstring(ast.parse(program.read_text())) or name).partition("\n\n")[0]
            parts.append(f"## {name}\n\n{' '.join(said.split())}\n\n{whole(name)}")
    return "\n\n".join(parts)


def number(value: float) -> str:
    """A figure as people read it: whole numbers as they are, shares with four places, the rest with four digits."""
    if float(value).is_integer() and (isinstance(value, int) or abs(value) >= 1):
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4f}" if abs(value) < 1 else f"{value:.4g}"
