import pytest

from v2l.config.data import EmojiConfig
from v2l.data.concepts import FAMILIES, check_choices, choose_names, describe, slug
from v2l.errors import ConfigError, DataError

CATEGORIES = {"Animals": ["eel", "ant", "bee", "cat", "dog"], "Sky": ["waxing-gibbous-moon", "sun"], "Flags": ["flag"]}


def config(**changes) -> EmojiConfig:
    choices = {"sets": ["noto", "twemoji"], "categories": ["Animals"], "min_sets": 2, "heldout_family": "noto"}
    return EmojiConfig(**{"kind": "emoji", **choices, **changes})


def icon_sets(**names: list[str]) -> dict:
    return {name: {"icons": dict.fromkeys(drawn)} for name, drawn in names.items()}


def test_concepts_are_kept_if_enough_sets_draw_them():
    sets = icon_sets(noto=["ant", "bee", "sun"], twemoji=["bee", "ant", "sun"], fxemoji=["bee"])
    assert choose_names(sets, CATEGORIES, config()) == ["ant", "bee"]
    assert choose_names(sets, CATEGORIES, config(min_sets=3)) == ["bee"]
    assert choose_names(sets, CATEGORIES, config(categories=["Sky", "Animals"])) == ["ant", "bee", "sun"]


@pytest.mark.parametrize("name", ["white-flag", "eight-oclock", "two-thirty", "full-moon-face", "waxing-crescent-moon"])
def test_flags_clock_faces_and_moon_phases_are_left_out(name: str):
    sets = icon_sets(noto=[name, "alarm-clock"], twemoji=[name, "alarm-clock"])
    categories = {"Animals": [name, "alarm-clock"]}
    assert choose_names(sets, categories, config()) == ["alarm-clock"]


@pytest.mark.parametrize(
    ("max_classes", "kept"),
    [(1, ["ant"]), (2, ["ant", "cat"]), (3, ["ant", "bee", "dog"]), (5, sorted(CATEGORIES["Animals"])), (9, None)],
)
def test_max_classes_are_evenly_spaced_by_name(max_classes: int, kept: list[str] | None):
    names = sorted(CATEGORIES["Animals"])
    chosen = choose_names(icon_sets(noto=names, twemoji=names), CATEGORIES, config(max_classes=max_classes))
    assert chosen == (kept or names)


def test_no_concept_left_is_an_error():
    with pytest.raises(DataError, match=r"data\.min_sets: no concept is in 2 of the 2 icon sets"):
        choose_names(icon_sets(noto=["ant"], twemoji=["bee"]), CATEGORIES, config())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sets": ["noto", "apple"]}, r"data\.sets: 'apple' is unknown; allowed here: noto, noto-v1, .*fxemoji"),
        ({"sets": ["noto", "noto"]}, r"data\.sets: a name is listed twice, found noto, noto"),
        ({"categories": ["Food"]}, r"data\.categories: 'Food' is unknown; allowed here: Animals, Sky, Flags"),
        ({"heldout_family": "fluent"}, r"data\.heldout_family: 'fluent' is unknown; allowed here: noto, twemoji"),
    ],
)
def test_unknown_choice_names_the_key_and_what_is_allowed(changes: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        check_choices(config(**changes), CATEGORIES)


def test_families_join_the_sets_of_one_artist():
    together = {frozenset(name for name in FAMILIES if FAMILIES[name] == family) for family in FAMILIES.values()}
    assert together == {
        frozenset({"noto", "noto-v1"}),
        frozenset({"fluent-emoji", "fluent-emoji-flat"}),
        frozenset({"emojione", "emojione-v1"}),
        frozenset({"twemoji"}),
        frozenset({"openmoji"}),
        frozenset({"fxemoji"}),
    }


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("woman\u2019s boot", "womans-boot"),
        ("piñata", "pinata"),
        ("1st place medal", "1st-place-medal"),
        ("T-Rex", "t-rex"),
    ],
)
def test_slug_is_the_icon_name_of_a_label(label: str, name: str):
    assert slug(label) == name


def test_description_has_label_tags_and_groups():
    emojibase = [{"label": "man\u2019s shoe", "tags": ["foot"], "group": 7, "subgroup": 65}]
    messages = {"groups": [{"message": "objects", "order": 7}], "subgroups": [{"message": "clothing", "order": 65}]}
    shoe, unknown = describe(["mans-shoe", "glass-eel"], emojibase, messages)
    assert (shoe.label, shoe.tags, shoe.group, shoe.subgroup) == ("man's shoe", ("foot",), "objects", "clothing")
    assert (unknown.label, unknown.tags, unknown.group, unknown.subgroup) == ("glass eel", (), "", "")
