"""Features of torchmetrics' FID, with weights of a file; here random ones, as the real ones are not embedded."""

from pathlib import Path

import pytest
import torch
from torchmetrics.image.fid import FrechetInceptionDistance

from v2l.errors import ArtifactError
from v2l.models.inception import load_inception


def test_features_are_those_of_fid(inception_file: Path) -> None:
    """The distance of features is torchmetrics' too: tests/metrics/test_frechet.py."""
    pictures = torch.randint(256, (3, 3, 40, 40), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    fid = FrechetInceptionDistance(feature=2048, feature_extractor_weights_path=str(inception_file))
    with torch.inference_mode():
        features, expected = load_inception(inception_file)(pictures / 255), fid.inception(pictures)
    assert features.shape == (3, 2048)
    assert torch.equal(features, expected)


def test_weights_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"none\.pth: file not found; frechet\.weights names Inception's weights"):
        load_inception(tmp_path / "none.pth")
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"no weights")
    with pytest.raises(ArtifactError, match=r"broken\.pth: no Inception weights that can be loaded \(") as raised:
        load_inception(broken)
    assert "\n" not in str(raised.value)
