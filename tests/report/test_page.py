"""The page, read as text and through a real browser."""

import json
import os
import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from v2l.artifacts import read_json
from v2l.errors import ArtifactError
from v2l.report.page import flatten, headlines

from .conftest import TASKS

SECTIONS = ["Headline numbers", "Claims of the paper", "Figures", "Tables", "Tracing a number", "Settings and cost"]
# Run inside the page once all is loaded; what it finds is left where --dump-dom shows it.
PROBE = """<script>addEventListener("load", () => {
  const found = {
    headings: [...document.querySelectorAll("h2")].map(item => item.innerText),
    widths: [...document.images].map(item => item.naturalWidth),
    overflow: document.documentElement.scrollWidth - innerWidth,
    outside: [...document.querySelectorAll("[src],link[href],a[href]")].map(
      item => item.getAttribute("src") || item.getAttribute("href")).filter(item => !/^(data:|#)/.test(item)),
  };
  document.body.dataset.probe = JSON.stringify(found);
})</script></body>"""


@pytest.fixture
def report(results):
    return results / "report.html"


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Runs headless Chromium on a file with a profile of its own; returns what it prints."""
    command = shutil.which("chromium") or shutil.which("google-chrome")
    if command is None and "CI" not in os.environ:
        pytest.skip("the page is looked at in a real browser where there is one: apt-get install chromium")

    def run(file, *options):
        profile = tmp_path_factory.mktemp("profile")
        arguments = [
            command, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
            f"--user-data-dir={profile}", *options, file.as_uri(),
        ]  # fmt: skip
        return subprocess.run(arguments, check=True, capture_output=True, text=True, timeout=120).stdout

    return run


@pytest.mark.parametrize("width", [1200, 500])
def test_browser_shows_all_sections_and_pictures_without_sideways_scrolling(report, browser, tmp_path, width):
    probed = tmp_path / "probed.html"
    probed.write_text(report.read_text().replace("</body>", PROBE))
    dom = browser(probed, f"--window-size={width},900", "--virtual-time-budget=10000", "--dump-dom")
    found = json.loads(unescape(re.search(r'data-probe="([^"]*)"', dom)[1]))
    assert found["headings"] == SECTIONS
    assert len(found["widths"]) == 2
    assert min(found["widths"]) > 1000
    assert found["overflow"] <= 0
    assert found["outside"] == []


def test_screenshot_is_not_blank(report, browser, tmp_path):
    shot = tmp_path / "shot.png"
    browser(report, "--window-size=1000,1400", f"--screenshot={shot}")
    with Image.open(shot) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape == (1400, 1000, 3)
    # Text, panels and a figure: many colours, and ink in every quarter of the height.
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100
    for quarter in np.array_split(pixels, 4):
        assert quarter.std() > 5


def test_every_table_cell_and_caption_is_on_the_page(report, results):
    text = unescape(report.read_text())
    for table in read_json(results / "tables/index.json"):
        assert table["caption"] in text
        for cell in table["cells"]:
            assert f">{cell['text'].split(' [')[0]}<" in text
            if cell["rows"]:
                assert f"{cell['metrics_file']}: {cell['metric_key']}; {cell['rows']['file']}" in text
    for figure in read_json(results / "figures/index.json"):
        assert figure["caption"] in text


def test_claims_come_before_figures_with_their_count_and_contradicted_ones_marked(report, results):
    text = unescape(report.read_text())
    records = read_json(results / "claims/claims.json")
    supported = sum(claim["verdict"] == "supported" for claim in records)
    count = f"<strong>{supported} supported, 2 contradicted, "
    assert text.index('id="claims"') < text.index(count) < text.index('id="figures"')
    cells = re.findall(r'title="claims/claims\.json: (\w+); ([^"]*)" class="verdict ([\w-]+)">([\w ]+)<', text)
    verdicts = {name: (place, verdict) for name, _, place, verdict in cells}
    assert len(cells) == len(records)
    assert verdicts["few_shot_beats_spae"] == ("contradicted", "contradicted")
    assert verdicts["larger_llms"] == ("not-tested-here", "not tested here")
    files = next(files for name, files, *_ in cells if name == "few_shot_beats_spae")
    assert files == "classify/predictions_v2l.parquet, classify/predictions_spae.parquet"


def test_figures_and_tables_are_called_as_in_their_files(report):
    text = report.read_text()
    for heading in (
        "<strong>Figure 6. Pictures and their best words.</strong>", "<strong>Training curves.</strong>",
        "Table 7. Masked image restoration</h3>", ">Ablations</h3>",
    ):  # fmt: skip
        assert heading in text


def test_every_metric_of_every_experiment_is_listed(report, results):
    text = unescape(report.read_text())
    files = sorted(results.root.glob("*/metrics.json"))
    assert len(files) == 9
    for file in files:
        for key in read_json(file):
            assert f"<tr><td>{key}</td>" in text


def test_settings_and_cost_come_from_the_provenance_files(report):
    text = report.read_text()
    for part in (
        "0.1.0+abc123",
        '<th scope="row">classify v2l</th><td>2.5</td>',
        "fewshot.runs.v2l.settings",
        "data.heldout_family",
        "claims.margin",
    ):
        assert part in text


def test_equal_input_gives_equal_bytes(report, own_results):
    assert own_results.page("again.html").read_bytes() == report.read_bytes()


def test_clip_metrics_may_be_absent(report, own_results):
    text = own_results.page(clip=False).read_text()
    assert "zero-shot" in report.read_text()
    assert "zero-shot" not in text


def test_page_without_provenance_says_so(own_results):
    for path in own_results.root.rglob("*.provenance.json"):
        path.unlink()
    assert "No provenance files lie beside the metrics" in own_results.page().read_text()


def test_text_from_artifacts_cannot_become_markup(own_results):
    index = own_results / "figures/index.json"
    index.write_text(index.read_text().replace("Training curves", "<script>alert(1)</script>"))
    text = own_results.page().read_text()
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_missing_figure_is_refused_by_name(own_results):
    (own_results / "figures/fig6.png").unlink()
    with pytest.raises(ArtifactError, match=r"fig6\.png: figure listed in index\.json not found"):
        own_results.page()


def test_headlines_are_chosen_in_their_order_with_small_kg_first_and_baselines_left_out(results):
    files = ("reconstruct", "vqa", "masked", "restore", "classify", "semantics")
    chosen = headlines({f"{name}/metrics.json": read_json(results / name / "metrics.json") for name in files})
    assert [f"{item['label']} {item['parts']}".strip() for item in chosen] == [
        "Accuracy V2L, 2-way, Kg=5, average", "Accuracy V2L, 2-way, Kg=21, average",
        "Accuracy V2L, 5-way, Kg=5, average", "Accuracy V2L, 5-way, Kg=21, average",
        "CLIP up to trigrams (V2L), Kg=5", "PSNR V2L", "LPIPS-VGG V2L",
        *(f"Tokens restored V2L, {task}, restored" for task in sorted(TASKS)), "Tokens restored after tuning",
        "VQA accuracy picture words",
    ]  # fmt: skip


def test_tables_page_and_trace_run_without_torch(tmp_path):
    code = (
        "import sys; from pathlib import Path; from report.conftest import make_results; "
        "from v2l.report.trace import trace; "
        "results = make_results(Path(sys.argv[1])); results.tables(); results.page(); "
        "trace(results / 'tables/index.json', 'table3', 'V2L, this run', 'psnr'); sys.exit('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "demo")]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[1])


def test_parameters_are_listed_by_dotted_key():
    tree = {"vocab": {"filter": {"top_k": 5}}, "seed": 0, "data": {"sets": ["noto"], "family": "noto"}}
    assert list(flatten(tree)) == [
        ("data.family", "noto"), ("data.sets", '["noto"]'), ("seed", "0"), ("vocab.filter.top_k", "5")
    ]  # fmt: skip
