import json
import os
import pickle
from pathlib import Path

import gguf
import lpips
import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from v2l.artifacts import read_arrays
from v2l.assets.convert import TORCHVISION_CONVOLUTIONS, convert_gguf, convert_perceptual, read_pickled_arrays
from v2l.errors import AssetError

WIDTHS = {"vgg16": (64, 128, 256, 512, 512), "alexnet": (64, 192, 384, 256, 256)}


class Command:
    """Unpickling one with the standard unpickler runs a shell command."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


class TestReadPickledArrays:
    def test_nested_arrays_come_back_by_path(self, tmp_path: Path):
        kernel = np.arange(6, dtype=np.float32).reshape(2, 3)
        (tmp_path / "a.ckpt").write_bytes(pickle.dumps({"Conv_0": {"kernel": kernel, "bias": kernel[0]}}, protocol=3))
        arrays = read_pickled_arrays(tmp_path / "a.ckpt")
        assert list(arrays) == ["Conv_0/kernel", "Conv_0/bias"]
        assert np.array_equal(arrays["Conv_0/kernel"], kernel)

    def test_pickle_that_would_run_a_command_is_refused_and_runs_nothing(self, tmp_path: Path):
        (tmp_path / "a.ckpt").write_bytes(pickle.dumps({"Conv_0": Command(tmp_path / "was-here")}))
        with pytest.raises(AssetError, match=r"a\.ckpt: refused \(it asks for posix\.system; only NumPy arrays"):
            read_pickled_arrays(tmp_path / "a.ckpt")
        assert not (tmp_path / "was-here").exists()

    @pytest.mark.parametrize(
        "value", [np.save, np.float32, torch.zeros(1), Path("a")], ids=lambda value: type(value).__name__
    )
    def test_any_other_name_is_refused(self, tmp_path: Path, value: object):
        (tmp_path / "a.ckpt").write_bytes(pickle.dumps({"a": value}))
        with pytest.raises(AssetError, match=r"a\.ckpt: refused \(it asks for .*; only NumPy arrays are admitted\)"):
            read_pickled_arrays(tmp_path / "a.ckpt")

    @pytest.mark.parametrize("value", ["text", [1.0], np.array(["text"]), np.array([{}], dtype=object)])
    def test_anything_but_numbers_is_refused(self, tmp_path: Path, value: object):
        (tmp_path / "a.ckpt").write_bytes(pickle.dumps({"Conv_0": value}, protocol=3))
        with pytest.raises(AssetError, match=r"a\.ckpt: expected numeric arrays, found \w+ at Conv_0"):
            read_pickled_arrays(tmp_path / "a.ckpt")

    def test_truncated_pickle_is_refused_in_one_line(self, tmp_path: Path):
        content = pickle.dumps({"a": np.zeros(1000)}, protocol=3)
        (tmp_path / "a.ckpt").write_bytes(content[:500])
        with pytest.raises(AssetError, match=r"a\.ckpt: refused \(.+\)$"):
            read_pickled_arrays(tmp_path / "a.ckpt")


def tiny_checkpoint(path: Path, trunk: str, num_convolutions: int) -> dict:
    generator = np.random.default_rng(0)
    tree = {
        trunk: {
            f"Conv_{i}": {"kernel": generator.normal(size=(3, 2, 4, 5)), "bias": generator.normal(size=5)}
            for i in range(num_convolutions)
        },
        **{f"NetLinLayer_{i}": {"Conv_0": {"kernel": generator.random((1, 1, 5, 1))}} for i in range(5)},
    }
    path.write_bytes(pickle.dumps(tree, protocol=3))
    return tree


class TestConvertPerceptual:
    @pytest.mark.parametrize("network", ["vgg16", "alexnet"])
    def test_positions_are_those_of_torchvision(self, network: str):
        features = getattr(torchvision.models, network)(weights=None).features
        assert TORCHVISION_CONVOLUTIONS[network] == tuple(i for i, m in enumerate(features) if isinstance(m, nn.Conv2d))

    def test_converted_kernel_convolves_as_the_original(self, tmp_path: Path):
        """Against a loop over positions in the original's layout [height, width, in, out]."""
        tree = tiny_checkpoint(tmp_path / "alexnet.ckpt", "AlexNet_0", 5)
        convert_perceptual(tmp_path / "alexnet.ckpt", tmp_path)
        arrays = read_arrays(tmp_path / "alexnet.safetensors", ["features.8.weight", "features.8.bias"])
        picture = np.random.default_rng(1).normal(size=(6, 7, 4))
        convolution = tree["AlexNet_0"]["Conv_3"]
        expected = np.array(
            [
                [
                    np.einsum("hwi,hwio->o", picture[y : y + 3, x : x + 2], convolution["kernel"]) + convolution["bias"]
                    for x in range(6)
                ]
                for y in range(4)
            ]
        )
        found = torch.nn.functional.conv2d(
            torch.from_numpy(picture).permute(2, 0, 1)[None].float(),
            torch.from_numpy(arrays["features.8.weight"]),
            torch.from_numpy(arrays["features.8.bias"]),
        )
        # float32 against float64, sums of 24 products of size 1: a few times 24 * 6e-8.
        np.testing.assert_allclose(found[0].permute(1, 2, 0).numpy(), expected, atol=1e-5)

    def test_missing_array_is_named(self, tmp_path: Path):
        tiny_checkpoint(tmp_path / "vgg16.ckpt", "VGG16_0", 12)
        with pytest.raises(AssetError, match=r"vgg16\.ckpt: expected array VGG16_0/Conv_12/kernel, found NetLin"):
            convert_perceptual(tmp_path / "vgg16.ckpt", tmp_path)

    @pytest.mark.parametrize("network", ["vgg16", "alexnet"])
    def test_fetched_trunk_fits_torchvision(self, assets: Path, network: str):
        arrays = read_arrays(assets / "networks" / f"{network}.safetensors", [])
        features = getattr(torchvision.models, network)(weights=None).features
        expected = {f"features.{name}": tuple(tensor.shape) for name, tensor in features.state_dict().items()}
        assert {name: array.shape for name, array in arrays.items()} == expected
        assert {array.dtype for array in arrays.values()} == {np.dtype("float32")}

    @pytest.mark.parametrize(("network", "short"), [("vgg16", "vgg"), ("alexnet", "alex")])
    def test_fetched_heads_equal_those_of_the_lpips_package(self, assets: Path, network: str, short: str):
        arrays = read_arrays(assets / "networks" / f"lpips_{short}.safetensors", [f"lin{i}" for i in range(5)])
        assert tuple(array.shape for array in arrays.values()) == tuple((1, width, 1, 1) for width in WIDTHS[network])
        path = Path(lpips.__file__).parent / "weights" / "v0.1" / f"{short}.pth"
        published = torch.load(path, weights_only=True, map_location="cpu")
        for i in range(5):
            assert np.array_equal(arrays[f"lin{i}"], published[f"lin{i}.model.1.weight"].numpy())


