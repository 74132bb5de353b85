import numpy as np
import torch

from v2l.clip.train import fit_head, zero_shot_ranks
from v2l.config.clip import LockedTextConfig

CONFIG = LockedTextConfig(hidden=32, epochs=30, batch_size=16, dropout=0.0, input_noise=0.1)


def separable(
    num_classes: int = 5, per_class: int = 12, dim: int = 20
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    centres = 3 * torch.randn(num_classes, dim, generator=generator)
    labels = torch.arange(num_classes).repeat_interleave(per_class)
    features = centres[labels] + 0.3 * torch.randn(len(labels), dim, generator=generator)
    class_vectors = torch.nn.functional.normalize(torch.randn(num_classes, 8, generator=generator), dim=-1)
    return features, labels, class_vectors


def test_head_learns_separable_classes_and_leaves_texts_alone() -> None:
    features, labels, class_vectors = separable()
    before = class_vectors.clone()
    torch.manual_seed(0)
    head = fit_head(features, labels, class_vectors, CONFIG, seed=0)
    ranks = zero_shot_ranks(head(features).detach(), labels, class_vectors)
    assert (ranks == 0).mean() > 0.95
    assert torch.equal(class_vectors, before)


def test_same_seed_gives_the_same_head() -> None:
    heads = []
    for _ in range(2):
        torch.manual_seed(3)
        heads.append(fit_head(*separable(), CONFIG, seed=3))
    for one, other in zip(heads[0].state_dict().values(), heads[1].state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_rank_counts_better_classes_one_by_one() -> None:
    generator = np.random.default_rng(0)
    vectors, class_vectors = generator.normal(size=(7, 4)), generator.normal(size=(6, 4))
    labels = generator.integers(0, 6, 7)
    expected = []
    for vector, label in zip(vectors, labels, strict=True):
        scores = [vector @ other for other in class_vectors]
        expected.append(sum(score > scores[label] for score in scores))
    ranks = zero_shot_ranks(torch.tensor(vectors), torch.tensor(labels), torch.tensor(class_vectors))
    assert ranks.tolist() == expected
