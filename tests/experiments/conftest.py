from pathlib import Path

import pytest

from v2l.config.llm import LlmConfig

from .random_llm import write_llm


@pytest.fixture(scope="session")
def random_llm(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> LlmConfig:
    return write_llm(tmp_path_factory.mktemp("llm"), assets)
