"""The whole atelier as tables: what a shop would know, and the truth behind it, without any picture drawn."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from llmrec.progress import Progress

from . import reviews
from .catalogue import ATTRIBUTES, VALUES, Catalogue, Goods, draw_catalogue
from .choices import CAUSES, COMPANION, GIFT, IMPULSE, Choices, draw_choices
from .people import DRIFTS, LIKING, REGISTERS, People, draw_people

REVIEWED = 0.7  # the share of choices that a review is written about
BY_STRENGTH = tuple(sorted(ATTRIBUTES, key=lambda attribute: -LIKING[attribute]))


@dataclass(frozen=True)
class World:
    """A catalogue, its people and everything they chose."""

    catalogue: Catalogue
    people: People
    choices: Choices
    seed: int


def draw_world(items: int, users: int, interactions: int, seed: int = 0, progress: Progress | None = None) -> World:
    """The same sizes and seed always give the same world."""
    catalogue_seed, people_seed, choices_seed = np.random.SeedSequence(seed).spawn(3)
    catalogue = draw_catalogue(items, catalogue_seed)
    people = draw_people(users, interactions, people_seed)
    return World(catalogue, people, draw_choices(catalogue, people, choices_seed, progress), seed)


def items_table(world: World) -> pl.DataFrame:
    """The catalogue as the shop writes it: nothing here tells a drawn attribute but what a label gives away."""
    goods = world.catalogue.goods
    return pl.DataFrame(
        {
            "item": [piece.id for piece in goods],
            "title": [piece.title for piece in goods],
            "description": [piece.description for piece in goods],
            "categories": [piece.categories for piece in goods],
            "brand": [piece.brand for piece in goods],
            "price": [piece.price for piece in goods],
            "collection": [piece.collection for piece in goods],
            "occasion": [piece.occasion for piece in goods],
        }
    ).sort("item")


def interactions_tables(world: World, progress: Progress | None = None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What the shop recorded, with reviews, and row by row the truth about it."""
    catalogue, people, choices = world.catalogue, world.people, world.choices
    rng = np.random.default_rng(np.random.SeedSequence(world.seed, spawn_key=(3,)))
    reviewed = rng.random(len(choices)) < REVIEWED
    rows: dict[str, list[object]] = {
        name: [] for name in ("review", "summary", "matched", "mismatched", "mentioned", "earlier")
    }
    person, likes, drifted = -1, {}, False
    earlier: Goods | None = None
    names = [{name: f"{name}={piece.value(name)}" for name in ATTRIBUTES} for piece in catalogue.goods]
    for row in range(len(choices)):
        if progress and row % 1000 == 0:
            progress("writing reviews", row, len(choices))
        if choices.person[row] != person or choices.drifted[row] != drifted:
            earlier = earlier if choices.person[row] == person else None
            person, drifted = int(choices.person[row]), bool(choices.drifted[row])
            likes = people.likes(person, drifted)
        item = int(choices.item[row])
        piece = catalogue.goods[item]
        matched = [name for name in BY_STRENGTH if likes[name][catalogue.codes[name][item]]]
        mismatched = [name for name in BY_STRENGTH if name not in matched]
        review = None
        if reviewed[row]:
            told = reviews.Occurrence(
                piece=piece,
                rating=int(choices.rating[row]),
                cause=CAUSES[choices.cause[row]],
                register=REGISTERS[people.registers[person]],
                matched=matched,
                mismatched=mismatched,
                new_taste=_new_taste(people, person, catalogue, item) if drifted else None,
                earlier=earlier,
            )
            review = reviews.Writer(rng, told).write()
        rows["review"].append(review.text if review else None)
        rows["summary"].append(review.headline if review else None)
        rows["matched"].append([names[item][name] for name in matched])
        rows["mismatched"].append([names[item][name] for name in mismatched])
        rows["mentioned"].append([names[item][name] for name in review.mentioned] if review else [])
        rows["earlier"].append(earlier.id if earlier and choices.cause[row] == COMPANION else None)
        earlier = piece
    noise = np.isin(choices.cause, (GIFT, IMPULSE))
    table = pl.DataFrame(
        {
            "user": pl.Series(people.ids).gather(choices.person),
            "item": pl.Series([piece.id for piece in catalogue.goods]).gather(choices.item),
            "timestamp": choices.timestamp,
            "rating": pl.Series(choices.rating, dtype=pl.Float32),
            "review": pl.Series(rows["review"], dtype=pl.String),
            "summary": pl.Series(rows["summary"], dtype=pl.String),
        }
    )
    lists = pl.List(pl.String)
    truth = table.select("user", "item", "timestamp").with_columns(
        cause=pl.Series(CAUSES).gather(choices.cause),
        companion_of=pl.Series(rows["earlier"], dtype=pl.String),
        reasons=pl.Series(
            [[] if of_no_reason else why for of_no_reason, why in zip(noise, rows["matched"], strict=True)], dtype=lists
        ),
        matched=pl.Series(rows["matched"], dtype=lists),
        mismatched=pl.Series(rows["mismatched"], dtype=lists),
        mentioned=pl.Series(rows["mentioned"], dtype=lists),
        drifted=choices.drifted,
    )
    return table, truth.sort("user", "timestamp")


def _new_taste(people: People, person: int, catalogue: Catalogue, item: int) -> str | None:
    """The attribute of the changed taste, where this piece has the newly liked value."""
    attribute = DRIFTS[people.drift_attribute[person]]
    return attribute if catalogue.codes[attribute][item] == people.drift_to[person] else None


def items_truth(world: World) -> pl.DataFrame:
    """How each piece is drawn, when it came, and how much it appeals to everybody."""
    goods = world.catalogue.goods
    looks = {name: [getattr(piece.look, name) for piece in goods] for name in vars(goods[0].look)}
    return pl.DataFrame(
        {
            "item": [piece.id for piece in goods],
            **looks,
            "price_level": [piece.price_level for piece in goods],
            "told": pl.Series([list(piece.told) for piece in goods], dtype=pl.List(pl.String)),
            "released": [piece.released for piece in goods],
            "appeal": [piece.appeal for piece in goods],
        }
    ).sort("item")


def people_truth(world: World) -> pl.DataFrame:
    """What each person likes, before and after the change that some go through, and how they write."""
    people, choices = world.people, world.choices
    first = np.cumsum(people.lengths) - people.lengths
    changes = people.drift_at >= 0
    at = np.where(changes, choices.timestamp[np.minimum(first + np.maximum(people.drift_at, 0), len(choices) - 1)], 0)

    def changed(values: np.ndarray) -> list[str | None]:
        names = [DRIFTS[number] for number in people.drift_attribute]
        return [
            f"{name}={VALUES[name][value]}" if on else None
            for name, value, on in zip(names, values, changes, strict=True)
        ]

    return pl.DataFrame(
        {
            "user": people.ids,
            "likes": [
                [
                    f"{name}={VALUES[name][value]}"
                    for name in BY_STRENGTH
                    for value in np.flatnonzero(people.liked[name][person])
                ]
                for person in range(len(people))
            ],
            "changes_at": pl.Series(
                [int(time) if on else None for time, on in zip(at, changes, strict=True)], dtype=pl.Int64
            ),
            "changes_from": pl.Series(changed(people.drift_from), dtype=pl.String),
            "changes_to": pl.Series(changed(people.drift_to), dtype=pl.String),
            "manner": pl.Series(REGISTERS).gather(people.registers),
            "generosity": people.generosity,
        }
    ).sort("user")
