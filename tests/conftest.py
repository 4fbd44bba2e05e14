"""What several tests share: a small shop, the repository's prompts, the starter's tokenizer."""

from pathlib import Path

import pytest
from shops import shop

from llmrec.dataset import Dataset
from llmrec.prompts import Prompts
from llmrec.tokens import TokenMeter, load_tokenizer

ROOT = Path(__file__).parent.parent


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
