"""Recipes from YAML: every key and type is checked, and a mistake names what was meant."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from llmrec.config import build, field_help, load_config
from llmrec.errors import ConfigError


@dataclass(frozen=True)
class Oven:
    heat: int = 180
    """Degrees."""
    fan: bool = False
    """Whether the fan is on."""


@dataclass(frozen=True)
class Rates:
    rates: Mapping[str, Any]


@dataclass(frozen=True)
class Recipe:
    name: str
    """What it is called."""
    oven: Oven = Oven()
    """How it is baked."""
    minutes: float = 30.0
    """How long, in minutes."""
    kind: Literal["cake", "bread"] = "cake"
    """What comes out."""
    tins: tuple[int, ...] = ()
    """Sizes."""
    size: tuple[int, int] = (1, 2)
    """Two sizes."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """Parts of flour."""
    notes: Path | None = None
    """A file."""

    def __post_init__(self) -> None:
        if self.minutes < 0:
            raise ConfigError("minutes must not be negative")


def test_a_file_and_overrides_make_a_recipe(tmp_path):
    (tmp_path / "cake.yaml").write_text("name: plain\noven: {heat: 200}\nshares: {rye: 1}\nnotes: a.txt\ntins: [1, 2]")
    made = load_config(Recipe, tmp_path / "cake.yaml", ["oven.fan=true", "minutes=45", "kind=bread"])
    assert made == Recipe("plain", Oven(200, True), 45.0, "bread", (1, 2), (1, 2), {"rye": 1.0}, Path("a.txt"))


def test_the_file_is_optional():
    assert load_config(Recipe, None, ["name=plain"]) == Recipe("plain")


def test_all_faults_are_told_at_once_with_what_was_meant(tmp_path):
    (tmp_path / "bad.yaml").write_text(
        "oven: {heta: 200, fan: perhaps}\nminutes: long\nkind: pie\ntins: 3\nsize: [1]\nshares: 2\nxyz: 3"
    )
    with pytest.raises(ConfigError) as caught:
        load_config(Recipe, tmp_path / "bad.yaml")
    told = str(caught.value)
    for part in (
        "bad.yaml cannot be used",
        "unknown key oven.heta: did you mean oven.heat?",
        "oven.fan is 'perhaps': it should be true or false",
        "minutes is 'long': it should be a number",
        "kind is 'pie': it can be cake, bread",
        "tins is 3: it should be a list",
        "size has 1 values where 2 are wanted",
        "shares is 2: it should be a section of keys",
        "unknown key xyz: the keys here are name, oven",
        "name is missing: What it is called.",
    ):
        assert part in told


def test_a_value_that_the_recipe_itself_refuses_is_told_in_its_words():
    with pytest.raises(ConfigError, match="minutes must not be negative"):
        build(Recipe, {"name": "x", "minutes": -1})


def test_true_is_no_number():
    with pytest.raises(ConfigError, match="a whole number"):
        build(Oven, {"heat": True})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [1", "not valid YAML"),
        (b"- 1", "list"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"!!python/object:a.b {}", "YAML"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path, content, message):
    (tmp_path / "bad.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        load_config(Recipe, tmp_path / "bad.yaml", ["name=x"])


def test_a_section_keeps_the_other_defaults_that_it_has_where_it_stands():
    @dataclass(frozen=True)
    class Kitchen:
        oven: Oven = field(default_factory=lambda: Oven(heat=99))

    assert build(Kitchen, {"oven": {"fan": True}}).oven == Oven(heat=99, fan=True)
    assert build(Kitchen, {"oven": {"heat": 5}}).oven.heat == 5


def test_a_rate_may_be_written_as_people_write_it(tmp_path):
    (tmp_path / "rates.yaml").write_text("rates: {slow: 3e-4, fast: 1E+2, exact: 2.5e-3, name: 3e}")
    assert load_config(Rates, tmp_path / "rates.yaml", ["rates.other=-1e3"]).rates == {
        "slow": 0.0003, "fast": 100.0, "exact": 0.0025, "name": "3e", "other": -1000.0,
    }  # fmt: skip


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"gone\.yaml does not exist"):
        load_config(Recipe, tmp_path / "gone.yaml")


@pytest.mark.parametrize("override", ["name", "=3", "name.x=3"])
def test_an_override_that_cannot_be_used_is_quoted(override):
    with pytest.raises(ConfigError, match=override):
        load_config(Recipe, None, ["name=plain", override])


def test_the_sentence_under_a_field_is_its_help():
    assert field_help(Oven) == {"heat": "Degrees.", "fan": "Whether the fan is on."}
