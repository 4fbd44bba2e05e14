"""The smallest run of each benchmark gives what was kept of it, within what two runs may differ by."""

import json
import shlex
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


def test_intervals_that_a_result_has_itself_overlap() -> None:
    kept = {"lora_ndcg@10": 0.05, "lora_ndcg@10_low": 0.01, "lora_ndcg@10_high": 0.1, "lora_minutes": 0.7}
    near = {"lora_ndcg@10": 0.15, "lora_ndcg@10_low": 0.09, "lora_ndcg@10_high": 0.2}
    assert again.apart(kept, near, 60) == {}
    assert again.apart(kept, {**near, "lora_ndcg@10_low": 0.11}, 9) == {"lora_ndcg@10": (0.05, 0.15)}
    assert set(again.apart(kept, {"lora_ndcg@10": 0.05}, 60)) == {"lora_ndcg@10"}, "an interval that is gone is told"


def test_the_smallest_run_may_be_told_more_than_to_be_quick() -> None:
    assert again.quick_words("ceiling") == ["benchmarks/ceiling.py", "--quick"]
    words = again.quick_words("suite-adaptation", "here")
    assert words == ["benchmarks/suites.py", "adaptation", "--only", "IA3", "--work", "here/compare", "--quick"]
    for name in again.QUICK:
        kept = json.loads((KEPT / f"{name}.json").read_text())
        assert shlex.split(kept["command"]) == ["python", *again.quick_words(name)]


def test_every_kind_of_suite_is_made_again() -> None:
    suites = {path.stem for path in (again.ROOT / "train" / "suites").glob("*.yaml")}
    assert {name.removeprefix("suite-") for name in again.QUICK if name.startswith("suite-")} == suites


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the smallest runs keep what several of them start from."""
    return tmp_path_factory.mktemp("work")


@pytest.mark.slow
@pytest.mark.parametrize("name", again.QUICK)
def test_the_smallest_run_gives_what_was_kept(name: str, work: Path, tmp_path: Path) -> None:
    kept = json.loads((KEPT / f"{name}.json").read_text())
    compared = [key for key, value in kept["figures"].items() if 0 <= value <= 1 and not again.OTHERS.search(key)]
    assert len(compared) >= 3, "there is something to compare"
    file = tmp_path / f"{name}.json"
    done = again.quick_run(name, file, work)
    assert file.exists(), done.stdout + done.stderr
    told = again.apart(kept["figures"], json.loads(file.read_text())["figures"], again.QUICK[name].cases)
    assert not told, f"kept and seen: {told}"
