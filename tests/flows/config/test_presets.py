"""Presets are runs that can be: their configs are read without mistakes and say what their names do."""

import typing
from typing import Any

import pytest

from flows.cli.prefect import demo as command
from flows.config.presets import PRESETS, ROWS
from sdmodel.noise.process import ForwardProcess


def test_the_command_offers_each_preset_with_the_rows_of_its_site():
    (choice, _) = typing.get_args(typing.get_type_hints(command.demo, include_extras=True)["preset"])
    assert set(typing.get_args(choice)) == PRESETS.keys() == ROWS.keys()


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_goes_by_its_name(name: str):
    run = PRESETS[name]("table.parquet", "store")
    assert (run.name, run.store) == (name, "store")


@pytest.mark.parametrize(("name", "schedule"), [("ddpm", "linear"), ("ddpm-cosine", "squaredcos_cap_v2")])
def test_a_ddpm_predicts_noise_at_each_of_its_timesteps_as_often(name: str, schedule: Any):
    train = PRESETS[name]("table.parquet", "store").train
    process = ForwardProcess.of_config(train.noise, pixels=True)
    assert process.schedule.settings is not None
    assert process.schedule.settings["beta_schedule"] == schedule
    assert process.schedule.settings["num_train_timesteps"] == 1000
    assert process.schedule.settings["clip_sample"]
    assert (process.prediction, process.loss, process.distribution) == ("epsilon", "epsilon", "uniform")
    assert train.sampling.sampler == "ddpm"
