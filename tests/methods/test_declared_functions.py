"""Panels that systems declare by "module:function": each is there, with the arguments that it is called with."""

from __future__ import annotations

import inspect
from dataclasses import replace

import pytest

from replication.errors import InputError
from replication.methods.registry import function, in_order, methods

PANELS = [(one.name, panel) for one in methods().values() for panel in one.panels]
TRAINING = [(one.name, one.training_panel) for one in methods().values() if one.training_panel]


@pytest.mark.parametrize(("name", "panel"), PANELS, ids=lambda value: getattr(value, "name", value))
def test_a_panel_takes_what_was_opened_and_options_with_defaults(name, panel):
    assert panel.draw.startswith(f"replication.methods.{name}.")
    first, *options = inspect.signature(function(panel.draw)).parameters.values()
    assert first.name == "inside"
    assert all(option.kind is option.KEYWORD_ONLY and option.default is not option.empty for option in options)


def test_the_panels_of_each_system_have_names_of_their_own():
    assert len({(name, panel.name) for name, panel in PANELS}) == len(PANELS) >= 6


@pytest.mark.parametrize(("name", "reference"), TRAINING)
def test_a_training_panel_takes_the_trained_run_and_faces(name, reference):
    assert reference.startswith(f"replication.methods.{name}.") and not methods()[name].inpaints
    arguments = inspect.signature(function(reference)).parameters.values()
    needed = [each.name for each in arguments if each.default is each.empty]
    assert needed == ["trained", "faces"]


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("replication.nowhere:f", "'replication.nowhere:f': the module replication.nowhere does not exist"),
        ("replication.a.b:f", "'replication.a.b:f': the module replication.a.b does not exist"),
        (":f", "':f': the module  does not exist"),
        ("replication.errors:f", "'replication.errors:f': the module replication.errors has no function 'f'"),
    ],
)
def test_a_reference_to_nothing_is_refused(reference, words):
    with pytest.raises(InputError) as refused:
        function(reference)
    assert str(refused.value) == words


def test_a_declaration_with_a_panel_of_no_module_is_refused_before_any_work():
    (name, panel), found = PANELS[0], dict(methods())
    found[name] = replace(found[name], panels=(replace(panel, draw="replication.nowhere:f"),))
    words = rf"^methods/{name}/method\.py: the module replication\.nowhere does not exist$"
    with pytest.raises(InputError, match=words):
        in_order(found)
    found = dict(methods())
    found[name] = replace(found[name], training_panel="replication.nowhere:f")
    with pytest.raises(InputError, match=r"the module replication\.nowhere does not exist$"):
        in_order(found)
