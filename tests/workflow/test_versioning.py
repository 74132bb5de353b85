"""The suite under git and DVC: a run on record, a folder as remote, and what a clone can do with it."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from v2l.artifacts import read_json, sha256_file, write_json

from .conftest import PASSING, Checkout

CONFIG = ("--config", "config/smoke.yaml")
DRAWN = {"make_tables", "make_figures", "report"}
IDENTITY = {f"GIT_{who}_{what}": "t@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
NO_TORCH = "raise ImportError('torch is not wanted here')\n"


def git(checkout: Checkout, *words: str) -> None:
    checkout.run("git", *words, **IDENTITY)


@pytest.fixture(scope="module")
def recorded(smoke: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The finished smoke run in a git repository, on record, its artifacts pushed to a folder."""
    root = tmp_path_factory.mktemp("recorded") / "suite"
    shutil.copytree(smoke.root, root, symlinks=True, ignore=PASSING)
    checkout = Checkout(root)
    ignored = root / ".gitignore"
    ignored.write_text(ignored.read_text().replace("!/results/demo/\n", "!/results/demo/\n!/results/smoke/\n"))
    git(checkout, "init", "-q")
    checkout.run("v2l", "pipeline", *CONFIG)
    git(checkout, "add", "-A")
    git(checkout, "commit", "-qm", "code")
    checkout.run("v2l", "record", *CONFIG)
    checkout.run("dvc", "remote", "add", "-d", "-q", "store", str(root.parent / "remote"))
    git(checkout, "add", "-A")
    git(checkout, "commit", "-qm", "a run on record")
    checkout.run("dvc", "push", "-q")
    return checkout


def clone_of(recorded: Checkout, root: Path, pull: bool = True) -> Checkout:
    subprocess.run(["git", "clone", "-q", str(recorded.root), str(root)], check=True)
    (root / ".venv").symlink_to((recorded.root / ".venv").resolve())
    clone = Checkout(root)
    if pull:
        clone.run("dvc", "pull", "-q")
    return clone


