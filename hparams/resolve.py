"""From a recipe file, a command line and an environment's name to one checked `Recipe`.

A recipe file has `defaults`, then `environments`: sections by name or pattern, later ones over earlier
ones, then `presets`: sections that the user asks for by name, such as another protocol. Inside any of them,
`losses` holds what differs for one value loss. What the user said comes last.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from typing import Any

from catzoo.hparams.agents import build_recipe, recipe_class, refuse_other_agents_keys
from catzoo.hparams.components import ValueLossConfig
from catzoo.hparams.overrides import merge
from catzoo.hparams.recipe import Playing, Recipe
from catzoo.hparams.schema import RecipeError, brief, nearest, shown
from catzoo.hparams.supports import over, refuse_no_ends, with_ends
from catzoo.hparams.value_losses import VALUE_LOSSES, loss_name

SECTIONS = {"agent", "description", "defaults", "environments", "presets"}
"""Of a recipe file."""


def resolve(
    source: Mapping[str, Any],
    *,
    env: str,
    loss: str | None = None,
    preset: str | None = None,
    overrides: Iterable[Mapping[str, Any]] = (),
    where: str = "recipe",
) -> Recipe:
    """The recipe of one run; of several games each has an environment, unless told otherwise.

    Args:
        source: a recipe file's content, see the module.
        env: environment id; every section whose pattern matches applies, in the file's order.
        loss: value loss to use instead of the recipe's.
        preset: one of the file's `presets`.
        overrides: nested mappings from the user, last one wins; checked against the loss in use.
        where: what to call the source in errors.

    Raises:
        RecipeError: anything unknown, out of range or contradictory, in one line.
    """
    _check_source(source, where)
    sections = [source.get("defaults") or {}]
    sections += [
        section or {}
        for pattern, section in (source.get("environments") or {}).items()
        if _applies(pattern, env)
    ]
    if preset is not None:
        sections.append(_preset(source, preset, env))
    said: dict[str, Any] = {}
    for override in overrides:
        if not isinstance(override, Mapping):
            raise RecipeError(f"{shown(override)}: an override is key=value or a mapping")
        said = merge(said, override)
    agent = source.get("agent", Recipe.agent)
    recipe_class(agent, where)
    refuse_other_agents_keys(said, agent, "command line")
    for key in ("agent", "env", "preset"):
        if key in said:
            raise RecipeError(
                f"{key}={shown(said[key])}: the {key} is not an override, name it in its own place"
            )
    name = _loss_in_use(sections, loss, said)
    values: dict[str, Any] = {"agent": agent, "env": env, "preset": preset}
    for section in sections:
        per_loss = section.get("losses") or {}
        plain = {key: value for key, value in section.items() if key not in ("losses", "for", "description")}
        values = over(over(values, plain), per_loss.get(name) or {})
    values["value_loss"] = _only_accepted(values.get("value_loss") or {}, name)
    own = build_recipe(with_ends(values, name), where=where)  # its mistakes are reported as the file's
    if isinstance(own, Playing):
        values["num_envs"] = max(own.num_envs, len(own.games))  # each game needs an environment
    refuse_no_ends(values, said)
    return build_recipe(with_ends(over(values, said), name), where="command line")


def _check_source(source: Mapping[str, Any], where: str) -> None:
    """Refuses a recipe file of another shape than the module says."""
    unknown = [key for key in source if key not in SECTIONS]
    if unknown:
        raise RecipeError(
            f"{where}: unknown section {shown(unknown[0])}; known: {', '.join(sorted(SECTIONS))}"
        )
    if not isinstance(source.get("agent", ""), str):
        raise RecipeError(f"{where}: agent={shown(source['agent'])}: must be a name")
    groups = [_group(source, name, where) for name in ("environments", "presets")]
    sections = [("defaults", _group(source, "defaults", where))]
    sections += [(brief(name), _group(group, name, where)) for group in groups for name in group]
    for name, section in sections:
        if not isinstance(section.get("for", ""), str):
            raise RecipeError(f"{where}: {name}.for={shown(section['for'])}: must be a name or a pattern")
        losses = _group(section, "losses", f"{where}: {name}")
        inner = [section, *(_group(losses, loss, f"{where}: {name}.losses") for loss in losses)]
        for part in inner:
            chosen = _group(part, "value_loss", f"{where}: {name}").get("name", "")
            if not isinstance(chosen, str):
                raise RecipeError(f"{where}: {name}: value_loss.name={shown(chosen)}: must be a name")


def _group(values: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    """The mapping under a name; an empty one where there is none."""
    group = values.get(name)
    if group is None:
        return {}
    if not isinstance(group, Mapping) or not all(isinstance(key, str) for key in group):
        raise RecipeError(f"{where}: {brief(name)} must be a group of keys, not {shown(group, 40)}")
    return group


def _applies(pattern: str, env: str) -> bool:
    """Whether a section is for an environment; a game's are for its variants (`?mode=5`) too."""
    return any(fnmatch.fnmatchcase(name, pattern) for name in (env, env.partition("?")[0]))


def _preset(source: Mapping[str, Any], name: str, env: str) -> Mapping[str, Any]:
    presets = source.get("presets") or {}
    if name not in presets:
        known = brief(", ".join(presets), 200) or "none"
        raise RecipeError(
            f"unknown preset {shown(name)}: {source.get('agent')} has {known}{nearest(name, presets)}"
        )
    pattern = presets[name].get("for", "*")
    if not _applies(pattern, env):
        raise RecipeError(f"preset {name} is for {brief(pattern)}, not for {brief(env)}")
    return presets[name]  # type: ignore[no-any-return]


def _loss_in_use(sections: Iterable[Mapping[str, Any]], loss: str | None, said: Mapping[str, Any]) -> str:
    named = said.get("value_loss")
    if isinstance(named, Mapping) and "name" in named:
        if not isinstance(named["name"], str):
            raise RecipeError(f"value_loss.name={shown(named['name'])}: must be a name (command line)")
        override = loss_name(named["name"])
        if loss is not None and loss_name(loss) != override:
            raise RecipeError(f"--loss {brief(loss)} and value_loss.name={override} disagree (command line)")
        loss = override
    if loss is not None:
        return loss_name(loss)
    name = ValueLossConfig().name
    for section in sections:
        name = (section.get("value_loss") or {}).get("name", name)
    return loss_name(name)


def _only_accepted(value_loss: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A recipe may set a support for all its losses; the ones without a support do not see it."""
    known = {key for entry in VALUE_LOSSES.values() for key in entry.keys}
    drop = known - set(VALUE_LOSSES[name].keys)
    return {key: value for key, value in value_loss.items() if key not in drop} | {"name": name}
