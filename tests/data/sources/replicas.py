"""Small replicas of the real data sets, with their oddities."""

import io
import json
import struct
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

TENCH, GOLDFISH, CRANE = "n01440764", "n01443537", "n02012849"
# The devkit numbers classes otherwise than in sorted order.
ILSVRC_IDS = {TENCH: 449, GOLDFISH: 450, CRANE: 7}
VAL_WNIDS = (CRANE, TENCH, GOLDFISH, TENCH)
DEVKIT = "ILSVRC2012_devkit_t12/data"
# Orientation 6 and, as horizontal resolution, a text: Pillow reads it and cannot write it.
ODD_EXIF = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack(
    "<HHHL4sHHL4sL", 2, 0x0112, 3, 1, b"\6\0\0\0", 0x011A, 2, 4, b"abc\0", 0
)
NO_EXIF = b"Exif\0\0no TIFF!"


def jpeg(seed: int = 0, mode: str = "RGB", size: tuple[int, int] = (24, 16), orientation: int = 1) -> bytes:
    """A noisy picture; ``orientation``: EXIF 2.32, tag 0x0112."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], bands), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.frombytes(mode, size, pixels.tobytes()).save(file, format="JPEG", exif=exif)
    return file.getvalue()


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "green").save(file, format="PNG")
    return file.getvalue()


TRAIN = {
    TENCH: {
        f"{TENCH}_10026.JPEG": jpeg(1),
        f"{TENCH}_9.JPEG": jpeg(2, "L"),
        f"{TENCH}_18.JPEG": jpeg(3, "CMYK"),
        "readme.txt": b"not a picture",
    },
    CRANE: {f"{CRANE}_2933.JPEG": png(), f"{CRANE}_5.JPEG": jpeg(4, orientation=6), "._hidden.JPEG": b"by macOS"},
}
VAL = {f"ILSVRC2012_val_{number:08d}.JPEG": jpeg(10 + number) for number in range(1, len(VAL_WNIDS) + 1)}


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def tar_bytes(files: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def write_devkit(folder: Path, wnids: Iterable[str] = VAL_WNIDS) -> None:
    """meta.mat as the real one: a struct array of one column, classes first, then synsets above them."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [(number, wnid, "words", "gloss") for wnid, number in ILSVRC_IDS.items()]
    rows += [(1001, "n00001740", "entity", "that which is")]
    columns = [(name, object) for name in ("ILSVRC2012_ID", "WNID", "words", "gloss")]
    savemat(folder / "meta.mat", {"synsets": np.array(rows, dtype=columns)[:, None]})
    lines = "".join(f"{ILSVRC_IDS[wnid]}\n" for wnid in wnids)
    (folder / "ILSVRC2012_validation_ground_truth.txt").write_text(lines)


def imagenet_folders(root: Path) -> Path:
    for wnid, files in TRAIN.items():
        write_files(root / "train" / wnid, files)
    write_files(root / "val", VAL)
    write_devkit(root / DEVKIT)
    return root


def imagenet_tars(root: Path) -> Path:
    train = tar_bytes({"notes.txt": b"", **{f"{wnid}.tar": tar_bytes(files) for wnid, files in TRAIN.items()}})
    archives = {"ILSVRC2012_img_train.tar": train, "ILSVRC2012_img_val.tar": tar_bytes(VAL)}
    write_files(root, archives)
    write_devkit(root / DEVKIT)
    return root


MINI_LISTS = {"train": (TENCH,), "val": (GOLDFISH,), "test": (CRANE,)}


def mini_imagenet(
    root: Path,
    class_folders: bool = False,
    lists: Mapping[str, Iterable[str]] = MINI_LISTS,
    numbers: Iterable[int] = (5, 12),
) -> Path:
    """lists: the classes of each. numbers: of the pictures that every class has."""
    for group, wnids in lists.items():
        rows = ""
        for wnid in wnids:
            names = [f"{wnid}{number:08d}.jpg" for number in numbers]
            folder = root / "images" / wnid if class_folders else root / "images"
            write_files(folder, {name: jpeg(seed) for seed, name in enumerate(names)})
            rows += "".join(f"{name},{wnid}\n" for name in names)
        (root / f"{group}.csv").write_text(f"filename,label\n{rows}")
    return root


CocoIds = Mapping[str, Iterable[int]]
COCO_IDS: CocoIds = {"train": (9, 25), "val": (42,)}
CAPTIONS = {
    9: ["A café: “déjeuner” on a tray. \n", " Bread and fruit"],
    25: ["A giraffe.", "Two giraffes?"],
    42: ["A shoe rack 👟", "Dog on shoes."],
}


def coco_name(split: str, year: int, number: int) -> str:
    return f"COCO_{split}2014_{number:012d}.jpg" if year == 2014 else f"{number:012d}.jpg"


def coco(root: Path, year: int = 2014, ids: CocoIds = COCO_IDS) -> Path:
    for split, numbers in ids.items():
        folder = f"{split}{year}"
        write_files(root / folder, {coco_name(split, year, number): jpeg(number) for number in numbers})
        captions = [
            (number, text)
            for number in sorted(numbers, reverse=True)
            for text in CAPTIONS.get(number, (f"Picture {number}.",))
        ]
        tree = {
            "info": {},
            "images": [{"id": number, "file_name": coco_name(split, year, number)} for number in numbers],
            "annotations": [
                {"image_id": number, "id": place, "caption": text} for place, (number, text) in enumerate(captions)
            ],
        }
        write_json(root / "annotations" / f"captions_{folder}.json", tree)
    return root


ANSWERS = ["yes", "no.", "2", "it's red & blue", "café", "yes", "yes", '"no"', "yes", "10:30"]


def vqa_trees(numbers: Iterable[int]) -> tuple[dict, dict]:
    """Questions and annotations; the answers are listed in another order than by answer_id."""
    questions, annotations = [], []
    for number in numbers:
        for place, answer_type in reversed(list(enumerate(("yes/no", "number", "other")))):
            ids = {"question_id": number * 1000 + place, "image_id": number}
            questions.append({**ids, "question": f"Is this {number}?"})
            answers = [
                {"answer": text, "answer_confidence": "maybe", "answer_id": answer_id}
                for answer_id, text in enumerate(ANSWERS, start=1)
            ]
            annotations.append({**ids, "answers": answers[::-1], "answer_type": answer_type, "question_type": "is"})
    return {"questions": questions, "license": {}}, {"annotations": annotations[::-1]}


def vqa_v2(root: Path, ids: CocoIds = COCO_IDS) -> Path:
    for split, numbers in ids.items():
        questions, annotations = vqa_trees(numbers)
        write_json(root / f"v2_OpenEnded_mscoco_{split}2014_questions.json", questions)
        write_json(root / f"v2_mscoco_{split}2014_annotations.json", annotations)
    return root
