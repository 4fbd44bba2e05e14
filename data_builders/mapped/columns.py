"""Values as shops export them, brought to the contract's types: ids, times, prices, ratings, categories, attributes."""

import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from llmrec.errors import ConfigError, InputError, Problem
from llmrec.schema import LATEST, NAMED_ROWS, SECONDS_LOOK_LIKE

UNITS = {"s": 1e3, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
NO_VALUE = ("", "na", "n/a", "nan", "null", "none", "-", "—")
SMALLEST_SECONDS = 100_000_000  # 1973: a smaller number is hardly a time
WHOLE = r"^-?(0|[1-9][0-9]{0,17})$"
FRACTION = r"^-?[0-9]+\.[0-9]+$"
ISO = (
    r"^(?P<day>\d{4}-\d{2}-\d{2})(?:[T ](?P<minute>\d{2}:\d{2})(?P<second>:\d{2})?(?P<part>[.,]\d+)?)?"
    r" ?(?P<zone>Z|UTC|[+-]\d{2}:?\d{2})?$"
)


def ids(values: pl.Series) -> pl.Series:
    """Ids as text; whole numbers that became fractions on the way (12.0) are whole again."""
    if values.dtype.is_float() and (values.drop_nulls() % 1 == 0).all():
        values = values.cast(pl.Int64)
    text = values.cast(pl.String).str.strip_chars()
    return text.set(text == "", None) if len(text) else text


def words(columns: list[pl.Series]) -> pl.Series:
    """One text from one or more columns, a line each; nothing where all are empty."""
    texts = [flat(column).str.strip_chars() for column in columns]
    texts = [text.set((text == "").fill_null(False), None) for text in texts]
    if len(texts) == 1:
        return texts[0]
    joined = pl.DataFrame([text.alias(str(place)) for place, text in enumerate(texts)])
    line = joined.select(pl.concat_str(pl.all(), separator="\n", ignore_nulls=True)).to_series()
    return line.set(line == "", None)


def flat(values: pl.Series) -> pl.Series:
    """Any column as text; lists are joined by commas."""
    if isinstance(values.dtype, pl.List):
        return values.cast(pl.List(pl.String)).list.join(", ", ignore_nulls=True)
    return values.cast(pl.String)


def attribute(values: pl.Series) -> pl.Series:
    """An attribute as whole numbers or fractions where every value is one (007 is none), else as text."""
    if values.dtype.is_numeric() or values.dtype == pl.Boolean:
        return values
    text = words([values])
    told = text.drop_nulls()
    if len(told) and told.str.contains(WHOLE).all():
        return text.cast(pl.Int64)
    if len(told) and (told.str.contains(WHOLE) | told.str.contains(FRACTION)).all():
        return text.cast(pl.Float64)
    return text


def categories(columns: list[pl.Series], separator: str | None) -> pl.Series:
    """A list of categories, widest first, from one or more columns, each split where there is a separator."""
    lists = []
    for column in columns:
        if isinstance(column.dtype, pl.List):
            parts = column.cast(pl.List(pl.String))
        elif separator:
            parts = column.cast(pl.String).str.split(separator)
        else:
            parts = column.cast(pl.String).reshape((-1, 1)).arr.to_list()
        lists.append(
            parts.list.eval(pl.element().str.strip_chars()).fill_null(pl.Series([[]], dtype=pl.List(pl.String)))
        )
    frame = pl.DataFrame([part.alias(str(place)) for place, part in enumerate(lists)])
    joined = frame.select(pl.concat_list(pl.all())).to_series()
    return joined.list.eval(pl.element().filter(pl.element().is_not_null() & (pl.element() != "")))


def numbers(values: pl.Series, what: str, file: str) -> tuple[pl.Series, list[Problem]]:
    """Plain numbers, such as ratings."""
    text = as_told(values)
    made = text.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
    return made, _lost(text, made, f"{what} {{}} is not a number", "Correct it, or leave it empty", file)


def prices(values: pl.Series, decimal: str, file: str) -> tuple[pl.Series, list[Problem]]:
    """Prices with or without a currency; what groups thousands follows from the decimal mark."""
    if values.dtype.is_numeric():
        return values.cast(pl.Float64), []
    text = as_told(values)
    grouping = r"[., '’\u{a0}\u{202f}]".replace(decimal, "")
    number = rf"-?(?:\d{{1,3}}(?:{grouping}\d{{3}})+|\d+)(?:{re.escape(decimal)}\d+)?"
    amount = text.str.extract(rf"^[^\d.,-]*({number})[^\d.,-]*$")
    made = amount.str.replace_all(grouping, "").str.replace(decimal, ".", literal=True).cast(pl.Float64, strict=False)
    other = "," if decimal == "." else "."
    remedy = f'With a decimal "{other}" in the file, set decimal: "{other}"; otherwise correct or empty the price'
    return made, _lost(text, made, f'the price {{}} cannot be read with the decimal "{decimal}"', remedy, file)


def moments(values: pl.Series, time: str, zone: str, file: str) -> tuple[pl.Series, str, list[Problem]]:
    """Times as milliseconds since 1970, how they were read, and what could not be read."""
    name = values.name
    if values.dtype in (pl.Time, pl.Duration):
        raise InputError(f"{file}: column {name!r} is a {values.dtype}, not a moment. Name a column with day and time")
    if values.dtype.is_temporal():
        stamps = values.cast(pl.Datetime("ms", getattr(values.dtype, "time_zone", None)))
        return (_in_zone(stamps, zone) if stamps.dtype.time_zone is None else stamps).dt.epoch("ms"), "dates", []
    text = as_told(values)
    if time == "auto":
        time = _guessed(text, name, file)
    if time == "iso":
        made = _iso(text, zone)
        remedy = "Use 2024-01-31 or 2024-01-31T12:00:00, or say how times are written, such as time: '%d.%m.%Y %H:%M'"
    elif time in UNITS or time == "order":
        made = _number_of(text, UNITS.get(time, 1.0))
        remedy = "Times in this column should be numbers; set time: iso or a pattern such as '%d.%m.%Y' otherwise"
        if time != "order":
            _check_unit(text, made, time, name, file)
    else:
        try:
            stamps = text.str.to_datetime(time, strict=False)
        except pl.exceptions.PolarsError as error:
            raise ConfigError(f"time is {time!r}, which is no pattern ({error})") from None
        made = (_in_zone(stamps, zone) if stamps.dtype.time_zone is None else stamps).dt.epoch("ms")
        remedy = "Set time: to the pattern that the file uses"
    return made, time, _lost(text, made, f"the time {{}} in column {name!r} cannot be read as {time}", remedy, file)


def check_zone(zone: str) -> None:
    """Refuse the name of a time zone that there is not."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"time_zone is {zone!r}, which is not known. Examples: UTC, Europe/Berlin") from None


def _guessed(text: pl.Series, name: str, file: str) -> str:
    """The unit of numbers by their size, else ISO."""
    told = text.drop_nulls()
    numeric = told.cast(pl.Float64, strict=False)
    if not len(told) or numeric.null_count() > len(told) // 2:
        return "iso"
    if (told.str.contains(r"^(19|20)\d{6}$")).all() and told.str.to_datetime("%Y%m%d", strict=False).null_count() == 0:
        return "%Y%m%d"
    size = abs(float(numeric.median()))  # type: ignore[arg-type]
    for unit, least in (("ns", 1e17), ("us", 1e14), ("ms", 1e11), ("s", SMALLEST_SECONDS)):
        if size >= least:
            return unit
    raise InputError(
        f"{file}: the times in column {name!r} are numbers such as {told[0]}, too small to be seconds since 1970. "
        "If they only say what came first, set time: order; otherwise set the unit, such as time: s"
    )


def _check_unit(text: pl.Series, made: pl.Series, time: str, name: str, file: str) -> None:
    largest = made.max()
    if largest is None or (0 <= largest <= LATEST and not 0 < largest < SECONDS_LOOK_LIKE):  # type: ignore[operator]
        return
    try:
        likely = _guessed(text, name, file)
    except InputError:
        return
    if likely != time:
        seen = text[int(made.arg_max() or 0)]
        raise InputError(
            f"{file}: column {name!r} read as {time} gives impossible times (its largest value is {seen}). "
            f"They look like {likely}: set time: {likely}"
        )


def _number_of(text: pl.Series, factor: float) -> pl.Series:
    """Whole numbers exactly, fractions as well as floats can."""
    whole = text.cast(pl.Int64, strict=False)
    scaled = whole * int(factor) if factor >= 1 else whole // round(1 / factor)
    fractions = text.cast(pl.Float64, strict=False) * factor
    return scaled.zip_with(scaled.is_not_null(), fractions.round().cast(pl.Int64, strict=False))


def _iso(text: pl.Series, zone: str) -> pl.Series:
    parts = pl.DataFrame({"text": text}).select(pl.col("text").str.extract_groups(ISO)).unnest("text")
    minute, second = pl.col("minute").fill_null("00:00"), pl.col("second").fill_null(":00")
    stamp = pl.concat_str(pl.col("day"), pl.lit(" "), minute, second).str.to_datetime("%F %T", strict=False)
    part = pl.concat_str(pl.lit("0."), pl.col("part").str.slice(1)).cast(pl.Float64, strict=False) * 1000
    offset = pl.col("zone").str.extract(r"^([+-])")
    hours, minutes = pl.col("zone").str.slice(1, 2), pl.col("zone").str.slice(-2)
    behind = (hours.cast(pl.Int64, strict=False) * 60 + minutes.cast(pl.Int64, strict=False)) * 60_000
    read = parts.select(
        stamp=stamp,
        part=part.fill_null(0).cast(pl.Int64),
        behind=pl.when(offset == "+").then(behind).when(offset == "-").then(-behind).otherwise(0),
        local=pl.col("zone").is_null(),
    )
    local = _in_zone(read["stamp"], zone).dt.epoch("ms")
    return local.zip_with(read["local"], read["stamp"].dt.epoch("ms") - read["behind"]) + read["part"]


def _in_zone(stamps: pl.Series, zone: str) -> pl.Series:
    """Local times in their zone; an hour that the clocks skip is read as the hour after."""
    if zone == "UTC":
        return stamps.dt.replace_time_zone("UTC")
    inside = stamps.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    skipped = inside.is_null() & stamps.is_not_null()
    if not skipped.any():
        return inside
    later = stamps.dt.offset_by("1h").dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return inside.zip_with(~skipped, later)


def as_told(values: pl.Series) -> pl.Series:
    """Values as text, with nothing where an export says so in words."""
    text = values.cast(pl.String).str.strip_chars()
    return text.set(text.str.to_lowercase().is_in(NO_VALUE).fill_null(False), None) if len(text) else text


def _lost(text: pl.Series, made: pl.Series, what: str, remedy: str, file: str) -> list[Problem]:
    lost = text.is_not_null() & made.is_null()
    if not lost.any():
        return []
    rows = lost.arg_true()[:NAMED_ROWS].to_list()
    seen = repr(text[rows[0]][:40])
    return [Problem(file, what.format(seen), remedy, tuple(row + 1 for row in rows), int(lost.sum()))]
