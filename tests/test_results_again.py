"""The smallest run of each benchmark gives what was kept of it, within what two runs may differ by."""

import json
from pathlib import Path

import again
import pytest

KEPT = again.RESULTS / "quick"


def test_shares_may_differ_by_chance_and_not_by_more() -> None:
    kept = {"ndcg@10": 0.2, "hr@10": 0.004, "tune_minutes": 0.5, "model_p": 0.01, "people": 300.0}
    assert again.apart(kept, {**kept, "ndcg@10": 0.24, "tune_minutes": 0.9, "model_p": 0.9}, 200) == {}
    assert again.apart(kept, {**kept, "ndcg@10": 0.3}, 200) == {"ndcg@10": (0.2, 0.3)}
    assert again.apart({"seen": 0.0}, {"seen": 1 / 12}, 12) == {}, "of a dozen one more is chance"
    assert set(again.apart(kept, {"ndcg@10": 0.2}, 200)) == {"hr@10"}, "a figure that is gone is told"
    assert set(again.apart(kept, {**kept, "hr@10": 0.03}, 200)) == {"hr@10"}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(again.QUICK))
def test_the_smallest_run_gives_what_was_kept(name: str, tmp_path: Path) -> None:
    kept = json.loads((KEPT / f"{name}.json").read_text())
    compared = [key for key, value in kept["figures"].items() if 0 <= value <= 1 and not again.OTHERS.search(key)]
    assert len(compared) >= 3, "there is something to compare"
    file = tmp_path / f"{name}.json"
    done = again.quick_run(name, file)
    assert file.exists(), done.stdout + done.stderr
    told = again.apart(kept["figures"], json.loads(file.read_text())["figures"], again.QUICK[name])
    assert not told, f"kept and seen: {told}"
