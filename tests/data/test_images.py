import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision import transforms

from v2l.data.images import fit_square, load_pictures, random_crop, read_image, to_tensor, upright
from v2l.data.sources.locator import member_locator
from v2l.errors import DataError

from .sources.replicas import NO_EXIF, ODD_EXIF

RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)


def gradient(width: int, height: int) -> Image.Image:
    """Red grows to the right, green downwards, so a pixel tells where it came from."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[..., 0] = np.arange(width)[None]
    pixels[..., 1] = np.arange(height)[:, None]
    return Image.fromarray(pixels)


def oriented(path: Path, orientation: int) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    gradient(4, 2).save(path, exif=exif)
    return path


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


class TestReadImage:
    def test_greyscale_becomes_three_equal_channels(self, tmp_path: Path):
        Image.new("L", (4, 2), 77).save(tmp_path / "a.png")
        image = read_image(tmp_path / "a.png")
        assert (image.mode, image.size, image.getpixel((3, 1))) == ("RGB", (4, 2), (77, 77, 77))

    def test_sixteen_bit_greyscale_keeps_its_brightness(self, tmp_path: Path):
        Image.fromarray(np.full((2, 2), 0x8042, dtype=np.uint16)).save(tmp_path / "a.png")
        assert read_image(tmp_path / "a.png").getpixel((0, 0)) == (0x80, 0x80, 0x80)

    def test_cmyk_jpeg_is_converted(self, tmp_path: Path):
        Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
        red, green, blue = read_image(tmp_path / "a.jpg").getpixel((8, 8))
        assert red > 250  # JPEG is lossy: within 5 of full
        assert max(green, blue) < 5

    def test_transparent_palette_entry_becomes_white(self, tmp_path: Path):
        image = Image.new("P", (2, 1))
        image.putpalette([*RED, *GREEN])
        image.putdata([0, 1])
        image.save(tmp_path / "a.png", transparency=0)
        assert list(read_image(tmp_path / "a.png").get_flattened_data()) == [WHITE, GREEN]

    def test_half_transparent_red_is_mixed_with_white(self, tmp_path: Path):
        Image.new("RGBA", (1, 1), (*RED, 128)).save(tmp_path / "a.png")
        assert read_image(tmp_path / "a.png").getpixel((0, 0)) == (255, 127, 127)

    def test_content_and_not_the_name_says_the_format(self, tmp_path: Path):
        Image.new("RGB", (2, 2), GREEN).save(tmp_path / "n02105855_2933.JPEG", format="PNG")
        assert read_image(tmp_path / "n02105855_2933.JPEG").getpixel((0, 0)) == GREEN

    @pytest.mark.parametrize(
        ("orientation", "size", "corner"),
        [(1, (4, 2), (0, 0)), (2, (4, 2), (3, 0)), (3, (4, 2), (3, 1)), (6, (2, 4), (0, 1)), (8, (2, 4), (3, 0))],
    )
    def test_exif_orientation_is_applied(self, tmp_path: Path, orientation: int, size: tuple, corner: tuple):
        """``corner``: column and row of the stored pixel that has to be shown top left (EXIF 2.32, tag 0x0112)."""
        image = read_image(oriented(tmp_path / "a.png", orientation))
        assert image.size == size
        assert image.getpixel((0, 0)) == gradient(4, 2).getpixel(corner)

    @pytest.mark.parametrize("orientation", range(10))
    def test_every_orientation_is_shown_as_by_pillow(self, tmp_path: Path, orientation: int):
        path = oriented(tmp_path / "a.png", orientation)
        with Image.open(path) as image:
            expected = np.array(ImageOps.exif_transpose(image))
        assert np.array_equal(np.array(read_image(path)), expected)

    def test_an_odd_tag_costs_neither_the_picture_nor_its_orientation(self, tmp_path: Path):
        for name, kept in {"plain": {}, "odd": {"exif": ODD_EXIF}}.items():
            gradient(16, 8).save(tmp_path / f"{name}.jpg", **kept)
        plain, odd = (np.array(read_image(tmp_path / f"{name}.jpg")) for name in ("plain", "odd"))
        assert np.array_equal(odd, np.rot90(plain, -1))

    def test_exif_that_is_none_does_not_cost_the_picture(self, tmp_path: Path):
        gradient(16, 8).save(tmp_path / "a.jpg", exif=NO_EXIF, dpi=(72, 72))  # with dpi Pillow opens it unread
        assert read_image(tmp_path / "a.jpg").size == (16, 8)

    def test_a_turned_picture_is_not_turned_again(self, tmp_path: Path):
        with Image.open(oriented(tmp_path / "a.png", 6)) as image:
            turned = upright(image)
        assert turned.size == (2, 4)
        assert upright(turned) is turned

    def test_broken_exif_does_not_cost_the_picture(self, tmp_path: Path):
        Image.new("RGB", (8, 8), GREEN).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01")
        with pytest.warns(UserWarning, match="EXIF"):
            assert read_image(tmp_path / "a.jpg").size == (8, 8)

    @pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif"])
    def test_truncated_file_is_refused_by_name(self, tmp_path: Path, suffix: str):
        noise(64, 64).save(tmp_path / f"whole.{suffix}")
        content = (tmp_path / f"whole.{suffix}").read_bytes()
        path = tmp_path / f"cut.{suffix}"
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(DataError, match=rf"cut\.{suffix}: not a readable picture"):
            read_image(path)

    @pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"])
    def test_file_that_is_no_picture_is_refused_in_one_line(self, tmp_path: Path, content: bytes):
        (tmp_path / "a.jpg").write_bytes(content)
        with pytest.raises(DataError, match=r"a\.jpg: not a readable picture") as error:
            read_image(tmp_path / "a.jpg")
        assert "\n" not in str(error.value)

    def test_missing_file_is_refused_by_name(self, tmp_path: Path):
        with pytest.raises(DataError, match=r"none\.png: picture not found"):
            read_image(tmp_path / "none.png")


class TestCrops:
    @pytest.mark.parametrize(("width", "height", "left", "top"), [(20, 8, 6, 0), (8, 21, 0, 6), (8, 8, 0, 0)])
    def test_centre_crop_where_nothing_is_resized(self, width: int, height: int, left: int, top: int):
        picture = fit_square(gradient(width, height), 8)
        assert picture.shape == (8, 8, 3)
        assert picture[0, 0].tolist() == [left, top, 0]
        assert picture[7, 7].tolist() == [left + 7, top + 7, 0]

    @pytest.mark.parametrize("size", [24, 60, 96])
    def test_resize_agrees_with_torch(self, size: int):
        """Both are the antialiased cubic (a = -0.5), but Pillow rounds and clips to 8 bits after each of two passes.

        Values near grey are never clipped, and two roundings, the first amplified by at most 1.3, stay below 1.2.
        """
        image = noise(60, 60).point(lambda value: 64 + value // 2)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].double()
        expected = torch.nn.functional.interpolate(pixels, (size, size), mode="bicubic", antialias=True).clamp(0, 255)
        difference = expected[0].permute(1, 2, 0).numpy() - fit_square(image, size).astype(float)
        assert np.abs(difference).max() < 1.2

    @pytest.mark.parametrize(("width", "height"), [(51, 37), (37, 52), (33, 33), (16, 45), (200, 17)])
    def test_centre_crop_is_the_one_clip_is_given(self, width: int, height: int):
        """torchvision's Resize and CenterCrop are the first steps of CLIP's preprocessing; odd sizes show rounding."""
        image = noise(width, height)
        resized = transforms.functional.resize(image, 16, transforms.InterpolationMode.BICUBIC)
        assert np.array_equal(fit_square(image, 16), np.array(transforms.functional.center_crop(resized, 16)))

    def test_short_side_is_resized_and_the_long_one_follows(self):
        assert fit_square(noise(100, 37), 16).shape == (16, 16, 3)
        # A left half in red: the centre crop of the resized 32 x 16 picture keeps columns 8 to 24.
        image = Image.new("RGB", (64, 32), WHITE)
        image.paste(RED, (0, 0, 32, 32))
        picture = fit_square(image, 16)
        assert picture[8, 4].tolist() == list(RED)
        assert picture[8, 11].tolist() == list(WHITE)

    def test_random_crop_reaches_every_position_of_the_long_side(self):
        image = gradient(12, 8)
        lefts = {int(random_crop(image, 8, np.random.default_rng(seed))[0, 0, 0]) for seed in range(100)}
        assert lefts == {0, 1, 2, 3, 4}

    def test_random_crop_repeats_with_its_generator(self):
        image = noise(40, 24)
        crops = [random_crop(image, 16, np.random.default_rng(3)) for _ in range(2)]
        assert np.array_equal(*crops)


def test_load_pictures_finds_paths_beside_the_manifest_and_absolute_ones(tmp_path: Path):
    (tmp_path / "run" / "pictures").mkdir(parents=True)
    Image.new("RGB", (9, 6), RED).save(tmp_path / "run" / "pictures" / "a.png")
    Image.new("L", (4, 4), 9).save(tmp_path / "b.png")
    pictures = load_pictures(tmp_path / "run" / "manifest.parquet", ["pictures/a.png", str(tmp_path / "b.png")], 4)
    assert (pictures.shape, pictures.dtype) == ((2, 4, 4, 3), np.uint8)
    assert pictures[:, 2, 2].tolist() == [list(RED), [9, 9, 9]]


def test_load_pictures_reads_members_of_an_archive_by_their_locators(tmp_path: Path):
    content = io.BytesIO()
    Image.new("RGB", (4, 4), GREEN).save(content, format="PNG")
    archive, size = tmp_path / "a.tar", len(content.getvalue())
    archive.write_bytes(b"x" * 512 + content.getvalue())
    (picture,) = load_pictures(tmp_path / "manifest.parquet", [member_locator(archive, 512, size)], 4)
    assert picture[2, 2].tolist() == list(GREEN)
    with pytest.raises(DataError, match=r"a\.tar#520\+\d+: not a readable picture \(archive ends 8 bytes before"):
        load_pictures(tmp_path / "manifest.parquet", [member_locator(archive, 520, size)], 4)


def test_to_tensor_moves_channels_first_and_scales_to_one():
    pictures = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 3), dtype=np.uint8)
    tensor = to_tensor(pictures)
    assert (tensor.shape, tensor.dtype) == ((2, 3, 3, 5), torch.float32)
    for b, y, x, c in np.ndindex(2, 3, 5, 3):
        assert tensor[b, c, y, x].item() == np.float32(pictures[b, y, x, c]) / np.float32(255)
