"""Records of a chain raw -> part -> rows -> table with Snakemake's own files around them; the part is temporary."""

import os
import shutil
from pathlib import Path

import pytest
from snakemake.persistence import MetadataRecord

from v2l.artifacts import read_json
from v2l.errors import ArtifactError
from v2l.versioning.records import LONG_AGO, _Store, adopt, write_records

RESULTS = Path("results/x")
CHAIN = {
    "results/x/part": ["data/raw", "src/code.py"],
    "results/x/rows": ["results/x/part"],
    "results/x/table": ["results/x/rows", "src/code.py"],
}
PART, *KEPT = CHAIN
TEMPORARY = {name: name == PART for name in CHAIN}


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which Snakemake has made rows and table, removed the part, and put them on record."""
    monkeypatch.chdir(tmp_path)
    for name in ("data/raw", "src/code.py", *CHAIN):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)
    store = _Store()
    for output, inputs in CHAIN.items():
        checksums = {name: f"sha256:{name}" for name in inputs}
        store.write(
            output,
            MetadataRecord(
                rule="r", input=inputs, params=["1"], record_format_version=6, endtime=5.0, input_checksums=checksums
            ),
        )
    Path(PART).unlink()
    write_records(RESULTS, TEMPORARY)
    return tmp_path


def clone(made: Path, *left_out: str) -> None:
    """Leaves what a clone has: no records of Snakemake's own, present times."""
    shutil.rmtree(made / ".snakemake")
    for name in left_out:
        (made / name).unlink()
    for path in made.rglob("*"):
        os.utime(path)


def adopted() -> set[str]:
    store = _Store()
    return {name for name in CHAIN if store.read(name) is not None}


def test_clone_with_everything_gets_all_records_back_and_later_outputs_are_older(made: Path) -> None:
    clone(made)
    adopt(RESULTS)
    assert adopted() == set(CHAIN)
    record = _Store().read("results/x/table")
    assert record.input_checksums["results/x/rows"] == "sha256:results/x/rows"
    assert record.params == ["1"]
    times = [Path(name).stat().st_mtime for name in ("data/raw", *KEPT)]
    assert times[0] > times[1] > times[2]


def test_record_of_a_part_holds_no_bytes_and_none_is_wanted_of_it(made: Path) -> None:
    part, rows, _ = read_json(RESULTS / "snakemake.json")
    assert part["sha256"] is None
    assert part["record"]["input_checksums"]["data/raw"] == "sha256:data/raw"
    assert rows["record"]["input_checksums"] == {}
    clone(made)
    adopt(RESULTS)
    assert not Path(PART).exists()


def test_part_of_altered_inputs_is_not_adopted_nor_what_was_made_of_it(made: Path) -> None:
    clone(made, "data/raw")
    adopt(RESULTS)
    assert adopted() == set()


def test_clone_without_the_rows_does_not_take_the_table_for_its_own(made: Path) -> None:
    clone(made, "results/x/rows")
    adopt(RESULTS)
    assert adopted() == {PART}
    assert Path("results/x/table").stat().st_mtime <= LONG_AGO


def test_altered_output_and_what_follows_from_it_are_not_adopted(made: Path) -> None:
    clone(made)
    Path("results/x/rows").write_text("altered")
    adopt(RESULTS)
    assert adopted() == {PART}


def test_altered_table_leaves_its_rows_adopted(made: Path) -> None:
    clone(made)
    Path("results/x/table").write_text("altered")
    adopt(RESULTS)
    assert adopted() == {PART, "results/x/rows"}


@pytest.mark.usefixtures("made")
def test_outputs_made_here_are_left_alone() -> None:
    before = Path("results/x/table").stat().st_mtime
    adopt(RESULTS)
    assert Path("results/x/table").stat().st_mtime == before


@pytest.mark.usefixtures("made")
def test_records_hold_no_times() -> None:
    for entry in read_json(RESULTS / "snakemake.json"):
        assert not {"starttime", "endtime", "job_hash", "external_jobid"} & entry["record"].keys()


@pytest.mark.usefixtures("made")
def test_output_that_no_run_has_made_cannot_be_recorded() -> None:
    Path("results/x/other").write_text("by hand")
    with pytest.raises(ArtifactError, match=r"results/x/other: no finished Snakemake run here has made it"):
        write_records(RESULTS, TEMPORARY | {"results/x/other": False})
