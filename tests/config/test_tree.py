from pathlib import Path

import pytest
import yaml

from v2l.config.tree import load_config, parse_config
from v2l.errors import ConfigError


@pytest.fixture
def tree(repository: Path) -> dict:
    return yaml.safe_load((repository / "config" / "demo.yaml").read_text())


@pytest.mark.parametrize("name", ["demo", "smoke"])
def test_shipped_file_is_valid_and_named_as_its_file(repository: Path, name: str) -> None:
    assert load_config(repository / "config" / f"{name}.yaml").name == name


def test_shipped_files_hold_the_same_seven_settings(repository: Path) -> None:
    demo, smoke = (load_config(repository / "config" / f"{name}.yaml") for name in ("demo", "smoke"))
    assert demo.fewshot.settings == smoke.fewshot.settings
    assert [(s.induction, s.shots, s.repeats) for s in demo.fewshot.settings] == [
        (False, 1, 0), (True, 1, 0), (True, 3, 0), (True, 5, 0), (True, 1, 1), (True, 1, 3), (True, 1, 5)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("vocab.filter.min_cuont", 3, r"vocab\.filter\.min_cuont: unknown key"),
        ("train.batch_size", "many", r"train\.batch_size: .*integer.*'many'"),
        ("train.batch_size", 0, r"train\.batch_size: .*greater than 0.*found 0"),
        ("precision", "fp16", r"precision: .*'auto', 'fp32' or 'bf16'.*'fp16'"),
        ("clip.kind", "siglip", r"clip: .*'locked_text'"),
        ("fewshot.settings", [{"shots": 0}], r"fewshot\.settings\.0\.shots: .*greater than 0"),
        ("tokenizer.image_size_px", 66, r"tokenizer: image_size_px must be a multiple of 4.*found 66"),
        ("tokenizer.norm_groups", 5, r"tokenizer: norm_groups must divide base_channels 32, found 5"),
        ("data.max_classes", 3, r"episodes\.ways: 5-way needs at least 5 classes, data\.max_classes allows 3"),
        ("episodes.shots", 3, r"fewshot\.settings: 5 shots are asked for, episodes\.shots draws 3"),
        ("tokens.num_global", 8, r"tokens\.num_global: 8 stored per picture, but 21 are used"),
        ("name", "../elsewhere", r"name: .*match pattern"),
        ("seed", -1, r"seed: .*greater than or equal to 0"),
    ],
)
def test_bad_value_is_refused_in_one_line_naming_file_and_key(
    tree: dict, key: str, value: object, message: str
) -> None:
    node = tree
    *parents, last = key.split(".")
    for part in parents:
        node = node.setdefault(part, {})
    node[last] = value
    with pytest.raises(ConfigError, match=rf"^my\.yaml: {message}") as error:
        parse_config(tree, "my.yaml")
    assert "\n" not in str(error.value)


def test_missing_section_is_named(tree: dict) -> None:
    del tree["llm"]
    with pytest.raises(ConfigError, match=r"my\.yaml: llm: missing"):
        parse_config(tree, "my.yaml")


def test_absent_file_and_broken_yaml_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1, 2")
    with pytest.raises(ConfigError, match=r"broken\.yaml: not valid YAML") as error:
        load_config(tmp_path / "broken.yaml")
    assert "\n" not in str(error.value)
