"""What several tests share: a small shop, the repository's prompts, the starter's tokenizer, a PostgreSQL server."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import postgres
import pytest
from browsers import browsing, opened
from shops import shop

from llmrec.dataset import Dataset
from llmrec.prompts import Prompts
from llmrec.retrieval.index import Index
from llmrec.tokens import TokenMeter, load_tokenizer

if TYPE_CHECKING:
    from gateways import Served

ROOT = Path(__file__).parent.parent
LONGEST = ("test_results_again.py", "test_demo.py", "test_processes.py", "test_bare_vllm.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first: a file stays with one process, and the rest shares out what is left."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONGEST)))


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def small_shop(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return shop(tmp_path_factory.mktemp("data") / "shop")


@pytest.fixture(scope="session")
def prompts() -> Prompts:
    return Prompts.load(ROOT / "prompts")


@pytest.fixture(scope="session")
def meter() -> TokenMeter:
    return TokenMeter(load_tokenizer("starter"), picture_tokens=9)


# What needs torch is imported where it is needed: most tests do without it.


@pytest.fixture(scope="session")
def tuned_index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    from tuned import small_index

    return small_index(tmp_path_factory.mktemp("tuned"))


@pytest.fixture(scope="session")
def tuned_run(tuned_index: Index, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tuned import small_run

    return small_run(tuned_index, tmp_path_factory.mktemp("tuned"))


@pytest.fixture(scope="session")
def tuned_model(tuned_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tuned import small_model

    return small_model(tuned_run, tmp_path_factory.mktemp("tuned"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    with postgres.running() as server:
        if server is None:
            pytest.skip("no PostgreSQL server is installed here (Debian: apt-get install postgresql)")
        yield server


# Of modules that have a fixture `server`: a running gateway.


@pytest.fixture
def client(server: "Served") -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.address, timeout=60, trust_env=False) as found:
        yield found


@pytest.fixture(scope="module")  # no longer: while Playwright runs, nothing else may start a loop of its own
def browser() -> Iterator[Any]:
    with browsing() as running:
        yield running


@pytest.fixture
def page(browser: Any, server: "Served") -> Iterator[Any]:
    with opened(browser, server.address) as found:
        yield found