WIDTH, FEED_FORWARD, HEADS, KEY_HEADS, LAYERS = 16, 32, 4, 2, 2
TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *bytes_to_unicode().values(), "an", "ant"]


def write_tiny_gguf(path: Path, tied: bool) -> None:
    """A Llama model of random weights with a byte-level tokenizer of one merged word.

    tied: without an output layer of its own, as in small models.
    """
    generator = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3] * 3 + [1] * (len(TOKENS) - 3))
    writer.add_token_merges(["a n", "an t"])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)

    def add(name: str, *shape: int) -> None:
        writer.add_tensor(f"{name}.weight", generator.normal(0, 0.5, shape).astype(np.float32))

    add("token_embd", len(TOKENS), WIDTH)
    for layer in range(LAYERS):
        for name, *shape in (
            ("attn_q", WIDTH, WIDTH),
            ("attn_k", WIDTH * KEY_HEADS // HEADS, WIDTH),
            ("attn_v", WIDTH * KEY_HEADS // HEADS, WIDTH),
            ("attn_output", WIDTH, WIDTH),
            ("ffn_gate", FEED_FORWARD, WIDTH),
            ("ffn_up", FEED_FORWARD, WIDTH),
            ("ffn_down", WIDTH, FEED_FORWARD),
            ("attn_norm", WIDTH),
            ("ffn_norm", WIDTH),
        ):
            add(f"blk.{layer}.{name}", *shape)
    add("output_norm", WIDTH)
    if not tied:
        add("output", len(TOKENS), WIDTH)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class TestConvertGguf:
    @pytest.mark.parametrize("tied", [True, False])
    def test_folder_gives_the_same_logits_and_tokens(self, tmp_path: Path, tied: bool, capfd: pytest.CaptureFixture):
        write_tiny_gguf(tmp_path / "model.gguf", tied)
        (tmp_path / "out").mkdir()
        capfd.readouterr()
        convert_gguf(tmp_path / "model.gguf", tmp_path / "out")
        assert "GGUF" not in capfd.readouterr().err  # no progress bar

        original = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="model.gguf", dtype=torch.float32)
        converted = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
        ids = torch.arange(20)[None]
        with torch.inference_mode():
            assert torch.equal(converted(ids).logits, original(ids).logits)
        assert "quantization_config" not in json.loads((tmp_path / "out" / "config.json").read_text())
        arrays = read_arrays(tmp_path / "out" / "model.safetensors", ["model.embed_tokens.weight"])
        assert ("lm_head.weight" in arrays) is not tied

        tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
        assert tokenizer("ant", add_special_tokens=False).input_ids == [TOKENS.index("ant")]
        assert tokenizer.decode(tokenizer("an ant, été", add_special_tokens=False).input_ids) == "an ant, été"

    def test_two_conversions_write_the_same_bytes(self, tmp_path: Path):
        write_tiny_gguf(tmp_path / "model.gguf", tied=True)
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            convert_gguf(tmp_path / "model.gguf", tmp_path / name)
        names = sorted(path.name for path in (tmp_path / "one").iterdir())
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(names)
        for name in names:
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()

    def test_fetched_model_speaks_english(self, assets: Path):
        model = AutoModelForCausalLM.from_pretrained(assets / "llm")
        tokenizer = AutoTokenizer.from_pretrained(assets / "llm")
        assert model.config.vocab_size == len(tokenizer) == 49_152
        assert model.dtype == torch.float32
        assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
        prompt = tokenizer("The capital of France is", return_tensors="pt")
        with torch.inference_mode():
            likeliest = model(**prompt).logits[0, -1].argmax()
        assert tokenizer.decode(likeliest) == " Paris"
