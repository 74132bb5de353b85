import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from v2l.artifacts import provenance_path, read_arrays, read_json, sha256_file, write_arrays
from v2l.cli import main
from v2l.config.tokenizer import READS
from v2l.tokenizer.kinds import KINDS, load_tokenizer
from v2l.tokenizer.model import LocalTokenizer
from v2l.training.trainer import Trainer

from .conftest import NUM_TOKENS, with_runtime
from .watching import group_of, wait_until


def command(config: Path, inputs: dict[str, Path], folder: Path, kind: str = "v2l") -> list[str]:
    """Trains the tokenizer of a kind, with those of the inputs that the kind reads."""
    words = ["train", "--config", str(config), "--name", kind]
    outputs = {"tokenizer": folder / "tokenizer.safetensors", "curves": folder / "curves.csv"}
    read = {name: path for name, path in inputs.items() if name in ("manifest", "networks", *READS[kind])}
    for name, path in (read | outputs).items():
        words += [f"--{name.replace('_', '-')}", str(path)]
    return words


def wait_for(pattern: str, folder: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while not list(folder.glob(pattern)):
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_killed_run_ends_with_the_bytes_of_an_unbroken_one(config_path: Path, inputs: dict, tmp_path: Path) -> None:
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    assert main(command(config_path, inputs, unbroken)) == 0

    process = subprocess.Popen(
        [sys.executable, "-m", "v2l.cli", *command(config_path, inputs, broken)], stderr=subprocess.PIPE
    )
    wait_for(".scratch-train-*/checkpoint.safetensors", broken, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    left = {path.name for path in broken.iterdir()}
    assert not left & {"tokenizer.safetensors", "curves.csv"}
    (checkpoint,) = broken.glob(".scratch-train-*/checkpoint.safetensors")
    assert 2 <= int(load_file(checkpoint)["step"]) < 8

    assert main(command(config_path, inputs, broken)) == 0
    for name in ("tokenizer.safetensors", "curves.csv"):
        assert sha256_file(broken / name) == sha256_file(unbroken / name)
    assert not list(broken.glob(".scratch-*"))


def test_run_that_sigterm_stops_saves_its_step_and_ends_with_the_bytes_of_an_unbroken_one(
    config_path: Path, inputs: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At step 4 of 8, and once more at the last step, which has nothing left to stop."""
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    assert main(command(config_path, inputs, unbroken)) == 0
    steps, take_step = [], Trainer.step

    def told_to_stop(self, images, vectors, step: int, *others):
        steps.append(step)
        if step in (4, 7):
            os.kill(os.getpid(), signal.SIGTERM)
        return take_step(self, images, vectors, step, *others)

    monkeypatch.setattr(Trainer, "step", told_to_stop)
    assert main(command(config_path, inputs, broken)) == 1
    assert "error: train: stopped by SIGTERM at step 5; run again to go on" in caplog.text
    assert not list(broken.glob("*.safetensors"))
    assert main(command(config_path, inputs, broken)) == 0
    assert steps == list(range(8))
    for name in ("tokenizer.safetensors", "curves.csv"):
        assert sha256_file(broken / name) == sha256_file(unbroken / name)


@pytest.mark.parametrize("moment", ["a worker starts", "a checkpoint is there"])
def test_sigterm_to_all_processes_stops_a_run_that_decodes_ahead_and_leaves_none(
    config_path: Path, decoding_ahead: Path, inputs: dict, tmp_path: Path, moment: str
) -> None:
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    assert main(command(config_path, inputs, unbroken)) == 0

    words = [sys.executable, "-m", "v2l.cli", *command(decoding_ahead, inputs, broken)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, start_new_session=True) as process:
        if moment == "a worker starts":
            # besides the training, and Python's own one that tracks semaphores
            wait_until(lambda: len(group_of(process.pid)) > 2)
        else:
            wait_for(".scratch-train-*/checkpoint.safetensors", broken, process)
        os.killpg(process.pid, signal.SIGTERM)
        said = process.communicate()[1].decode()
    assert process.returncode == 1
    assert "error: train: stopped by SIGTERM at step" in said
    assert "Traceback" not in said
    wait_until(lambda: not group_of(process.pid))

    assert main(command(decoding_ahead, inputs, broken)) == 0
    for name in ("tokenizer.safetensors", "curves.csv"):
        assert sha256_file(broken / name) == sha256_file(unbroken / name)


def test_unreadable_picture_that_is_drawn_ends_the_run_in_one_line(
    decoding_ahead: Path, inputs: dict, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frame = pd.read_parquet(inputs["manifest"])
    frame["path"] = [str(inputs["manifest"].parent / path) for path in frame["path"]]
    frame.loc[3, "path"] = str(tmp_path / "absent.png")
    frame.to_parquet(tmp_path / "manifest.parquet")
    assert main(command(decoding_ahead, inputs | {"manifest": tmp_path / "manifest.parquet"}, tmp_path / "out")) == 1
    (error,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert error == f"error: {tmp_path / 'absent.png'}: picture not found"


def test_two_processes_of_the_command_begin_as_one_and_write_what_it_does(
    config_path: Path, inputs: dict, tmp_path: Path
) -> None:
    """To the end they are compared in float64: test_distributed."""
    curves = []
    for processes in (1, 2):
        config = with_runtime(config_path, tmp_path / f"{processes}.yaml", processes=processes)
        folder = tmp_path / str(processes)
        assert main(command(config, inputs, folder)) == 0
        LocalTokenizer.load(folder / "tokenizer.safetensors")
        curves.append(pd.read_csv(folder / "curves.csv"))
    pd.testing.assert_frame_equal(curves[1].head(1), curves[0].head(1), rtol=1e-5)
    assert curves[1]["step"].tolist() == curves[0]["step"].tolist()


def test_outputs_are_whole(config_path: Path, inputs: dict, tmp_path: Path) -> None:
    events = tmp_path / "tensorboard" / "v2l"
    events.mkdir(parents=True)
    (events / "events.out.tfevents.0.old").write_bytes(b"of an earlier run")
    other = tmp_path / "tensorboard" / "vqgan" / "events.out.tfevents.0.other"
    other.parent.mkdir()
    other.write_bytes(b"of another tokenizer")
    assert main(command(config_path, inputs, tmp_path)) == 0
    tokenizer = LocalTokenizer.load(tmp_path / "tokenizer.safetensors")
    embeddings = read_arrays(inputs["embeddings"], ["embeddings"])["embeddings"]
    assert np.array_equal(tokenizer.tok_embeddings.weight.numpy(), embeddings[:NUM_TOKENS])
    curves = pd.read_csv(tmp_path / "curves.csv")
    assert curves["step"].tolist() == [0, 3, 6, 7]
    assert curves["discriminator"].isna().tolist() == [True, False, False, False]  # it joins at step 3
    assert curves[["total", "reconstruction", "perceptual", "quantizer", "learning_rate"]].notna().all(axis=None)
    assert read_json(provenance_path(tmp_path / "tokenizer.safetensors"))["stage"] == "train"
    assert len(list(events.iterdir())) == 1
    assert other.is_file()
    totals = EventAccumulator(str(events)).Reload().Scalars("train/total")
    assert [event.step for event in totals] == [0, 3, 6, 7]
    assert [event.value for event in totals] == pytest.approx(curves["total"].tolist())


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "v2l"])
def test_every_kind_is_trained_by_the_same_loop_on_the_inputs_it_reads(
    config_path: Path, inputs: dict, tmp_path: Path, kind: str
) -> None:
    assert main(command(config_path, inputs, tmp_path, kind)) == 0
    tokenizer = load_tokenizer(tmp_path / "tokenizer.safetensors")
    assert type(tokenizer) is KINDS[kind]
    assert tokenizer.vocab_size == NUM_TOKENS
    curves = pd.read_csv(tmp_path / "curves.csv")
    assert curves["step"].tolist() == [0, 3, 6, 7]
    assert curves["discriminator"].notna().tolist() == [False, True, True, True]


@pytest.mark.parametrize(
    ("kind", "name"),
    [("v2l", "features"), ("v2l", "embeddings"), ("v2l", "global_vectors"), ("lqae", "llm_embeddings"),
     ("spae", "features"), ("spae", "embeddings")],
)  # fmt: skip
def test_input_that_a_kind_needs_is_named_where_it_is_not_given(
    config_path: Path, inputs: dict, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, name: str
) -> None:
    given = {other: path for other, path in inputs.items() if other != name}
    assert main(command(config_path, given, tmp_path / "out", kind)) == 1
    assert f"the input --{name.replace('_', '-')}, found none" in caplog.text


def test_held_out_pictures_are_not_read(config_path: Path, inputs: dict, tmp_path: Path) -> None:
    frame = pd.read_parquet(inputs["manifest"])
    held_out = frame["split"] == "heldout"
    frame.loc[held_out, "path"] = "absent.png"
    frame.loc[~held_out, "path"] = [str(inputs["manifest"].parent / path) for path in frame.loc[~held_out, "path"]]
    frame.to_parquet(tmp_path / "manifest.parquet")
    assert main(command(config_path, inputs | {"manifest": tmp_path / "manifest.parquet"}, tmp_path / "out")) == 0
    assert main(command(config_path, inputs, tmp_path / "reference")) == 0
    assert sha256_file(tmp_path / "out/tokenizer.safetensors") == sha256_file(
        tmp_path / "reference/tokenizer.safetensors"
    )


def test_manifest_without_training_pictures_is_refused(
    config_path: Path, inputs: dict, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pd.read_parquet(inputs["manifest"]).assign(split="heldout").to_parquet(tmp_path / "manifest.parquet")
    assert main(command(config_path, inputs | {"manifest": tmp_path / "manifest.parquet"}, tmp_path / "out")) == 1
    assert "manifest.parquet: column split: expected some rows with train, found none" in caplog.text


def test_global_codebook_smaller_than_the_decoder_needs_is_refused(
    config_path: Path, inputs: dict, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_arrays(tmp_path / "small.safetensors", {"codebook": np.zeros((1, 8), np.float32)})
    assert (
        main(command(config_path, inputs | {"global_vectors": tmp_path / "small.safetensors"}, tmp_path / "out")) == 1
    )
    assert "small.safetensors: codebook: expected at least 2 rows of width 8, found 1 of width 8" in caplog.text
    assert not list((tmp_path / "out").glob("*.safetensors"))
