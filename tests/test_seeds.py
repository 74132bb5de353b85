import subprocess
import sys

import numpy as np

from v2l.seeds import derive_seed, numpy_generator


def test_same_purpose_draws_the_same_in_any_order() -> None:
    first = numpy_generator(0, "crop", 1, "a").random(3)
    numpy_generator(0, "crop", 2, "b").random(5)
    np.testing.assert_array_equal(numpy_generator(0, "crop", 1, "a").random(3), first)


def test_seed_purpose_and_item_all_matter() -> None:
    seeds = {derive_seed(0, "a", 1), derive_seed(1, "a", 1), derive_seed(0, "b", 1), derive_seed(0, "a", 2)}
    assert len(seeds) == 4
    assert derive_seed(0, "a", "bc") != derive_seed(0, "ab", "c")


def test_seed_fits_torch_and_is_the_same_in_another_process() -> None:
    assert 0 <= derive_seed(7, "x") < 2**63
    code = "from v2l.seeds import derive_seed; print(derive_seed(7, 'x'))"
    assert int(subprocess.check_output([sys.executable, "-c", code])) == derive_seed(7, "x")
