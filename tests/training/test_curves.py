from pathlib import Path

import pandas as pd
import torch

from v2l.training.curves import COLUMNS, Curves


def filled() -> Curves:
    curves = Curves()
    curves.add({"step": 0, "total": 1.5})
    curves.add({"step": 10, "total": 1.25, "discriminator": 0.1})
    return curves


def test_rows_are_written_with_missing_terms_empty(tmp_path: Path) -> None:
    filled().write(tmp_path / "curves.csv")
    frame = pd.read_csv(tmp_path / "curves.csv")
    assert tuple(frame.columns) == COLUMNS
    assert frame["step"].tolist() == [0, 10]
    assert frame["total"].tolist() == [1.5, 1.25]
    assert frame["discriminator"].isna().tolist() == [True, False]
    assert frame["discriminator"][1] == 0.1


def test_tensor_round_trip_is_exact() -> None:
    curves, empty = Curves(), Curves()
    curves.load_tensor(filled().to_tensor())
    assert torch.equal(curves.to_tensor().nan_to_num(-1), filled().to_tensor().nan_to_num(-1))
    curves.load_tensor(empty.to_tensor())
    assert curves.to_tensor().shape == (0, len(COLUMNS))
