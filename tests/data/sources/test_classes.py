from pathlib import Path

import timm
from torchvision.models import ResNet18_Weights

from v2l.data.sources.classes import WORDNET_ID, imagenet_classes

INFO = Path(timm.__file__).parent / "data" / "_info"
RENAMED = {"n02012849": "crane bird", "n03710721": "maillot tank suit", "n02113186": "Cardigan Welsh corgi"}


def test_there_are_a_thousand_sorted_wordnet_ids_numbered_in_their_order():
    classes = imagenet_classes()
    assert list(classes) == sorted(classes)
    assert len(classes) == 1000
    assert all(WORDNET_ID.fullmatch(wnid) for wnid in classes)
    assert [each.class_id for each in classes.values()] == list(range(1000))


def test_ids_are_those_that_timm_ships_in_the_order_of_the_model_outputs():
    assert list(imagenet_classes()) == (INFO / "imagenet_synsets.txt").read_text().split()


def test_names_are_first_lemmas_but_for_three():
    lines = (INFO / "imagenet_synset_to_lemma.txt").read_text(encoding="utf-8").splitlines()
    first = {wnid: lemmas.split(",")[0].strip() for wnid, _, lemmas in (line.partition("\t") for line in lines)}
    expected = {wnid: RENAMED.get(wnid, first[wnid]) for wnid in imagenet_classes()}
    assert {wnid: each.name for wnid, each in imagenet_classes().items()} == expected


def test_names_agree_with_torchvision_but_for_one():
    names = [each.name for each in imagenet_classes().values()]
    listed = [
        "Cardigan Welsh corgi" if name == "Cardigan" else name for name in ResNet18_Weights.DEFAULT.meta["categories"]
    ]
    assert names == listed


def test_no_two_names_are_equal_even_without_case():
    names = [each.name.casefold() for each in imagenet_classes().values()]
    assert len(set(names)) == 1000
    assert all(name == " ".join(name.split()) != "" for name in names)


def test_every_class_of_mini_imagenet_is_among_them():
    assert set((INFO / "mini_imagenet_synsets.txt").read_text().split()) <= imagenet_classes().keys()
