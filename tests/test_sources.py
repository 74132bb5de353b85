from v2l.sources import FOLDER, stage_sources
from v2l.stages import STAGES


def names(stage: str) -> set[str]:
    return {str(path.relative_to(FOLDER)) for path in stage_sources(STAGES[stage])}


def test_stage_has_its_own_module_and_what_that_imports_through_others() -> None:
    assert {"training/train.py", "training/loop.py", "tokenizer/blocks.py", "config/train.py"} <= names("train")


def test_import_inside_a_function_counts() -> None:
    assert "clip/features.py" in names("image-features")
    assert {"assets/pins.py", "assets/convert.py"} <= names("unpack")


def test_data_files_named_by_a_module_beside_them_count() -> None:
    assert "assets/pins.yaml" in names("unpack")
    assert {"report/style.mplstyle"} == {name for name in names("figures") if not name.endswith(".py")}
    assert {"report/page.html"} == {name for name in names("report") if not name.endswith(".py")}


def test_code_of_other_stages_does_not_count() -> None:
    assert not any(name.startswith(("tokenizer/", "training/", "report/", "clip/")) for name in names("classify"))
    assert "tokenizer/model.py" not in names("global-tokens")
    assert not any(name.startswith(("models/", "vocab/", "training/")) for name in names("tables"))


def test_what_starts_stages_is_no_stages_code() -> None:
    for stage in STAGES:
        assert not names(stage) & {"cli.py", "runner.py", "stages.py", "workflow.py", "sources.py", "config/tree.py"}


def test_every_stage_has_code() -> None:
    for name, stage in STAGES.items():
        module = stage.target.partition(":")[0].removeprefix("v2l.").replace(".", "/")
        assert f"{module}.py" in names(name)
