"""What docs/traps.md says of DVC's dry runs and `exp run -S` holds for the pinned version."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.exceptions import InvalidArgumentError
from dvc.utils.hydra import apply_overrides

DVC_YAML = """
stages:
  train:
    cmd: cp in.txt model.txt
    deps: [in.txt]
    params: [size]
    outs: [model.txt]
  table:
    cmd: cp model.txt table.txt
    deps: [model.txt]
    outs: [table.txt]
"""


def repro(*arguments: str) -> subprocess.CompletedProcess[str]:
    command, environment = [sys.executable, "-m", "dvc", "repro", *arguments], os.environ | {"DVC_NO_ANALYTICS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_a_dry_run_does_not_follow_what_a_stage_would_change(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text(DVC_YAML)
    Path("params.yaml").write_text("size: 64\n")
    Path("in.txt").write_text("x")
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], check=True)
    first = repro("--dry")
    assert first.returncode and "failed to reproduce 'table'" in first.stderr
    assert repro("-q").returncode == 0
    Path("params.yaml").write_text("size: 32\n")
    said = repro("--dry", "--allow-missing").stdout
    assert "Running stage 'train'" in said and "Stage 'table' didn't change, skipping" in said
    said = repro("--dry", "--force", "--downstream", "train").stdout
    assert "Running stage 'train'" in said and "Running stage 'table'" in said


def test_a_key_that_is_new_under_change_needs_a_plus(tmp_path):
    file = tmp_path / "params.yaml"
    text = "runs: {mdrnet: {slots_64: {change: {memory: {slots: 64}}}}}\n"
    key = "runs.mdrnet.slots_64.change.memory.temperature=0.1"
    file.write_text(text)
    with pytest.raises(InvalidArgumentError, match="Invalid `--set-param` value") as caught:
        apply_overrides(file, [key])
    assert "Could not override" in str(caught.value.__cause__)
    apply_overrides(file, [f"+{key}"])
    assert "temperature: 0.1" in file.read_text()
