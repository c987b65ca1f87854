"""A run that is killed and started again ends as if nothing had happened."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import psutil
import pytest
from toy_runs import BATCH, ToyBatches, ToyGAN, fingerprint, state_folder, train, wait_for

from replication.errors import InputError
from replication.training.fit import fit
from replication.training.history import read

STEPS = 30


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, server):
    root = tmp_path_factory.mktemp("undisturbed")
    run = server.start(root=root)
    assert run.wait() == 0, run.output()
    return fingerprint(root)


def wait_for_step(root: Path, step: int) -> None:
    wait_for(lambda: list(root.glob(f"toy/*/step-{step:09d}.json")))


def ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_fingerprint_tells_runs_apart(tmp_path, undisturbed):
    train(tmp_path, noise=False)
    other = fingerprint(tmp_path)
    assert all(other[key] != undisturbed[key] for key in undisturbed)


@pytest.mark.parametrize(
    "kill",
    [
        {"at": {"3": "die"}},  # before there is any checkpoint
        {"at": {"17": "die"}},  # between the discriminator's and the generator's update
        {"die": ["history", 18]},  # in the middle of a line
        {"die": ["saving", 15]},
        {"die": ["renaming", 15]},
        {"die": ["manifest", 15]},  # checkpoint whole, manifest missing
        {"die": ["sweeping", 15]},
        {"die": ["saving", 30]},
    ],
    ids=lambda kill: "-".join(map(str, *(v.items() if isinstance(v, dict) else [v] for v in kill.values()))),
)
def test_killed_and_resumed_is_bit_identical(tmp_path, server, undisturbed, kill):
    killed = server.start(root=tmp_path, **kill)
    assert killed.wait() == -signal.SIGKILL, killed.output()
    again = server.start(root=tmp_path)
    assert again.wait() == 0, again.output()
    assert fingerprint(tmp_path) == undisturbed
    if "3" not in kill.get("at", {}):
        assert "going on from the checkpoint of step" in again.output()
    names = sorted(path.name for path in state_folder(tmp_path).iterdir() if path.name != "speed.json")
    checkpoints = [f"step-{step:09d}.{kind}" for step in (25, 30) for kind in ("json", "pt")]
    assert names == ["config.json", "history.jsonl", "lock", *checkpoints]


def test_killed_again_and_again(tmp_path, server, undisturbed):
    kills = [{"die": ["saving", 10]}, {"at": {"12": "die"}}, {"die": ["manifest", 20]}, {"at": {"26": "die"}}]
    for kill in kills:
        assert server.start(root=tmp_path, **kill).wait() == -signal.SIGKILL
    assert server.start(root=tmp_path).wait() == 0
    assert fingerprint(tmp_path) == undisturbed


@pytest.mark.parametrize("damage", ["truncate", "flip a bit", "remove"])
def test_damaged_newest_falls_back_to_the_one_before(tmp_path, undisturbed, caplog, damage):
    train(tmp_path)
    path = state_folder(tmp_path) / f"step-{STEPS:09d}.pt"
    content = bytearray(path.read_bytes())
    if damage == "truncate":
        path.write_bytes(content[:-100])
    elif damage == "flip a bit":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    else:
        path.unlink()
    report = train(tmp_path)
    assert report.resumed_from == 25
    assert fingerprint(tmp_path) == undisturbed
    (message,) = [record.getMessage() for record in caplog.records]
    assert f"{path} is damaged" in message and "using the one before" in message


def test_finished_run_is_not_done_again(tmp_path, undisturbed):
    first, second = train(tmp_path), train(tmp_path)
    assert second.resumed_from == STEPS and second.seconds == first.seconds
    assert fingerprint(tmp_path) == undisturbed


def test_other_values_are_another_run(tmp_path):
    for steps in (2, 3):
        assert train(tmp_path, steps=steps).resumed_from is None
    assert train(tmp_path, steps=2).resumed_from == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_keeps_the_work(tmp_path, server, undisturbed, number):
    run = server.start(root=tmp_path, pause=0.02, checkpoint_steps=STEPS)
    wait_for(lambda: any(len(read(path)) >= 3 for path in tmp_path.glob("toy/*/history.jsonl")))
    os.kill(run.pid, number)
    assert run.wait() == 130
    assert "stopped after step 1" in run.output() and number.name in run.output()
    report = train(tmp_path, checkpoint_steps=STEPS)
    assert 9 <= report.resumed_from < 20
    assert fingerprint(tmp_path) == undisturbed


def test_second_process_is_refused_until_the_first_ends(tmp_path, server):
    first = server.start(root=tmp_path, pause=0.1)
    wait_for_step(tmp_path, 5)
    with pytest.raises(InputError, match=rf"process {first.pid} is already running in .*toy"):
        train(tmp_path)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert train(tmp_path).resumed_from >= 5  # no stale lock


@pytest.mark.parametrize("stuck", [False, True])
def test_orphan_ends_itself(tmp_path, server, undisturbed, stuck):
    child_file = tmp_path / "child"
    at = {"5": "hang"} if stuck else None  # in the step after the checkpoint waited for
    parent = server.start(
        "parent_of_train", root=tmp_path, child_file=child_file, pause=0.05, at=at, die_with_parent=True
    )
    wait_for_step(tmp_path, 5)
    child = int(child_file.read_text())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    wait_for(lambda: ended(child), seconds=2.5)
    if stuck:
        assert "stopped after" not in parent.output()
    else:
        assert f"process {parent.pid}, which this run belongs to, has ended" in parent.output()
        assert train(tmp_path).resumed_from > 5  # what it had done since the checkpoint was kept
        assert fingerprint(tmp_path) == undisturbed


def test_full_disk_leaves_the_earlier_checkpoint(tmp_path, server, undisturbed):
    run = server.start(root=tmp_path, at={"11": "full disk"})
    assert run.wait() == 1
    last_line = run.output().strip().splitlines()[-1]
    assert last_line.startswith("replication.errors.InputError: the checkpoint of step 15 could not be ")
    assert "File too large" in last_line and "earlier checkpoints are intact" in last_line
    assert not list(state_folder(tmp_path).glob(".*"))  # the part that fitted is removed
    again = server.start(root=tmp_path)
    assert again.wait() == 0 and "checkpoint of step 10" in again.output()
    assert fingerprint(tmp_path) == undisturbed


def test_images_seen_goes_on(tmp_path):
    clocks = []
    for steps_at in ({7: "raise"}, {}):
        trainable = ToyGAN(at=steps_at)
        options = {"steps": 10, "config": {}, "seed": 0, "device": "cpu", "checkpoint_steps": 5}
        with contextlib.suppress(AssertionError):
            report = fit(trainable, ToyBatches(), state_root=tmp_path, name="toy", **options)
        clocks.append(trainable.clock)
    assert clocks == [[BATCH * step for step in range(8)], [BATCH * step for step in range(5, 10)]]
    assert report.images_seen == 10 * BATCH
    assert [row["images_seen"] for row in read(report.history)] == [BATCH * step for step in range(1, 11)]
