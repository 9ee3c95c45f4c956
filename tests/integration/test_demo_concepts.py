"""The demo plate, whose truth is known: the concepts of its leading features name what was planted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import napari_phenolens as ph
from napari_phenolens.cli import main
from napari_phenolens.demo import DEMO_CONTROLS, DEMO_PERTURBED

TEXTURE = ("contrast", "unevenness", "homogeneity", "entropy", "correlation", "granularity")
MOVED = {"ratio_ring_Reporter", "mean_nucleus_Reporter", "total_nucleus_Reporter"}
# what names a planted phenotype; fewer cells are fewer neighbours and less of the field covered
NAMES: dict[str, Any] = {
    "translocation": lambda c: c in MOVED,
    "mixed translocation": lambda c: c in MOVED,
    "nuclear size": lambda c: c in {"area_nucleus", "areashare_nucleus", "perimeter_nucleus"},
    "actin texture": lambda c: c.endswith("_Actin") and c.startswith(TEXTURE),
    "cell loss": lambda c: (
        c in {"cell_count", "foreground_share"} or c.startswith(("density", "neighbours", "distance", "contact"))
    ),
}
LEADING = 5


@pytest.fixture(scope="module")
def folder(demo_with_cells: Path) -> Path:
    """The finished run with its cells."""
    return demo_with_cells


@pytest.fixture(scope="module")
def table(folder: Path) -> pd.DataFrame:
    return ph.concepts(ph.open_run(folder), most=20, permutations=300)


@pytest.fixture(scope="module")
def leading(folder: Path) -> dict[str, list[int]]:
    """The leading features of each planted phenotype."""
    run, found = ph.open_run(folder), {}
    for name, wells in DEMO_PERTURBED.items():
        compared = ph.compare(run, DEMO_CONTROLS, wells, permutations=20, covariates=False)
        found[name] = [int(f) for f in compared.index[: 2 * LEADING]]
    return found


@pytest.mark.parametrize("phenotype", list(DEMO_PERTURBED))
def test_each_planted_phenotype_is_named_by_the_first_concept(
    table: pd.DataFrame, leading: dict[str, list[int]], phenotype: str
) -> None:
    first_few = leading[phenotype][:LEADING]
    looks = table[(table["rank"] == 1) & table["kind"].isin(["measured", "covariate"])].set_index("feature")
    named = [NAMES[phenotype](looks.loc[f, "concept"]) for f in first_few]
    assert named[0], looks.loc[first_few, "concept"].tolist()
    assert sum(named) >= LEADING - 1, looks.loc[first_few, "concept"].tolist()
    first = looks.loc[first_few[0]]
    assert first["q"] < 0.05
    assert first["words"] in table.attrs["labels"][first_few[0]]


def test_the_ratio_follows_the_leading_feature_of_translocation(
    table: pd.DataFrame, leading: dict[str, list[int]]
) -> None:
    first = leading["translocation"][0]
    rows = table[table["feature"] == first].set_index("concept")
    assert rows.loc["ratio_ring_Reporter", "r"] > 0.85
    assert "follows translocator dose" in table.attrs["labels"][first]


def test_from_a_concept_to_the_features_that_see_it(folder: Path, leading: dict[str, list[int]]) -> None:
    run = ph.open_run(folder)
    found = ph.distinguish(run, concept="area_nucleus")
    assert found.attrs["held_out"]["low"] > 0.75
    assert found.iloc[0]["held_out"] > 0.65
    assert set(found.index[:LEADING]) & set(leading["nuclear size"])


def test_the_phenotypes_themselves_are_named(folder: Path) -> None:
    run = ph.open_run(folder)
    for name, perturbed in DEMO_PERTURBED.items():
        table = ph.concepts(run, ph.phenotype(run, DEMO_CONTROLS, perturbed), permutations=99)
        # a bright nucleus also makes a cell uneven: of half a well's cells that comes first by a hair
        assert any(map(NAMES[name], table["concept"].head(2))), (name, table["concept"].tolist())


def typed(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main([str(arg) for arg in args])
    return int(ended.value.code or 0), capsys.readouterr().out


def test_the_commands_give_the_numbers_of_python(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ph.open_run(folder)
    given = tmp_path / "mine.csv"
    pd.DataFrame({"well": run.wells, "mine": np.arange(len(run.wells))}).to_csv(given, index=False)
    asked = ["concepts", folder, "--features", "3,40", "--permutations", "99", "--annotations", given, "--most", "300"]
    code, printed = typed(capsys, *asked, "--json", "--out", tmp_path / "c.csv")
    python = ph.concepts(run, [3, 40], annotations=given, permutations=99, most=300)
    rows = json.loads(printed)["rows"]
    assert code == 0 and len(rows) == len(python)
    for name in ("concept", "words", "r", "q", "auroc", "rho_within", "tied"):
        values = [None if value != value else value for value in python[name].tolist()]
        assert [row[name] for row in rows] == values, name
    assert "mine" in {row["concept"] for row in rows}
    assert pd.read_csv(tmp_path / "c.csv")["tied"].tolist() == python["tied"].tolist()
    code, printed = typed(capsys, "concepts", folder, "--phenotype", DEMO_PERTURBED["cell loss"])
    python = ph.concepts(run, ph.phenotype(run, None, DEMO_PERTURBED["cell loss"]), permutations=99)
    said = " ".join(printed.split())  # lines are wrapped
    assert code == 0 and "These are correlates" in said
    assert python.attrs["labels"]["phenotype"] in said

    code, printed = typed(capsys, "distinguish", folder, "--concept", "area_nucleus", "--json")
    python = ph.distinguish(run, concept="area_nucleus")
    assert [r["feature"] for r in json.loads(printed)["rows"]] == python.index.tolist()
    assert json.loads(printed)["held_out"] == python.attrs["held_out"]
    code, printed = typed(capsys, "distinguish", folder, "--well", "A04", "--region", "0,0;0,128;256,128;256,0")
    assert code == 0 and "in-sample" in printed
    assert typed(capsys, "distinguish", folder, "--well", "A04")[0] == 2
    assert typed(capsys, "distinguish", folder, "--concept", "nothing like it")[0] == 1
    assert typed(capsys, "concepts", folder, "--features", "a")[0] == 2
