"""Noise and dropout: the same numbers in every memory layout, and of the stated distribution."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch
from torch import nn

import replication
from replication.layers.noise import Dropout, normal_like, uniform_like

DRAWS = {
    "normal": normal_like,
    "uniform": uniform_like,
    "dropout": Dropout(0.3),
    "dropout of maps": Dropout(0.3, whole_maps=True),
}


def both_layouts(draw):
    torch.manual_seed(0)
    x = torch.rand(3, 5, 6, 7) + 1
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(1)
        found.append(draw(x.contiguous(memory_format=layout)))
    return found


@pytest.mark.parametrize("name", DRAWS)
def test_the_memory_layout_changes_no_number(name):
    a, b = both_layouts(DRAWS[name])
    assert torch.equal(a, b)


@pytest.mark.parametrize("draw", [torch.randn_like, torch.rand_like, nn.Dropout(0.3)])
def test_what_pytorch_fills_in_the_order_of_memory_is_another_experiment(draw):
    a, b = both_layouts(lambda x: draw(x / 3))
    assert not torch.equal(a, b)


@pytest.mark.parametrize("name", DRAWS)
def test_lower_precision_rounds_the_same_numbers(name):
    x = torch.ones(2, 3, 4, 5)
    torch.manual_seed(0)
    full = DRAWS[name](x)
    torch.manual_seed(0)
    torch.testing.assert_close(DRAWS[name](x.bfloat16()).float(), full, rtol=1e-2, atol=1e-2)


def test_distributions():
    torch.manual_seed(0)
    x = torch.ones(50, 40, 8, 8)
    for drawn, mean, std in ((normal_like(x), 0, 1), (uniform_like(x), 0.5, 12**-0.5)):
        assert drawn.mean().item() == pytest.approx(mean, abs=0.01)
        assert drawn.std().item() == pytest.approx(std, abs=0.01)
    kept = Dropout(0.3)(x)
    assert kept.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert (kept == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    maps = Dropout(0.3, whole_maps=True)(x)
    assert ((maps == 0).flatten(2).float().mean(2) % 1 == 0).all()
    assert (maps == 0).float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert Dropout(0.3).eval()(x) is x and Dropout(0.0)(x) is x


def test_dropped_numbers_get_no_gradient():
    torch.manual_seed(0)
    x = torch.ones(4, 3, 8, 8, requires_grad=True)
    y = Dropout(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.grad == 0, y == 0)


# The whole package

IN_MEMORY_ORDER = {
    *("randn_like", "rand_like", "randint_like", "bernoulli", "bernoulli_", "dropout", "dropout1d", "dropout2d"),
    *("dropout3d", "alpha_dropout", "feature_alpha_dropout", "gumbel_softmax", "normal_", "uniform_", "exponential_"),
    *("log_normal_", "cauchy_", "geometric_", "random_", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout"),
    *("rrelu", "RReLU", "FeatureAlphaDropout", "poisson"),
}


def draws_in_memory_order(source: str) -> list[str]:
    """Names of what a module calls that draws in the order of memory. Weights are filled before any layout is chosen,
    so that `nn.init` may; `Dropout` is a fault where it is PyTorch's, which is told by the `nn.` before it.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        words = ast.unparse(node.func).split(".")
        of_weights = "init" in words[:-1]
        if not of_weights and (words[-1] in IN_MEMORY_ORDER or words[-2:] == ["nn", "Dropout"]):
            found.append(".".join(words))
        found += [keyword.arg for keyword in node.keywords if keyword.arg == "dropout_p"]
    return found


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("noise = torch.randn_like(x)", ["torch.randn_like"]),
        ("self.drop = nn.Dropout(0.1)", ["nn.Dropout"]),
        ("F.dropout(x, 0.1, self.training)", ["F.dropout"]),
        ("x.new_empty(3).normal_()", ["x.new_empty(3).normal_"]),
        ("F.scaled_dot_product_attention(q, k, v, dropout_p=0.1)", ["dropout_p"]),
        ("nn.init.normal_(weight); torch.randn(x.shape); Dropout(0.1); rng.uniform(0, 1)", []),
    ],
)
def test_what_is_found_in_a_source(source, expected):
    assert draws_in_memory_order(source) == expected


def test_no_module_draws_in_the_order_of_memory():
    package = Path(replication.__file__).parent
    toy = Path(__file__).parents[1] / "graph" / "toy"
    found = {
        str(path): calls
        for folder in (package, toy)
        for path in sorted(folder.rglob("*.py"))
        if (calls := draws_in_memory_order(path.read_text(encoding="utf-8")))
    }
    assert found == {}, "draw with replication.layers.noise, or by shape: torch.randn(x.shape)"
