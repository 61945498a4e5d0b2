"""The examples are read without mistakes, and say of themselves what `sdflow plan --card` says of them."""

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from flows.config.file import read_run
from sdmodel.noise.process import ForwardProcess
from stages.forecast.formulas import FormulaForecast

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.name for path in ROOT.glob("examples/*.yaml"))
RECIPES = ("ddpm", "dit-b", "dit-xl", "pixel-128", "sd15-finetune", "sd15-lora")


@cache
def figures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("recipe_figures", ROOT / "docs/recipe_figures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def plan(name: str) -> FormulaForecast:
    return figures().forecast(name)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_read_without_mistakes(name: str):
    text = (ROOT / "examples" / name).read_text()
    run = read_run(ROOT / "examples" / name)
    assert text.startswith("#")
    assert run.name == name.removesuffix(".yaml").replace("_", "-")
    assert f"examples/{name}" in text.partition("\nname:")[0]  # the command that runs it


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_what_it_takes(name: str):
    text = (ROOT / f"examples/{name}.yaml").read_text()
    assert figures().with_head(text, plan(name)) == text, "`make docs` writes it anew"


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_fits_both_cards(name: str):
    small, large = plan(name).cards
    assert small.accumulate >= large.accumulate == 1
    assert 0 < small.taken < 0.9 * small.memory
    assert large.images_per_second >= small.images_per_second


def test_the_readme_has_the_figures_of_all_recipes():
    page = (ROOT / "README.md").read_text()
    assert set(figures().RECIPES) == set(RECIPES)
    assert figures().with_table(page, {name: plan(name) for name in RECIPES}) == page, "`make docs` writes it"


def test_recipes_for_stable_diffusion_are_planned_without_its_folder_and_say_so():
    assert plan("sd15-finetune").parameters == {"network": 859_520_964}  # as published: 860 M
    assert plan("sd15-lora").learned < 4e6
    for name in ("sd15-finetune", "sd15-lora", "dit-b", "dit-xl"):
        assert "'/models/sd15' is not here: shapes as of Stable Diffusion 1.5" in plan(name).assumed


def test_the_ddpm_is_that_of_the_paper():
    process = ForwardProcess.of_config(read_run(ROOT / "examples/ddpm.yaml").train.noise)
    assert (process.prediction, process.loss, process.distribution) == ("epsilon", "epsilon", "uniform")
    assert process.schedule.settings is not None
    assert (process.schedule.settings["beta_start"], process.schedule.settings["beta_end"]) == (1e-4, 0.02)
