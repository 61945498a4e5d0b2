"""A deployment's parameters without what is a default: readable in a form, and the same however they came.

A form can write down every default when somebody changes one value; that must not look like a change of all.
"""

import dataclasses
import inspect
import typing
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Any

from prefect import Flow
from prefect.flows import load_flow_from_entrypoint
from pydantic import ValidationError

from flows.chain import plain
from flows.deploy.merge import Tree
from sdmodel.config.adapter import adapter_of
from sdmodel.config.limits import Config, ConfigError


@cache
def flow_at(entrypoint: str) -> "Flow[..., Any]":
    """The flow at an entrypoint, "flows.pipeline:pipeline"; importing it takes seconds."""
    return load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)


def without_defaults(entrypoint: str, parameters: Mapping[str, Any]) -> Tree:
    """Parameters as plain JSON, without values that are defaults.

    Args:
        entrypoint: of the flow that takes them; of ours, never one that a server names, since it is imported.
        parameters: plain JSON, as a deployment has them. What its flow would refuse stays as it is.
    """
    function = flow_at(entrypoint).fn
    hints = typing.get_type_hints(function)
    signature = inspect.signature(function).parameters
    values: Tree = {}
    for name, value in parameters.items():
        kind, short = hints.get(name), value
        if dataclasses.is_dataclass(kind):
            with suppress(ValidationError, ConfigError):
                short = plain(adapter_of(kind).validate_python(value))
        default = signature[name].default if name in signature else inspect.Parameter.empty
        if short != (plain(default) if isinstance(default, Config) else default):
            values[name] = short
    return values


def check_parameters(entrypoint: str, parameters: Mapping[str, Any], title: str) -> None:
    """Look whether a flow takes parameters that were merged.

    Raises:
        ValueError: what was changed by hand and what the file changed do not fit; names the deployment.
    """
    hints = typing.get_type_hints(flow_at(entrypoint).fn)
    for name, value in parameters.items():
        kind = hints.get(name)
        if dataclasses.is_dataclass(kind):
            try:
                adapter_of(kind).validate_python(value)
            except (ValidationError, ConfigError) as error:
                words = " ".join(str(error).split())
                raise ValueError(
                    f"{title}: what was changed there by hand and what the file changed make no config "
                    f"together: {words}; correct it in Prefect's page of the deployment, or undeploy the run "
                    "and deploy it anew"
                ) from None