@pytest.fixture(scope="module")
def pulled(recorded: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A clone with all artifacts; tests leave it as it is, but for Snakemake's records."""
    return clone_of(recorded, tmp_path_factory.mktemp("clone") / "suite")


@pytest.fixture
def clone(recorded: Checkout, tmp_path: Path) -> Checkout:
    """A clone with all artifacts that a test may change."""
    return clone_of(recorded, tmp_path / "suite")


def test_recorded_run_is_clean_for_dvc_and_git(recorded: Checkout) -> None:
    assert "up to date" in recorded.run("dvc", "status").stdout
    assert recorded.run("git", "status", "--porcelain").stdout == ""
    assert "Data and pipelines are up to date" in recorded.run("dvc", "repro").stdout
    tracked = recorded.run("git", "ls-files", "results").stdout.split()
    assert {"results/smoke/tables/table1.md", "results/smoke/figures/fig7.png"} <= set(tracked)
    assert not [name for name in tracked if name.endswith((".parquet", ".safetensors", ".html"))]


def test_clone_without_pull_has_everything_to_do(recorded: Checkout, smoke: Checkout, tmp_path: Path) -> None:
    bare = clone_of(recorded, tmp_path / "suite", pull=False)
    planned = bare.planned_rules()
    assert {"download", "unpack_llm", "emoji", "train", "classify", "classify_metrics", *DRAWN} <= planned
    assert smoke.planned_rules() == set()


def test_clone_with_pull_has_nothing_to_do(pulled: Checkout) -> None:
    assert pulled.planned_rules() == set()
    assert "up to date" in pulled.run("dvc", "status").stdout


def append(line: str):
    def edit(path: Path) -> None:
        path.write_text(path.read_text() + line)

    return edit


def replace(old: str, new: str):
    def edit(path: Path) -> None:
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return edit


@pytest.mark.parametrize(
    ("file", "edit", "rules"),
    [
        ("config/smoke.yaml", replace("num_words: 4", "num_words: 2"), {"make_figures", "report"}),
        ("src/v2l/experiments/classify.py", append("# x\n"), {"classify", "classify_metrics", "claims"} | DRAWN),
        ("src/v2l/report/page.html", append("<!-- x -->\n"), {"report"}),
        (
            "workflow/rules/language.smk",
            replace('suite.command("semantics")', 'suite.command("semantics") + " "'),
            {"semantics", "semantics_metrics", "claims"} | DRAWN,
        ),
        ("config/published.csv", append("table3,Other,fid,9.99,a source\n"), {"make_tables", "report"}),
    ],
)  # fmt: skip
def test_edit_in_a_clone_runs_again_just_what_depends_on_it(pulled: Checkout, file: str, edit, rules: set) -> None:
    path = pulled.root / file
    before = path.read_bytes()
    edit(path)
    assert pulled.planned_rules() == rules
    path.write_bytes(before)


def test_edited_data_file_runs_again_its_readers_but_not_its_maker(pulled: Checkout) -> None:
    path = pulled.root / "data" / "networks" / "lpips_alex.safetensors"
    before = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(before + b" ")
    planned = pulled.planned_rules()
    assert {"trunk_features", "train", "reconstruct", *DRAWN} <= planned
    assert not planned & {"unpack_networks", "emoji", "expand", "embed", "episodes"}
    path.write_bytes(before)
    assert pulled.planned_rules() == set()


def test_reviewer_gets_all_tables_and_figures_to_the_byte_without_torch(pulled: Checkout, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text(NO_TORCH)
    pulled.snakemake("--quiet", "all", "--", "tables")
    done = pulled.run("v2l", "review", *CONFIG, PYTHONPATH=f"{tmp_path}:{pulled.root / 'src'}")
    assert "all as on record" in done.stdout
    for kind in ("tables", "figures"):
        names = sorted(path.name for path in (pulled.results / kind).iterdir())
        assert names
        for name in names:
            again = pulled.results / "regenerated" / kind / name
            assert again.read_bytes() == (pulled.results / kind / name).read_bytes()


def test_altered_predictions_are_noticed_and_named(clone: Checkout) -> None:
    file = clone.results / "classify" / "predictions_v2l.parquet"
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    failed = clone.snakemake("--", "tables", check=False)
    assert failed.returncode != 0
    assert "stored files are not those on record: classify/predictions_v2l.parquet (other bytes)" in failed.stderr
    (clone.results / "reconstruct" / "rows_vqgan.parquet").unlink()
    failed = clone.run("v2l", "review", *CONFIG, check=False)
    assert failed.returncode == 1
    assert "reconstruct/rows_vqgan.parquet (missing)" in failed.stderr
    assert "classify" in clone.planned_rules()


def test_one_stage_is_run_again_with_what_it_needs_and_nothing_else(clone: Checkout) -> None:
    times = {name: (clone.results / name).stat().st_mtime for name in ("tables/table1.csv", "report.html")}
    clone.edit("semantics.max_images", 8)
    done = clone.run("dvc", "repro", "tables")
    assert "Running stage 'semantics'" in done.stdout
    assert "Running stage 'claims'" in done.stdout
    assert "Running stage 'tables'" in done.stdout
    assert done.stdout.count("Running stage") == 3
    assert (clone.results / "tables" / "table1.csv").stat().st_mtime > times["tables/table1.csv"]
    assert read_json(clone.results / "semantics" / "metrics.json")["clip | order_1 | Kg=5"]["n"] == 8
    assert clone.planned_rules() == {"make_figures", "report"}
    changed = clone.run("dvc", "metrics", "diff").stdout
    assert "semantics/metrics.json" in changed
    # After a plain run, one command brings DVC's lock and the records up to date.
    clone.snakemake()
    clone.run("v2l", "record", *CONFIG)
    assert "up to date" in clone.run("dvc", "status").stdout


def test_experiments_are_run_listed_and_compared(clone: Checkout) -> None:
    words = ("dvc", "exp", "run", "-n", "few-pictures", "-S", "config/smoke.yaml:semantics.max_images=6", "tables")
    clone.run(*words, **IDENTITY)
    shown = clone.run("dvc", "exp", "show", "--csv").stdout
    assert "few-pictures" in shown
    assert "config/smoke.yaml:semantics" in shown or "semantics.max_images" in shown
    assert "clip" in clone.run("dvc", "metrics", "diff").stdout
    plots = clone.run("dvc", "plots", "diff", "HEAD", "-o", "plots").stdout
    assert "index.html" in plots
    page = (clone.root / "plots" / "index.html").read_text()
    assert "Few-shot accuracy" in page
    assert "Loss terms of the tokenizer" in page


def test_missing_remote_is_named_and_the_next_pull_succeeds(recorded: Checkout, tmp_path: Path) -> None:
    bare = clone_of(recorded, tmp_path / "suite", pull=False)
    remote = recorded.root.parent / "remote"
    remote.rename(remote.with_name("away"))
    try:
        failed = bare.run("dvc", "pull", check=False)
        assert failed.returncode != 0
        assert "ERROR" in failed.stderr
        assert not (bare.results / "classify" / "predictions_v2l.parquet").exists()
    finally:
        remote.with_name("away").rename(remote)
    bare.run("dvc", "pull", "-q")
    assert bare.planned_rules() == set()


def test_damaged_cache_object_makes_one_stage_run_again(clone: Checkout) -> None:
    file = clone.results / "semantics" / "rows.parquet"
    lock = (clone.root / "dvc.lock").read_text().split("results/smoke/semantics/rows.parquet")[1]
    md5 = lock.split("md5: ")[1].split()[0]
    damaged = clone.root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
    damaged.chmod(0o644)
    damaged.write_bytes(b"damaged")
    file.unlink()
    clone.run("dvc", "checkout", "-q", check=False)
    assert "semantics" in clone.planned_rules()
    clone.snakemake("--", "results/smoke/semantics/rows.parquet")
    assert clone.planned_rules() == set()
    assert "rows.parquet" not in clone.run("v2l", "review", *CONFIG).stderr


@pytest.mark.parametrize(
    ("command", "how"),
    [
        (("snakemake", "--configfile", "config/smoke.yaml", "--", "caption_metrics"), signal.SIGKILL),
        (("dvc", "repro", "caption"), signal.SIGKILL),
        (("dvc", "repro", "caption"), signal.SIGINT),
    ],
)
def test_killed_run_is_taken_up_by_the_next_one(clone: Checkout, command: tuple[str, ...], how: signal.Signals) -> None:
    before = (clone.results / "caption" / "metrics.json").read_bytes()
    expected = read_json(clone.results / "digests.json")["files"]["caption/predictions.parquet"]
    append("# x\n")(clone.root / "src" / "v2l" / "experiments" / "caption.py")
    program = str(Path(clone.root / ".venv" / "bin" / command[0]))
    running = subprocess.Popen(
        [program, *command[1:]], cwd=clone.root, env=clone.environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job would ignore it
    )  # fmt: skip
    log = clone.results / "logs" / "caption" / "1-of-2.log"
    deadline = time.monotonic() + 300
    while not (log.exists() and "LlamaForCausalLM" in log.read_text()):
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(running.pid, how)
    running.wait()
    predictions = clone.results / "caption" / "predictions.parquet"
    assert not predictions.exists() or sha256_file(predictions) == expected  # an interrupt lets running jobs end
    clone.run(*command)
    assert (clone.results / "caption" / "metrics.json").read_bytes() == before
    clone.run("v2l", "record", *CONFIG)
    assert read_json(clone.results / "digests.json")["files"]["caption/predictions.parquet"] == expected


def test_second_run_in_the_same_folder_is_told_so(recorded: Checkout, tmp_path: Path) -> None:
    clone = clone_of(recorded, tmp_path / "suite", pull=False)
    lock = clone.root / ".snakemake" / "v2l.lock"
    lock.parent.mkdir(exist_ok=True)
    holder = subprocess.Popen(["flock", str(lock), "sleep", "60"])
    try:
        time.sleep(0.5)
        failed = clone.snakemake(check=False)
        assert failed.returncode != 0
        assert "another run is under way in this folder" in failed.stderr
    finally:
        holder.kill()
        holder.wait()


def test_verification_against_the_snapshot(clone: Checkout) -> None:
    assert "have the bytes of the snapshot in HEAD" in clone.run("v2l", "verify", *CONFIG).stdout
    clone.edit("semantics.max_images", 8)
    clone.snakemake("--", "semantics_metrics")
    failed = clone.run("v2l", "verify", *CONFIG, check=False)
    assert failed.returncode == 1
    assert "semantics: clip / order_1 / Kg=5" in failed.stdout
    assert "same machine type: the bytes should be the same" in failed.stdout


def test_torn_record_is_refused_by_name(recorded: Checkout, tmp_path: Path) -> None:
    clone = clone_of(recorded, tmp_path / "suite", pull=False)
    write_json(clone.results / "digests.json", {})
    (clone.results / "snakemake.json").write_text("[{")
    failed = clone.snakemake("-n", check=False)
    assert failed.returncode != 0
    assert "results/smoke/snakemake.json: not valid JSON" in failed.stdout + failed.stderr
