"""Restored and masked pictures stand where their labels say, and captions say where restoration fails."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from v2l.artifacts import write_rows
from v2l.errors import ArtifactError
from v2l.report import restoration_figures as module
from v2l.report.saver import house_style

from .figure_data import png

STATES = {"original": 0, "degraded": 50, "restored": 100, "clean": 150}


def _flat(value):
    return png(Image.new("RGB", (4, 4), (value, value, value)))


def _write(folder, name, tasks, offset=0, pictures=("a", "b")):
    rows = [
        {
            "image_id": picture, "class_name": picture, "task": task,
            **{state: _flat(value + offset + place) for state, value in STATES.items()},
        }
        for task in tasks for place, picture in enumerate(pictures)
    ]  # fmt: skip
    write_rows(folder / f"examples_{name}.parquet", pd.DataFrame(rows))
    return folder / f"examples_{name}.parquet"


def _grid(figure, columns):
    grid = np.array(figure.axes).reshape(-1, columns)
    return [[int(axis.images[0].get_array()[0, 0, 0]) if axis.images else None for axis in line] for line in grid]


def _metrics(values, kind="restore"):
    """{(measure, task, condition): value} as the metrics stage writes it."""
    entries = {}
    for (measure, *parts), value in values.items():
        where = {"tokenizer": "v2l", "task": parts[0], "condition": parts[1]} if kind == "restore" else {}
        key = " | ".join([measure, *(["v2l"] if kind == "restore" else []), *parts])
        entries[key] = {"value": value, "n": 7, "rows": {"file": "restore/rows_v2l.parquet", "where": where}}
    return entries


def test_a_line_shows_a_task_by_v2l_in_all_states_then_what_others_restore(tmp_path):
    files = [_write(tmp_path, "vqgan", ["shift"], offset=20), _write(tmp_path, "v2l", ["shift", "inpainting"])]
    restored = module.read_restored(files)
    with house_style():
        figure = module.restoration_figure(restored)
    # Tasks in the paper's order; the second task shows the second picture; VQ-GAN has no inpainting.
    assert _grid(figure, 5) == [[0, 50, 100, 150, None], [1, 51, 101, 151, 121]]
    assert [axis.get_ylabel() for axis in figure.axes[::5]] == ["inpainting", "shift"]
    headings = [axis.get_title().replace("\n", " ") for axis in figure.axes[:5]]
    assert headings == ["picture", "V2L: degraded", "V2L: restored", "V2L: clean tokens", "VQ-GAN: restored"]


def test_without_v2l_another_tokenizer_leads(tmp_path):
    restored = module.read_restored([_write(tmp_path, "zebra", ["shift"]), _write(tmp_path, "spae", ["shift"])])
    assert module.leading(restored) == "spae"


def test_caption_says_in_which_tasks_restored_tokens_are_nearer(tmp_path):
    restored = module.read_restored([_write(tmp_path, "v2l", ["shift", "rotation"])])
    metrics = _metrics(
        {
            ("lpips_vgg", "shift", "restored"): 0.2, ("lpips_vgg", "shift", "degraded tokens"): 0.3,
            ("lpips_vgg", "rotation", "restored"): 0.5, ("lpips_vgg", "rotation", "degraded tokens"): 0.5,
            ("lpips_vgg", "shift", "random tokens"): 0.8, ("lpips_vgg", "rotation", "random tokens"): 0.8,
            ("tokens_restored", "rotation", "restored"): 0.25, ("tokens_restored", "rotation", "random tokens"): 0.001,
            ("tokens_restored", "rotation", "degraded tokens"): 0.5,
        }
    )  # fmt: skip
    caption = module.restoration_caption(restored, metrics, seed=5)
    assert "nearer to the clean picture than the degraded ones in shift and no nearer in rotation;" in caption
    assert "right tokens, restored / degraded / random: rotation 25.0 / 50.0 / 0.1 %" in caption
    assert "of 7 pictures" in caption
    assert "Pictures: rotation a; shift b." in caption


def test_caption_without_metrics_claims_nothing(tmp_path):
    restored = module.read_restored([_write(tmp_path, "v2l", ["shift"])])
    assert "they were not measured in this run" in module.restoration_caption(restored, {}, seed=0)


def test_no_restored_picture_is_refused(tmp_path):
    rows = pd.read_parquet(_write(tmp_path, "v2l", ["shift"]))
    write_rows(tmp_path / "examples_v2l.parquet", rows.iloc[:0])
    with pytest.raises(ArtifactError, match=r"examples_v2l\.parquet: expected restored pictures, found none"):
        module.read_restored([tmp_path / "examples_v2l.parquet"])


def test_masked_pictures_stand_in_the_order_of_the_experiment(tmp_path):
    values = {"original": 1, "masked": 2, "before": 3, "after": 4, "clean": 5}
    row = {"image_id": "noto/ant", "class_name": "ant", **{name: _flat(value) for name, value in values.items()}}
    write_rows(tmp_path / "examples.parquet", [row, {**row, "class_name": "bee"}])
    with house_style():
        figure = module.masked_figure(module.read_masked(tmp_path / "examples.parquet"))
    assert _grid(figure, 5) == [[1, 2, 3, 4, 5]] * 2
    assert [axis.get_ylabel() for axis in figure.axes[::5]] == ["ant", "bee"]


@pytest.mark.parametrize(("after", "said"), [(0.3, "are nearer to"), (0.41, "are no nearer to")])
def test_masked_caption_says_what_tuning_changes_and_whether_it_helps(after, said):
    items = [module.Shown("noto/ant", "ant", {})]
    values = {
        ("tokens_restored", "before tuning"): 0.01, ("tokens_restored", "after tuning"): 0.123,
        ("tokens_restored", "random tokens"): 0.0, ("lpips_vgg", "before tuning"): 0.5,
        ("lpips_vgg", "after tuning"): after, ("lpips_vgg", "masked tokens"): 0.4,
    }  # fmt: skip
    caption = module.masked_caption(items, _metrics(values, kind="masked"), seed=0)
    assert "masked tokens restored from 1.0 to 12.3 % (random ids: 0.0 %), mean of 7 pictures" in caption
    assert f"{said} the clean picture than the masked input (0.400)" in caption
    assert "they were not measured" in module.masked_caption(items, {}, seed=0)
