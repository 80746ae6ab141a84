"""The fingerprint of a recipe: every field changes the fingerprint of its own recipe only."""

from __future__ import annotations

import re
from dataclasses import fields, replace

import pytest

from trr_pipelines.imaging.recipes import BASE, CROP, Recipe


def variations(recipe: Recipe) -> list[Recipe]:
    """`recipe` with each of its fields changed once."""
    target = recipe.targets[0]
    options = recipe.encoder
    changed = [replace(recipe, codec_epoch=recipe.codec_epoch + 1), replace(recipe, formats=("webp",))]
    changed.append(replace(recipe, transparent_formats=("png",)))
    changed.append(replace(recipe, targets=recipe.targets[1:]))
    changed.append(replace(recipe, targets=(replace(target, quality=target.quality + 1), *recipe.targets[1:])))
    changed.append(replace(recipe, targets=(replace(target, width=target.width + 1), *recipe.targets[1:])))
    for field in fields(options):
        changed.append(replace(recipe, encoder=replace(options, **{field.name: "something else"})))
    return changed


@pytest.mark.parametrize("recipe", [BASE, CROP], ids=lambda recipe: recipe.kind)
def test_every_field_of_a_recipe_changes_the_fingerprint(recipe: Recipe) -> None:
    prints = [recipe.fingerprint, *(changed.fingerprint for changed in variations(recipe))]
    assert len(set(prints)) == len(prints)


def test_fingerprints_are_short_hex_and_different() -> None:
    assert re.fullmatch("[0-9a-f]{12}", BASE.fingerprint)
    assert re.fullmatch("[0-9a-f]{12}", CROP.fingerprint)
    assert BASE.fingerprint != CROP.fingerprint


def test_an_equal_recipe_has_an_equal_fingerprint() -> None:
    assert replace(BASE).fingerprint == BASE.fingerprint
