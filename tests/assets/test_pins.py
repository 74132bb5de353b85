import pytest

from v2l.assets.pins import load_pins
from v2l.data.concepts import FAMILIES
from v2l.errors import AssetError


def test_unknown_asset_is_refused_with_the_known_ones():
    with pytest.raises(AssetError, match="unknown asset 'clip'; expected one of icons, llm, networks, text_encoder"):
        load_pins("clip")


@pytest.mark.parametrize("asset", ["icons", "llm", "networks", "text_encoder"])
def test_files_of_an_asset_do_not_overwrite_each_other(asset: str):
    targets = [target for pin in load_pins(asset) for target in pin.files.values()]
    assert targets
    assert len(set(targets)) == len(targets)


def test_every_icon_set_has_a_family_and_every_family_its_sets():
    fetched = {target for pin in load_pins("icons") for target in pin.files.values()}
    assert {f"{name}.json" for name in FAMILIES} <= fetched
    icon_sets = {
        pin.name.removeprefix("@iconify-json/") for pin in load_pins("icons") if pin.name.startswith("@iconify")
    }
    assert icon_sets == set(FAMILIES)
