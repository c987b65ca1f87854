"""Two processes train as one process on the joint batch."""

from __future__ import annotations

import os
import signal
import socket

import pytest
import torch
from toy_runs import BATCH, fingerprint, train, wait_for

from replication.distributed import BUCKET_BYTES, Distributed, _buckets, all_reduce_sum, current
from replication.errors import InputError
from replication.training.history import read


def start_two(server, root, **arguments):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "GLOO_SOCKET_IFNAME": "lo"}
    return [
        server.start(environment=shared | {"RANK": rank, "LOCAL_RANK": rank}, root=root, **arguments)
        for rank in range(2)
    ]


def final_state(root, steps):
    (path,) = root.glob(f"toy/*/step-{steps:09d}.pt")
    return torch.load(path, weights_only=True)


def test_two_ranks_equal_one_process_on_the_joint_batch(tmp_path, server):
    options = {"steps": 5, "noise": False, "history_every": 1}
    train(tmp_path / "one", **options)
    runs = start_two(server, tmp_path / "two", **options)
    assert [run.wait() for run in runs] == [0, 0], runs[0].output() + runs[1].output()
    one, two = final_state(tmp_path / "one", 5), final_state(tmp_path / "two", 5)
    for name, tensor in one["trainable"].items():  # includes the average, summed over ranks
        assert torch.allclose(tensor, two["trainable"][name], rtol=0, atol=1e-6), name
    assert one["trainable"]["average"].abs().max() > 1e-3
    for name, optimizer in one["optimizers"].items():
        for index, moments in optimizer["state"].items():
            for key, value in moments.items():
                other = two["optimizers"][name]["state"][index][key]
                assert torch.allclose(value, other, rtol=1e-4, atol=1e-6), (name, index, key)
    rows = [read(next((tmp_path / name).glob("toy/*/history.jsonl"))) for name in ("one", "two")]
    for ours, theirs in zip(*rows, strict=True):
        assert ours["images_seen"] == theirs["images_seen"] == BATCH * ours["step"]
        assert ours["g"] == pytest.approx(theirs["g"], abs=1e-6)
    assert runs[1].output() == ""  # rank 0 alone speaks


def test_two_ranks_stop_together_and_resume_bit_identical(tmp_path, server):
    straight = start_two(server, tmp_path / "straight")
    interrupted = start_two(server, tmp_path / "interrupted", pause=0.02, checkpoint_steps=30)
    wait_for(lambda: any(map(read, (tmp_path / "interrupted").glob("toy/*/history.jsonl"))))
    os.kill(interrupted[1].pid, signal.SIGTERM)  # one rank alone is told
    assert [run.wait() for run in interrupted] == [130, 130], interrupted[0].output()
    assert "asked by another rank" in interrupted[0].output()
    resumed = start_two(server, tmp_path / "interrupted", checkpoint_steps=30)
    assert [run.wait() for run in straight + resumed] == [0, 0, 0, 0], resumed[0].output()
    assert "going on from the checkpoint of step" in resumed[0].output()
    assert fingerprint(tmp_path / "interrupted") == fingerprint(tmp_path / "straight")


def test_nan_on_one_rank_stops_both(tmp_path, server):
    runs = start_two(server, tmp_path, broken=7)  # image 1 of 4 belongs to rank 0
    assert [run.wait() for run in runs] == [1, 1]
    for run in runs:
        assert "NonFiniteError: step 7, optimiser 'd'" in run.output()


def test_one_process_is_a_group_of_one():
    group = current()
    tensor = torch.arange(3.0)
    assert (group.rank, group.world_size, group.is_main) == (0, 1, True)
    assert all_reduce_sum(tensor) is tensor
    assert all_reduce_sum([tensor])[0] is tensor
    assert group.broadcast_number(5) == 5
    group.barrier()


def test_processes_that_cannot_meet_say_where(monkeypatch):
    for key, value in {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost"}.items():
        monkeypatch.setenv(key, value)
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("MASTER_PORT", str(port))
        with pytest.raises(InputError, match=f"could not meet at localhost:{port}"):
            current()


def test_buckets_part_by_type_and_size():
    big = torch.empty(BUCKET_BYTES // 4 // 2 + 1)
    tensors = [torch.empty(2), torch.empty(2, dtype=torch.int64), torch.empty(3), big, big]
    assert _buckets(tensors) == [[0, 2, 3], [1], [4]]


def test_batch_norm_over_ranks_needs_cuda():
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), torch.nn.BatchNorm2d(1))
    with pytest.raises(InputError, match=r"batch norm \(1\) over 2 processes needs CUDA"):
        Distributed(0, 2).sync_batch_norm(module, torch.device("cpu"))
    Distributed(0, 1).sync_batch_norm(module, torch.device("cpu"))
    Distributed(0, 2).sync_batch_norm(module, torch.device("cuda"))
    assert isinstance(module[1], torch.nn.SyncBatchNorm)
