"""What the page asks for beside rankings: the catalogue at a glance, people by their ids, what the model reads."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateways import Served, serving
from shops import HOUSES, ITEMS, catalogue, shop

from llmrec.gateway.access import Keys, add_key
from llmrec.gateway.grid import grid
from llmrec.gateway.names import Names
from llmrec.gateway.routes.browsing import glance
from llmrec.retrieval.index import Index, IndexRecipe
from llmrec.retrieval.making import make_index

Json = dict[str, Any]


@pytest.fixture(scope="module")
def server(tuned_model: Path, tuned_index: Index, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tuned_model, tuned_index, tmp_path_factory.mktemp("browsing")) as running:
        yield running


def facets(told: Json) -> dict[str, dict[Any, int]]:
    return {one["field"]: {value["value"]: value["count"] for value in one["values"]} for one in told["facets"]}


def test_the_catalogue_at_a_glance_counts_what_tells_items_apart(client: httpx.Client) -> None:
    told = client.get("/v1/catalogue").json()
    items = catalogue()
    assert told["items"] == ITEMS
    assert told["pictures"] == sum(code % 3 > 0 for code in range(ITEMS))
    assert told["searches"] == ["words", "picture"]
    assert told["people"] is True
    assert set(facets(told)) == {"categories", "brand", "colour"}
    assert "Shop" not in facets(told)["categories"], "all items are in it"
    for house in HOUSES:
        assert facets(told)["brand"][house] == (items["brand"] == house).sum()
    assert told["prices"] == {"low": items["price"].min(), "high": items["price"].max()}


def test_every_value_that_is_named_finds_its_items(client: httpx.Client) -> None:
    told = client.get("/v1/catalogue").json()
    for facet in told["facets"]:
        for value in facet["values"]:
            where = {facet["field"]: {"has" if facet["kind"] == "texts" else "any_of": [value["value"]]}}
            found = client.post("/v1/recommendations", json={"history": [], "where": where, "k": 100}).json()["items"]
            assert len(found) == value["count"]


def test_a_glance_follows_changes_of_the_catalogue(client: httpx.Client) -> None:
    before = client.get("/v1/catalogue").json()
    client.put("/v1/items/new", json={"title": "New", "brand": "Newhouse", "price": 900.5})
    after = client.get("/v1/catalogue").json()
    assert after["items"] == before["items"] + 1
    assert facets(after)["brand"]["Newhouse"] == 1
    assert after["prices"]["high"] == 900.5
    client.delete("/v1/items/new")
    assert client.get("/v1/catalogue").json() == before


def test_nothing_is_named_that_a_catalogue_lacks(tmp_path: Path) -> None:
    bare = catalogue().drop("brand", "price", "colour", "categories")
    recipe = IndexRecipe(parts=["neighbours", "text"], text_width=16)
    index = make_index(shop(tmp_path / "shop", items=bare, images={}), tmp_path / "index", recipe)
    told = glance(Names.of(index))
    assert told == {"items": ITEMS, "pictures": 0, "facets": [], "prices": None}


def test_people_are_found_by_the_beginning_of_their_ids(client: httpx.Client) -> None:
    everybody = client.get("/v1/people?limit=100").json()["data"]
    assert [one["user"] for one in everybody] == sorted(one["user"] for one in everybody)
    some = client.get("/v1/people?starts=u0&limit=3").json()["data"]
    assert [one["user"] for one in some] == ["u00", "u01", "u02"]
    taken = client.get("/v1/people/u01/history").json()["taken"]
    assert some[1]["taken"] == len(taken)
    assert [one["item"] for one in some[1]["last"]] == taken[:-5:-1]
    assert client.get("/v1/people?starts=nobody").json()["data"] == []


def test_who_was_forgotten_is_not_named(client: httpx.Client) -> None:
    assert client.get("/v1/people?starts=u29").json()["data"]
    client.delete("/v1/people/u29/history")
    assert client.get("/v1/people?starts=u29").json()["data"] == []


def test_only_a_key_that_may_do_everything_lists_people_and_only_its_own(
    tuned_model: Path, tuned_index: Index, tmp_path: Path
) -> None:
    file = tmp_path / "keys.yaml"
    reader = add_key(file, "reader", ["read"])
    owner = add_key(file, "owner", ["admin"])
    branch = add_key(file, "branch", ["admin"], people="u/")
    with serving(tuned_model, tuned_index, tmp_path / "gateway", keys=Keys.open(file)) as running:

        def asked(path: str, key: str) -> httpx.Response:
            return httpx.get(running.address + path, headers={"Authorization": f"Bearer {key}"}, trust_env=False)

        assert httpx.get(f"{running.address}/v1/catalogue", trust_env=False).status_code == 401
        assert asked("/v1/people", reader).json()["error"]["code"] == "missing_role"
        assert asked("/v1/catalogue", reader).json()["people"] is False
        assert asked("/v1/catalogue", owner).json()["people"] is True
        assert len(asked("/v1/people?limit=5", owner).json()["data"]) == 5
        assert asked("/v1/people", branch).json()["data"] == []


def test_what_the_model_reads_is_the_prompt_that_it_gets(server: Served, client: httpx.Client) -> None:
    known = client.get("/v1/people/u01/history").json()["taken"]
    told = client.post("/v1/seen", json={"user": "u01", "item": "i001"}).json()
    assert [one["item"]["item"] for one in told["prompt"] if one["item"]] == known
    assert told["prompt"][0]["text"].strip()
    assert (told["taken"], told["trimmed"], told["wordless"]) == (len(known), 0, 0)
    assert told["tokens"] == len(server.gateway.desk.served.ranking(known).tokens)
    assert told["word"] is True


def test_a_long_history_is_trimmed_and_what_has_no_word_is_left_out(server: Served, client: httpx.Client) -> None:
    longest = server.gateway.desk.served.longest
    history = [f"i{code % ITEMS:03d}" for code in range(longest + 7)]
    told = client.post("/v1/seen", json={"history": [*history, "unheard-of"], "item": "i001"}).json()
    assert [one["item"]["item"] for one in told["prompt"] if one["item"]] == history[-longest:]
    assert (told["taken"], told["trimmed"], told["wordless"]) == (longest + 8, 7, 1)


def test_the_grid_is_told_of_items_with_a_picture_and_all_parts_are_tokens(
    server: Served, client: httpx.Client
) -> None:
    config = json.loads((server.gateway.desk.served.folder / "config.json").read_text())
    told = client.post("/v1/seen", json={"history": [], "item": "i001"}).json()["grid"]
    side = config["vision_config"]["image_size"] // config["vision_config"]["patch_size"]
    assert (told["rows"], told["columns"], told["tokens"]) == (side, side, side**2)
    assert client.post("/v1/seen", json={"history": [], "item": "i003"}).json()["grid"] is None
    assert client.post("/v1/seen", json={"history": [], "item": "nothing"}).status_code == 404


def test_models_that_cut_each_picture_in_their_own_way_have_no_grid(tmp_path: Path) -> None:
    assert grid(tmp_path, {"model_type": "qwen2_5_vl", "vision_config": {"patch_size": 14}}) is None
    clip = {"model_type": "llava", "vision_config": {"image_size": 336, "patch_size": 14}}
    (tmp_path / "preprocessor_config.json").write_text('{"do_center_crop": true}')
    assert grid(tmp_path, clip) == {"rows": 24, "columns": 24, "tokens": 576, "region": "centre"}
    assert (grid(tmp_path, {"model_type": "gemma3", "mm_tokens_per_image": 256}) or {})["rows"] == 16


def test_a_chat_may_be_for_a_history_instead_of_a_person(client: httpx.Client) -> None:
    messages = [{"role": "user", "content": "What would you suggest?"}]
    history = ["i001", "i004", "i007"]

    def shown(**more: Any) -> list[str]:
        answer = client.post("/v1/chat/completions", json={"model": "llmrec", "messages": messages, **more})
        return [one["item"] for one in answer.json()["choices"][0]["message"]["llmrec"]["items"]]

    asked = client.post("/v1/recommendations", json={"history": history, "k": 5}).json()["items"]
    assert shown(history=history) == [one["item"] for one in asked]
    assert not {asked[0]["item"]} & set(shown(history=history, exclude=[asked[0]["item"]]))
