"""A small replica of the fetched icon folder: three concepts and one to leave out, drawn as plain squares."""

import json
from pathlib import Path

import pytest

COLOURS = {"ant": "#ff0000", "bee": "#00ff00", "t-shirt": "#0000ff", "full-moon": "#ffff00"}
DRAWN_BY = {
    "noto": ("ant", "bee", "t-shirt", "full-moon"),
    "noto-v1": ("ant", "full-moon"),
    "twemoji": ("bee", "ant", "t-shirt", "full-moon"),
}


def icon_set(names: tuple[str, ...]) -> dict:
    icons = {name: {"body": f'<path fill="{COLOURS[name]}" d="M0 0h8v8H0z"/>'} for name in names}
    return {"width": 8, "height": 8, "icons": icons}


@pytest.fixture
def icons(tmp_path: Path) -> Path:
    """Path of the folder's manifest.json."""
    folder = tmp_path / "icons"
    folder.mkdir()
    categories = {
        "Animals & Nature": ["ant", "bee"],
        "Objects": ["t-shirt", "yo-yo"],
        "Travel & Places": ["full-moon"],
        "Flags": ["white-flag"],
    }
    emojibase = [
        {"label": "ant", "tags": ["ant", "insect"], "group": 3, "subgroup": 39},
        {"label": "T-shirt", "tags": ["clothing", "tshirt"], "group": 7, "subgroup": 65},
        {"label": "regional indicator A"},
    ]
    messages = {
        "groups": [{"message": "animals & nature", "order": 3}, {"message": "objects", "order": 7}],
        "subgroups": [
            {"message": "retired", "order": 39},
            {"message": "bugs", "order": 39},
            {"message": "clothing", "order": 65},
        ],
    }
    contents = {
        "manifest": {},
        "noto.metadata": {"categories": categories},
        "emojibase.data": emojibase,
        "emojibase.messages": messages,
        **{name: icon_set(drawn) for name, drawn in DRAWN_BY.items()},
    }
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder / "manifest.json"
