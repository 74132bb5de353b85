"""Parts of outputs put together: their bytes, their provenance, and what is refused."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from v2l.artifacts import provenance_path, read_arrays, read_json, sha256_file, write_arrays, write_json, write_rows
from v2l.config.tree import load_config
from v2l.errors import ArtifactError
from v2l.graph.spec import Spec, Stage
from v2l.runner import merge_stage, run_stage
from v2l.shards import ADDED, JOINED, WHOLE, Shard

FILES = {"rows": "rows.parquet", "counts": "counts.safetensors", "features": "features.safetensors"}


def squares(source: Path, rows: Path, counts: Path, features: Path, top_k: int, shard: Shard) -> None:
    """A row and a vector an item, and how often each last digit occurs."""
    items = shard.of(np.arange(int(source.read_text())))
    table = {"item": items, "label": [f"item {i}" for i in items], "parts": [[top_k] * (i % 3) for i in items]}
    write_rows(rows, pd.DataFrame(table))
    write_arrays(counts, {"digits": np.bincount(items % 10, minlength=10), "total": np.array([len(items)])})
    write_arrays(features, {"square": np.float32(items)[:, None] ** 2, "cube": items**3})


STAGE = Stage(
    "test",
    "test",
    f"{__name__}:squares",
    "a test",
    inputs={"source": Spec("in", "in")},
    outputs={name: Spec(name, name) for name in FILES},
    params={"top_k": "vocab.filter.top_k"},
    compute=False,
    shards={"rows": JOINED, "counts": ADDED, "features": JOINED},
)


@pytest.fixture
def config(repository: Path):
    return load_config(repository / "config" / "smoke.yaml")


@pytest.fixture
def run(config, tmp_path: Path):
    """Runs the stage, or a part of it; returns its outputs."""

    def run(folder: str, shard: Shard = WHOLE, num_items: int = 20, stage: Stage = STAGE) -> dict[str, Path]:
        source = tmp_path / f"{num_items}.txt"
        source.write_text(str(num_items))
        outputs = {name: tmp_path / folder / file for name, file in FILES.items()}
        run_stage(stage, config, {"source": source}, outputs, shard=shard)
        return outputs

    return run


def merge(folder: Path, parts: Sequence[dict[str, Path]], stage: Stage = STAGE) -> dict[str, Path]:
    folder.mkdir()
    outputs = {name: folder / file for name, file in FILES.items()}
    merge_stage(stage, [part[name] for name in FILES for part in parts], list(outputs.values()))
    return outputs


@pytest.mark.parametrize("count", [1, 2, 7, 20, 33])
def test_parts_make_the_bytes_of_the_whole(run, tmp_path: Path, count: int) -> None:
    whole = run("whole")
    merged = merge(tmp_path / "merged", [run(f"part {n}", Shard(n, count)) for n in range(1, count + 1)])
    for name, path in merged.items():
        assert path.read_bytes() == whole[name].read_bytes()
        assert path.stat().st_mode == whole[name].stat().st_mode
    assert read_arrays(merged["counts"], [])["digits"].tolist() == [2] * 10
    assert len(pd.read_parquet(merged["rows"])) == len(read_arrays(merged["features"], [])["cube"]) == 20


def test_a_part_without_items_has_empty_files(run) -> None:
    outputs = run("part", Shard(1, 3), num_items=2)
    assert pd.read_parquet(outputs["rows"]).shape == (0, 0)
    assert read_arrays(outputs["features"], []) == read_arrays(outputs["counts"], []) == {}


def no_rows(source: Path, rows: Path, counts: Path, features: Path, top_k: int, shard: Shard) -> None:
    squares(source, rows, counts, features, top_k, shard)
    write_rows(rows, pd.read_parquet(rows).head(0))


@pytest.mark.parametrize("count", [2, 7])
def test_tables_without_rows_keep_their_columns(run, tmp_path: Path, count: int) -> None:
    stage = replace(STAGE, target=f"{__name__}:no_rows")
    parts = [run(f"part {n}", Shard(n, count), 3, stage) for n in range(1, count + 1)]
    merged = pd.read_parquet(merge(tmp_path / "merged", parts)["rows"])
    assert merged.empty
    assert list(merged.columns) == ["item", "label", "parts"]


def test_provenance_is_that_of_the_whole_with_the_times_of_all_parts(run, tmp_path: Path) -> None:
    whole = read_json(provenance_path(run("whole")["rows"]))
    parts = [run(str(n), Shard(n, 3)) for n in (1, 2, 3)]
    costs = [(0.5, 300, "b"), (1.25, 700, "a"), (2.0, 500, "b")]
    for number, (part, (seconds, peak, machine)) in enumerate(zip(parts, costs, strict=True), start=1):
        for path in part.values():
            record = read_json(provenance_path(path))
            assert record["shard"] == f"{number}-of-3"
            costs = {"wall_seconds": seconds, "peak_memory_bytes": peak, "machine": machine}
            write_json(provenance_path(path), {**record, **costs})
    for path in merge(tmp_path / "merged", parts).values():
        record = read_json(provenance_path(path))
        assert (record["wall_seconds"], record["peak_memory_bytes"], record["num_shards"]) == (3.75, 700, 3)
        assert record["machine"] == "a; b"
        assert (record["sha256"], record["size"]) == (sha256_file(path), path.stat().st_size)
        own = {"wall_seconds", "peak_memory_bytes", "machine", "num_shards", "sha256", "size"}
        assert set(record) == {*whole, "num_shards"}
        assert {key: record[key] for key in set(whole) - own} == {key: whole[key] for key in set(whole) - own}


@pytest.fixture
def halves(run) -> list[dict[str, Path]]:
    return [run(str(n), Shard(n, 2)) for n in (1, 2)]


def edit_record(path: Path, **changes) -> None:
    write_json(provenance_path(path), {**read_json(provenance_path(path)), **changes})


class TestRefusals:
    """Nothing is written, and what lay there stays."""

    @pytest.fixture
    def refused(self, tmp_path: Path):
        def refused(parts: Sequence[dict[str, Path]], match: str, stage: Stage = STAGE) -> None:
            with pytest.raises(ArtifactError, match=match) as error:
                merge(tmp_path / "merged", parts, stage)
            assert "\n" not in str(error.value)
            assert not list((tmp_path / "merged").iterdir())

        return refused

    def test_a_missing_part(self, run, refused) -> None:
        refused([run("third", Shard(1, 3)), run("fourth", Shard(3, 3))], r"expected parts 1 to 2, found 1-of-3, 3-of-3")

    def test_a_repeated_part(self, halves, refused) -> None:
        refused([halves[0], halves[0]], r"expected parts 1 to 2, found 1-of-2, 1-of-2")

    def test_parts_in_another_order(self, halves, refused) -> None:
        refused(halves[::-1], r"expected parts 1 to 2, found 2-of-2, 1-of-2")

    def test_a_part_of_another_number_of_parts(self, run, halves, refused) -> None:
        refused([halves[0], run("third", Shard(2, 3))], r"expected parts 1 to 2, found 1-of-2, 2-of-3")

    def test_a_whole_among_parts(self, run, halves, refused) -> None:
        refused([halves[0], run("whole")], r"expected parts 1 to 2, found 1-of-2, 1-of-1")

    def test_parts_of_another_stage(self, halves, refused) -> None:
        refused(
            halves, r"rows\.parquet: expected a part of stage other, found one of test", replace(STAGE, name="other")
        )

    @pytest.mark.parametrize("key", ["parameters_hash", "seed", "options"])
    def test_a_part_of_another_run(self, halves, refused, key: str) -> None:
        edit_record(halves[1]["rows"], **{key: "other"})
        refused(halves, rf"2/rows\.parquet: {key} 'other' differs from .* of .*1/rows\.parquet")

    def test_a_part_made_from_other_inputs(self, run, halves, refused) -> None:
        refused([halves[0], run("other", Shard(2, 2), num_items=21)], r"other/rows\.parquet: inputs .* differs from")

    def test_a_part_without_provenance(self, halves, refused) -> None:
        provenance_path(halves[1]["rows"]).unlink()
        refused(
            halves, r"2/rows\.parquet: expected its provenance beside it, rows\.parquet\.provenance\.json, found none"
        )

    @pytest.mark.parametrize(("name", "kind"), [("rows", "Parquet"), ("counts", "safetensors")])
    def test_a_part_that_cannot_be_read(self, halves, tmp_path: Path, name: str, kind: str) -> None:
        halves[1][name].write_bytes(b"short")
        with pytest.raises(ArtifactError, match=rf"2/{FILES[name]}: not a readable {kind} file"):
            merge(tmp_path / "merged", halves)
        assert not (tmp_path / "merged" / FILES[name]).exists()
        assert not list((tmp_path / "merged").glob(".partial*"))

    def test_outputs_that_are_not_those_of_the_stage(self, halves, tmp_path: Path) -> None:
        paths = [part[name] for name in FILES for part in halves]
        for parts, outputs in ((paths, 2), (paths[:5], 3), ([], 3)):
            match = rf"merge test: expected 3 outputs and as many parts of each, found {outputs} and {len(parts)} parts"
            with pytest.raises(ArtifactError, match=match):
                merge_stage(STAGE, parts, [tmp_path / str(n) for n in range(outputs)])


def test_a_refused_merge_keeps_what_was_there(halves, tmp_path: Path) -> None:
    merged = merge(tmp_path / "merged", halves)
    before = {path: path.read_bytes() for path in (tmp_path / "merged").iterdir()}
    assert set(before) == {*merged.values(), *map(provenance_path, merged.values())}
    halves[1]["rows"].write_bytes(b"short")
    with pytest.raises(ArtifactError):
        merge_stage(STAGE, [part[name] for name in FILES for part in halves], list(merged.values()))
    assert {path: path.read_bytes() for path in (tmp_path / "merged").iterdir()} == before
