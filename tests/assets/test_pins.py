import pytest

from v2l.assets.pins import load_asset, load_assets, load_pin
from v2l.data.concepts import FAMILIES
from v2l.errors import AssetError


def test_unknown_asset_is_refused_with_the_known_ones():
    with pytest.raises(AssetError, match="unknown asset 'clip'; expected one of icons, llm, networks, text_encoder"):
        load_asset("clip")


def test_unknown_archive_is_refused_with_the_known_ones():
    with pytest.raises(AssetError, match=r"unknown archive 'clip\.whl'; expected one of emojibase-data"):
        load_pin("clip.whl")


def test_every_archive_has_a_name_of_its_own():
    pins = [pin for asset in load_assets().values() for pin in asset.packages]
    assert len({pin.archive for pin in pins}) == len(pins) == 13
    assert all(load_pin(pin.archive) == pin for pin in pins)


@pytest.mark.parametrize("asset", sorted(load_assets()))
def test_files_of_an_asset_do_not_overwrite_each_other(asset: str):
    targets = [target for pin in load_asset(asset).packages for target in pin.files.values()]
    assert targets
    assert len(set(targets)) == len(targets)


def test_every_icon_set_has_a_family_and_every_family_its_sets():
    packages = load_asset("icons").packages
    unpacked = {target for pin in packages for target in pin.files.values()}
    assert {f"{name}.json" for name in FAMILIES} <= unpacked
    icon_sets = {pin.name.removeprefix("@iconify-json/") for pin in packages if pin.name.startswith("@iconify")}
    assert icon_sets == set(FAMILIES)
