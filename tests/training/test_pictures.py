from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from v2l.data.images import fit_square
from v2l.errors import DataError
from v2l.training.pictures import TrainingPictures, epoch_order, read_training_pictures

from .conftest import draw_picture


def wide_pictures(seed: int = 0, names: str = "abcde") -> TrainingPictures:
    """Pictures of 4 x 9 pixels; every pixel tells its picture and column."""
    columns = np.arange(9, dtype=np.uint8)[None, :, None].repeat(4, axis=0).repeat(3, axis=2)
    return TrainingPictures([columns + 20 * index for index in range(len(names))], list(names), 4, seed)


def test_every_picture_is_seen_once_an_epoch_in_a_new_order() -> None:
    pictures = wide_pictures()
    rows = np.concatenate([pictures.batch(step, 2)[1] for step in range(10)]).reshape(4, 5)  # 20 draws, 4 epochs
    assert all(sorted(epoch) == list(range(5)) for epoch in rows.tolist())
    assert len({tuple(epoch) for epoch in rows.tolist()}) > 1
    assert rows[2].tolist() == epoch_order(5, 0, 2).tolist()


def test_batch_depends_on_seed_and_step_alone() -> None:
    first, again, other = wide_pictures(), wide_pictures(), wide_pictures(seed=1)
    first.batch(0, 4)
    for step in (7, 3):
        (pixels, rows), (same_pixels, same_rows) = first.batch(step, 4), again.batch(step, 4)
        assert np.array_equal(pixels, same_pixels)
        assert np.array_equal(rows, same_rows)
    assert not all(np.array_equal(first.batch(step, 4)[1], other.batch(step, 4)[1]) for step in range(5))


def test_same_pictures_come_at_any_batch_size() -> None:
    pictures = wide_pictures()
    large, small = pictures.batch(1, 4), [pictures.batch(step, 2) for step in (2, 3)]
    assert np.array_equal(large[0], np.concatenate([pixels for pixels, _ in small]))
    assert np.array_equal(large[1], np.concatenate([rows for _, rows in small]))


def test_shares_of_a_batch_make_it_up() -> None:
    pictures = wide_pictures()
    whole, shares = pictures.batch(2, 4), [pictures.batch(2, 4, share) for share in (slice(0, 2), slice(2, 4))]
    for place in (0, 1):
        assert np.array_equal(whole[place], np.concatenate([share[place] for share in shares]))


def test_crop_moves_along_the_long_side_from_epoch_to_epoch() -> None:
    pictures = wide_pictures(names="a")
    offsets = [int(pictures.batch(epoch, 1)[0][0, 0, 0, 0]) for epoch in range(40)]
    assert set(offsets) == set(range(6))


def test_crop_of_a_square_picture_is_the_picture() -> None:
    square = draw_picture(0, 8)
    assert np.array_equal(TrainingPictures([square], ["a"], 8, 0).batch(5, 1)[0][0], square)


def test_pictures_are_kept_with_their_short_side_at_the_training_size(tmp_path: Path) -> None:
    Image.fromarray(draw_picture(0, 40)).save(tmp_path / "square.png")
    Image.fromarray(draw_picture(1, 40)[:20]).save(tmp_path / "wide.png")
    pictures = read_training_pictures(
        tmp_path / "m.parquet", ["square.png", "wide.png"], ["a", "b"], 10, 0, memory_gb=2
    )
    assert pictures.kept
    assert [picture.shape for picture in pictures.pictures] == [(10, 10, 3), (10, 20, 3)]
    assert np.array_equal(pictures.pictures[0], fit_square(Image.fromarray(draw_picture(0, 40)), 10))


@pytest.fixture
def read(tmp_path: Path):
    """Reads seven noisy pictures of 24 pixels' short side, of many shapes and two formats, at 16 pixels."""
    sizes = [(24, 24), (24, 40), (50, 24), (24, 97), (24, 25), (90, 24), (32, 24)]
    names = [f"{row}.{'jpg' if row % 2 else 'png'}" for row in range(len(sizes))]
    for row, (name, (height, width)) in enumerate(zip(names, sizes, strict=True)):
        noise = np.random.default_rng(row).integers(256, size=(height, width, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / name)

    def read_with(memory_gb: float) -> TrainingPictures:
        return read_training_pictures(tmp_path / "m.parquet", names, list("abcdefg"), 16, 0, memory_gb)

    return read_with


def test_pictures_are_kept_as_long_as_their_estimate_fits(read) -> None:
    needed = 7 * 16 * 16 * 3 * 4 / 3 / 1e9
    assert read(needed * 1.001).kept
    for memory_gb in (0, needed * 0.999):
        pictures = read(memory_gb)
        assert not pictures.kept
        assert not any(isinstance(picture, np.ndarray) for picture in pictures.pictures)
        assert len(pictures) == 7


@pytest.mark.parametrize("share", [slice(None), slice(2, 4)])
@pytest.mark.parametrize("memory_gb", [0, 2])
@pytest.mark.parametrize("start", [0, 5])
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_same_wherever_and_whenever_pictures_are_decoded(
    read, share: slice, memory_gb: float, start: int, workers: int
) -> None:
    """Ten steps of four pictures: five epochs and more; a resumed run begins at the fifth."""
    steps = range(start, 10)
    kept = read(2)
    expected = [kept.batch(step, 4, share) for step in steps]
    found = list(read(memory_gb).batches(steps, 4, share, workers))
    for (pixels, rows), (other_pixels, other_rows) in zip(found, expected, strict=True):
        assert pixels.dtype == other_pixels.dtype == np.uint8
        assert rows.dtype == other_rows.dtype
        assert np.array_equal(pixels, other_pixels)
        assert np.array_equal(rows, other_rows)


def test_no_step_left_is_no_batch(read) -> None:
    assert list(read(0).batches(range(3, 3), 4, workers=2)) == []


def test_unreadable_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"broken\.png"):
        read_training_pictures(tmp_path / "m.parquet", ["broken.png"], ["a"], 10, 0, memory_gb=2)


@pytest.mark.parametrize("workers", [0, 2])
def test_unreadable_picture_that_is_not_kept_is_named_when_it_is_drawn(read, workers: int) -> None:
    pictures = read(0)
    last = int(epoch_order(7, 0, 0)[-1])
    broken = Path(pictures.pictures[last])
    broken.write_bytes(b"not a picture")
    batches = pictures.batches(range(7), 1, workers=workers)
    assert [int(next(batches)[1][0]) for _ in range(6)] == epoch_order(7, 0, 0)[:6].tolist()
    with pytest.raises(DataError) as caught:
        next(batches)
    message = str(caught.value)
    assert message.startswith(f"{broken}: not a readable picture")
    assert "\n" not in message
