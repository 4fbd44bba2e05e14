"""What others published on the data that we measure on, with a note wherever it is not of our protocol.

R@K is HR@K here, and None what was not published.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

SHOWN = ("hr@5", "ndcg@5", "hr@10", "ndcg@10")

LEAK = "its item ids leak, for they hold the order in which items were taken"
MEASURED = "measured by us on these very files"
FILTERED = "another filtering of Beauty: not comparable with the other rows"
UNVERIFIED = "not verified"
SAMPLED = "one right item among 99 drawn uniformly, which flatters; prompt B-8"
HEADLINE = "two of its prompts show the headline of the review that is to be explained"


@dataclass(frozen=True)
class Row:
    """One line of a table: a figure for each of its measures."""

    values: tuple[float | None, ...]
    note: str = ""
    """Why it is not comparable, or how it came to be; empty where the protocol is the table's."""


@dataclass(frozen=True)
class Table:
    """Figures of one kind."""

    says: str
    measures: tuple[str, ...]
    rows: Mapping[str, Row]

    def __post_init__(self) -> None:
        assert all(len(row.values) == len(self.measures) for row in self.rows.values())


RANKED = {
    "beauty": Table(
        "Beauty, every item ranked",
        SHOWN,
        {
            "P5, as re-run by TIGER": Row((0.0163, 0.0107, 0.0254, 0.0136)),
            "SASRec, binary loss": Row((0.0387, 0.0249, 0.0605, 0.0318)),
            "TIGER": Row((0.0454, 0.0321, 0.0648, 0.0384)),
            "LC-Rec": Row((0.0481, 0.0331, 0.0704, 0.0403)),
            "UniSID, Qwen2.5-VL-3B": Row((0.0482, 0.0323, 0.0741, 0.0406)),
            "ActionPiece": Row((0.0511, 0.0340, 0.0775, 0.0424)),
            "VIP5": Row((0.0556, 0.0427, 0.0677, 0.0467), LEAK),
            "OneRec-Think": Row((0.0563, 0.0398, 0.0791, 0.0471)),
            "co-occurrence kNN": Row((None, None, 0.0773, 0.0485), MEASURED),
            "SASRec, cross-entropy": Row((0.0538, 0.0320, 0.0851, 0.0421)),
            "HSTU, cross-entropy": Row((0.0568, 0.0347, 0.0859, 0.0441)),
            "GRAM": Row((0.0641, 0.0451, None, None)),
            "GLoSS-8B": Row((0.0681, 0.0442, None, None), UNVERIFIED),
            "LlamaRec's retriever": Row((None, None, 0.0916, 0.0533), FILTERED),
            "LlamaRec": Row((None, None, 0.0971, 0.0554), FILTERED),
        },
    ),
    "toys": Table(
        "Toys, every item ranked",
        SHOWN,
        {
            "P5, as re-run by TIGER": Row((0.0070, 0.0050, 0.0121, 0.0066)),
            "SASRec, binary loss": Row((0.0463, 0.0306, 0.0675, 0.0374)),
            "TIGER": Row((0.0521, 0.0371, 0.0712, 0.0432)),
            "LC-Rec": Row((0.0433, 0.0310, 0.0614, 0.0368)),
            "VIP5": Row((0.0662, 0.0577, 0.0749, 0.0604), LEAK),
            "the next integer after VIP5's last id": Row(
                (0.0736, 0.0704, None, None), "measured by us: what such ids give away without any model"
            ),
            "OneRec-Think": Row((0.0579, 0.0412, 0.0797, 0.0482)),
            "co-occurrence kNN": Row((None, None, 0.0915, 0.0590), MEASURED),
            "SASRec, cross-entropy": Row((0.0613, 0.0348, 0.0922, 0.0448)),
            "HSTU, cross-entropy": Row((0.0611, 0.0363, 0.0914, 0.0461)),
            "GRAM": Row((0.0718, 0.0516, None, None)),
            "GLoSS-8B": Row((0.0796, 0.0529, None, None), UNVERIFIED),
        },
    ),
}
OTHERWISE = {
    "direct": Table(
        "VIP5's direct recommendation, 1+99",
        ("HR@1", "HR@5", "HR@10"),
        {
            "VIP5, Beauty": Row((0.0615, 0.1655, 0.2407), SAMPLED),
            "VIP5, Toys": Row((0.0433, 0.1301, 0.2037), SAMPLED),
        },
    ),
    "explanations": Table(
        "VIP5's explanations, in hundredths",
        ("BLEU-4", "ROUGE-L"),
        {
            "VIP5, Beauty": Row((1.29, 12.9), HEADLINE),
            "VIP5, Beauty, with a hint": Row((2.84, 20.4), f"told a word of the review; {HEADLINE}"),
            "VIP5, Toys": Row((2.32, 12.0), HEADLINE),
            "VIP5, Toys, with a hint": Row((3.93, 23.3), f"told a word of the review; {HEADLINE}"),
        },
    ),
    "efficiency": Table(
        "VIP5's cost of tuning on Toys",
        ("% of parameters tuned", "minutes an epoch", "GB"),
        {
            "VIP5, adapters": Row((3.58, 11.10, 29.0), "on the authors' machine: only the ratio carries over"),
            "VIP5, full tuning": Row((100.0, 14.08, 35.6), "on the authors' machine: only the ratio carries over"),
        },
    ),
}


def as_content() -> dict[str, Any]:
    """All tables as plain values."""
    return {name: asdict(table) for name, table in (RANKED | OTHERWISE).items()}
