"""A stage in parts, by itself: what becomes of the parts, also where a run is cut short."""

from pathlib import Path

import pytest

from v2l.artifacts import sha256_file

from .conftest import Checkout, make_checkout

WHOLE = "results/smoke/clip/trunk_features.safetensors"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, repository: Path, assets: Path) -> Checkout:
    """Has put the parts of one stage together."""
    checkout = make_checkout(tmp_path_factory.mktemp("parts"), repository, assets)
    checkout.edit("runtime.shards", {"trunk_features": 2})
    checkout.snakemake("--", WHOLE)
    return checkout


def parts(checkout: Checkout) -> set[str]:
    return {path.name for path in (checkout.results / "clip" / "shards").glob("*")}


ALL = {f"{part}-of-2.safetensors{suffix}" for part in (1, 2) for suffix in ("", ".provenance.json")}


def test_parts_and_their_provenance_go_once_they_are_put_together(checkout: Checkout) -> None:
    assert parts(checkout) == set()
    assert "Nothing to be done" in checkout.snakemake("-n", "--", WHOLE).stdout


def test_parts_stay_until_a_merge_succeeds_and_what_a_kill_left_of_them_goes_with_the_next_run(checkout: Checkout):
    whole = checkout.root / WHOLE
    before = sha256_file(whole)
    whole.unlink()
    obstacle = whole.with_name(f".partial-{whole.name}")
    obstacle.mkdir()
    assert checkout.snakemake("--", WHOLE, check=False).returncode != 0
    assert parts(checkout) == ALL
    # A kill between the merge and the removal of the parts, in the middle of it.
    checkout.snakemake("--notemp", "--", WHOLE)
    assert sha256_file(whole) == before
    assert parts(checkout) == ALL
    (checkout.results / "clip" / "shards" / "1-of-2.safetensors").unlink()
    assert "Nothing to be done" in checkout.snakemake("-n", "--", WHOLE).stdout
    checkout.snakemake("--", "results/smoke/clip/head.safetensors")
    assert parts(checkout) == set()
    assert sha256_file(whole) == before
