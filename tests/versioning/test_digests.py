from pathlib import Path

from v2l.artifacts import sha256_file, write_json
from v2l.versioning.digests import describe_run, differences, digest, read_digests, result_digests, write_digests


def make_results(root: Path) -> Path:
    files = {
        "classify/metrics.json": "{}",
        "classify/predictions.parquet": "rows",
        "classify/shards/v2l/1-of-2.parquet": "half of the rows",
        "tables/table1.csv": "1",
        "logs/classify.log": "12:00",
        "tokenizer/tensorboard/events": "12:00",
        "config.yaml": "name: x",
        "report.html": "took 3 s",
        "classify/.partial-rows": "half",
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    write_json(root / "classify/metrics.json.provenance.json", {"machine": "a processor", "wall_seconds": 3})
    return root


def test_results_are_listed_without_what_tells_of_time_and_place(tmp_path: Path) -> None:
    results = make_results(tmp_path / "results")
    expected = ["classify/metrics.json", "classify/predictions.parquet", "tables/table1.csv"]
    assert {name: sha256_file(results / name) for name in expected} == result_digests(results)


def test_pictures_count_as_one(tmp_path: Path) -> None:
    pictures = tmp_path / "data" / "pictures" / "noto"
    pictures.mkdir(parents=True)
    (pictures / "ant.png").write_bytes(b"ant")
    assert result_digests(tmp_path) == {"data/pictures": digest(tmp_path / "data" / "pictures")}


def test_written_digests_name_the_machines_and_do_not_list_themselves(tmp_path: Path) -> None:
    results = make_results(tmp_path / "results")
    write_digests(results)
    before = (results / "digests.json").read_bytes()
    write_digests(results)
    assert (results / "digests.json").read_bytes() == before
    assert read_digests(results) == {"files": result_digests(results), "machines": ["a processor"]}


def test_machines_of_parts_are_named_one_by_one(tmp_path: Path) -> None:
    results = make_results(tmp_path / "results")
    write_json(results / "classify/rows.parquet.provenance.json", {"machine": "a processor; another"})
    assert describe_run(results)["machines"] == ["a processor", "another"]


def test_folder_digest_depends_on_names_and_bytes_but_not_on_hidden_files(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    (folder / "noto").mkdir(parents=True)
    (folder / "noto" / "ant.png").write_bytes(b"ant")
    first = digest(folder)
    (folder / ".snakemake_timestamp").touch()
    assert digest(folder) == first
    (folder / "noto" / "ant.png").write_bytes(b"bee")
    assert digest(folder) != first
    (folder / "noto" / "ant.png").write_bytes(b"ant")
    (folder / "noto" / "ant.png").rename(folder / "noto" / "bee.png")
    assert digest(folder) != first


def test_differences_say_what_is_wrong_with_each_name() -> None:
    found = differences({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "9", "d": "4"})
    assert found == {"b": "other bytes", "c": "missing", "d": "not on record"}
