"""The report of a run: one file, whole without a network, sortable in a real browser, with the numbers of Python."""

from __future__ import annotations

import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from napari_phenolens import cell_card, cell_reference, compare, looks, open_run, report, subpopulations
from napari_phenolens.demo import DEMO_CONTROLS, DEMO_PERTURBED
from napari_phenolens.export import ExportError, methods_paragraph

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
POSITIVE = DEMO_PERTURBED["translocation"]
CELL = 100


@pytest.fixture(scope="module")
def page(demo_with_cells: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "demo.html"
    seen: list[Any] = []
    run = open_run(demo_with_cells)
    found = report(run, out, DEMO_CONTROLS, POSITIVE, cells=[CELL], top=2, words=False, progress=seen.append)
    assert found == out
    assert [(p.done, p.total) for p in seen] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    return out


def browse(page: Path, scratch: Path) -> tuple[str, str]:
    """Open a page in a headless browser without a network; give the page as it then stands, and what was logged."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    profile = f"--user-data-dir={scratch / 'profile'}"
    if browser is None:
        pytest.skip("no Chromium or Chrome here: bash tools/test.sh installs one on Debian")
    run = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom",
            "--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND", profile, page.as_uri(),
        ],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    return run.stdout, run.stderr


def test_the_table_has_the_numbers_of_compare(page: Path, demo_with_cells: Path) -> None:
    table = compare(open_run(demo_with_cells), controls=DEMO_CONTROLS, perturbed=POSITIVE)
    ranked = table[table["type"] == "feature"]
    text = page.read_text(encoding="utf-8")
    body = text[text.index('id="feature-table"') :]
    rows = re.findall(r"<tr>(<td.*?)</tr>", body[: body.index("</table>")])
    assert len(rows) == len(ranked)
    heads = re.findall(r"<th[^>]*>(.*?)</th>", body[: body.index("</tr>")])
    for row, (feature, expected) in list(zip(rows, ranked.iterrows(), strict=True))[::17]:
        values = re.findall(r'data-v="([^"]*)"', row)
        assert int(values[0]) == feature
        assert float(values[1 + heads[1:].index("effect")]) == expected["effect"]


def test_one_file_that_needs_nothing_else(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert page.stat().st_size < 15 * 2**20
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!#|data:)""", text)
    assert "@import" not in text
    assert text.count("data:image/png;base64,") == 3  # two galleries and a card


def test_a_browser_opens_it_without_a_word_on_its_console(page: Path, tmp_path: Path) -> None:
    shown, log = browse(page, tmp_path)
    assert "CONSOLE" not in log
    assert 'id="feature-table"' in shown


def test_a_click_on_a_heading_sorts_and_the_filter_filters(page: Path, tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8")
    press = """<script>
    document.querySelector("#feature-table th:nth-child(1)").click();
    const input = document.querySelector("input[data-for]");
    input.value = "F25"; input.dispatchEvent(new Event("input"));
    </script></body>"""
    clicked = tmp_path / "clicked.html"
    clicked.write_text(text.replace("</body>", press), encoding="utf-8")
    shown, log = browse(clicked, tmp_path)
    assert "CONSOLE" not in log
    body = shown[shown.index('id="feature-table"') :]
    rows = re.findall(r"<tr([^>]*)>(<td.*?)</tr>", body[: body.index("</table>")])
    features = [int(re.search(r'data-v="(\d+)"', row)[1]) for _, row in rows]  # type: ignore[index]
    assert features == sorted(range(256), reverse=True)
    seen = {f for f, (flags, _) in zip(features, rows, strict=True) if "hidden" not in flags}
    assert seen == {25, *range(250, 256)}


def test_the_card_is_that_of_python(page: Path, demo_with_cells: Path) -> None:
    run = open_run(demo_with_cells)
    told = looks(run, DEMO_CONTROLS, POSITIVE)
    card = cell_card(cell_reference(run, DEMO_CONTROLS, POSITIVE, looks=told), CELL)
    text = unescape(page.read_text(encoding="utf-8"))
    assert card.text() in text
    assert methods_paragraph(run, compare(run, controls=DEMO_CONTROLS, perturbed=POSITIVE).attrs) in text


def test_responders_and_escapers_are_those_of_python(page: Path, demo_with_cells: Path) -> None:
    found = subpopulations(open_run(demo_with_cells), DEMO_CONTROLS, POSITIVE)
    text = unescape(page.read_text(encoding="utf-8"))
    part = text[text.index('id="responders"') :]
    part = part[: part.index("<h2", 10)]
    assert f"{found.escapers:.1%} still look like control" in part
    assert f"control wells {found.false_positives:.1%} are so called, falsely" in part
    assert "<svg" in part and found.well_values().note[:40] in part
    heads = re.findall(r"<th\s[^>]*>([^<]*)", part)
    rows = [re.findall(r"<td([^>]*)>(.*?)</td>", row) for row in re.findall(r"<tr>(<td.*?)</tr>", part)]
    assert len(rows) == len(found.wells)
    for row in rows:
        expected = found.wells.loc[row[0][1]]
        assert row[1][1] == ("perturbed" if expected["side"] == "counted" else "control")
        for head, (flags, shown) in list(zip(heads, row, strict=True))[2:]:
            value = expected[head.replace(" ", "_")]
            given = re.search(r'data-v="([^"]*)"', flags)[1]  # type: ignore[index]
            assert (given == "") == (value != value) and (given == "" or float(given) == value), head
            assert (shown == "") == (given == "")
    assert rows[0][1][1] == "perturbed"


def test_the_command_writes_a_page_of_one_feature(demo_with_cells: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from napari_phenolens.cli.commands import app

    out = tmp_path / "one.html"
    done = CliRunner().invoke(app, ["report", str(demo_with_cells), "--feature", "7", "--only", "--out", str(out)])
    assert done.exit_code == 0, done.output
    text = out.read_text(encoding="utf-8")
    assert 'id="F7"' in text
    assert "feature-table" not in text.split("<script>")[0]
    wrong = CliRunner().invoke(app, ["report", str(demo_with_cells), "--out", str(out)])
    assert wrong.exit_code == 1
    assert "--perturbed" in wrong.output


def test_a_report_without_the_plates_files_says_so(demo_with_cells: Path, tmp_path: Path, monkeypatch: Any) -> None:
    from napari_phenolens.plate import PlateError
    from napari_phenolens.run import Run

    def gone(_run: Run) -> None:
        raise PlateError("the plate is not where it was")

    monkeypatch.setattr(Run, "plate", gone)
    out = report(open_run(demo_with_cells), tmp_path / "r.html", DEMO_CONTROLS, POSITIVE, top=1, words=False)
    text = out.read_text(encoding="utf-8")
    assert "No pictures of cells: the plate is not where it was" in text
    assert "data:image/png" not in text


def test_wrong_wishes_are_refused(demo_with_cells: Path, tmp_path: Path) -> None:
    run = open_run(demo_with_cells)
    with pytest.raises(ExportError, match=r"ends in \.html"):
        report(run, tmp_path / "r.pdf", perturbed=POSITIVE)
    with pytest.raises(ExportError, match="say what to report"):
        report(run, tmp_path / "r.html")
    assert not list(tmp_path.iterdir())
