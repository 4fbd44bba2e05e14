"""The table of tasks and wordings, from the templates."""

from pathlib import Path

from llmrec.prompts import VARIABLES, Prompts

PROMPTS = Path(__file__).parents[2] / "prompts"


def reference() -> str:
    """Every task with its wordings: what each asks and what it uses, those held out last."""
    prompts = Prompts.load(PROMPTS)
    lines = []
    for task in prompts.tasks:
        seen, unseen = prompts.seen(task), prompts.unseen(task)
        lines += [f"## {task}", "", f"{len(seen)} wordings in training, {len(unseen)} held out.", ""]
        lines += ["| wording | what it asks | uses |", "|---|---|---|"]
        for template in (*seen, *unseen):
            uses = ", ".join(f"`{name}`" for name in VARIABLES if name in template.needs) or "nothing"
            held = " (held out)" if template.unseen else ""
            lines.append(f"| `{template.name}`{held} | {_asks(PROMPTS / task / f'{template.name}.jinja')} | {uses} |")
        lines.append("")
    return "\n".join(lines)


def variables() -> str:
    """What a template may use."""
    lines = ["| name | is |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{name}` | {told.replace('’', chr(39))} |" for name, told in VARIABLES.items())])


def _asks(path: Path) -> str:
    """The comment that a template opens with."""
    told = path.read_text().removeprefix("{#").partition("#}")[0]
    return " ".join(told.split()).removeprefix("Held out: ").replace("|", "\\|")
