"""The ideal reader of the drawn shop counts as the shop chooses: with the truth alone it is the oracle."""

import ceiling
import numpy as np
import pytest
from drawn import oracle
from drawn.world import World, draw_world


@pytest.fixture(scope="module")
def world() -> World:
    return draw_world(200, 60, 900)


@pytest.mark.parametrize("sight", [True, False])
def test_with_the_truth_as_its_only_particle_it_is_the_oracle(world: World, sight: bool) -> None:
    shop = ceiling.Shop(world.catalogue, world.catalogue.appeal, sight=sight)
    for person in ceiling.asked_people(world, 60):
        answers = ceiling.oracles(world, shop, person)
        assert answers["truth_alone"].rank == answers["oracle"].rank


def test_a_history_is_as_likely_as_the_oracle_makes_each_choice_of_it(world: World) -> None:
    shop = ceiling.Shop(world.catalogue, world.catalogue.appeal)
    compared = 0
    for person in ceiling.asked_people(world, 60):
        if world.people.drift_at[person.number] >= 0 or not person.first_time.all():
            continue
        liked = world.people.likes(person.number, drifted=False)
        weights = oracle.taste_weights(world.catalogue, liked)
        truth = shop.weights({name: values[:, None] for name, values in liked.items()})
        seen = ceiling.evidence(shop, truth, person)
        whole = ceiling.log_items(shop, seen, person, ceiling.Known(hours=False))
        first = float(seen.own[0, 0] / seen.left[0, 0])
        there = world.catalogue.appeal[: person.available[0]].sum()
        by_hand = np.log(0.92 * first + 0.08 * world.catalogue.appeal[person.history[0]] / there)
        for step in range(1, len(person)):
            asked = oracle.Question(0, False, person.history[:step], int(person.available[step]), 0)
            by_hand += np.log(oracle.chances(world.catalogue, asked, weights)[person.history[step]])
        assert whole[0] == pytest.approx(by_hand, rel=1e-4)
        compared += 1
    assert compared > 20


def test_what_it_believes_does_not_hang_on_how_its_particles_were_drawn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = ceiling.Shop(world.catalogue, world.catalogue.appeal)
    strong = ceiling.strong_ways(shop)
    expected = []
    for heat, lasting in ((0.8, 0.1), (0.5, 0.5)):
        monkeypatch.setattr(ceiling, "HEAT", heat)
        monkeypatch.setattr(ceiling, "LASTING", lasting)
        expected.append(
            [
                ceiling.read(shop, strong, person, {"ideal": ceiling.Known()}, 4000, np.random.default_rng(0))
                .answers["ideal"]
                .expected
                for person in ceiling.asked_people(world, 8)
            ]
        )
    assert expected[0] == pytest.approx(expected[1], rel=0.05)


def test_a_change_comes_in_the_first_half_and_surely_at_some_choice() -> None:
    chances = ceiling.change_chances(12)
    assert chances.sum() == pytest.approx(1.0)
    assert chances[0] == 0.0
    assert not chances[6:].any()
