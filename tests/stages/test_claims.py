"""The claims stage from evaluation folders to the page, and tables and site from the same small invented results."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from replication import paths
from replication.config import Run
from replication.errors import InputError
from replication.evaluation.frechet import frechet_distance
from replication.evaluation.protocol import VERSION
from replication.methods.registry import methods
from replication.papers import PAPERS, load_claims
from replication.reporting.claims.judging import DRAWS, read_claims_csv
from replication.reporting.tables.results import load_metrics
from replication.stages import claims as stage
from replication.stages.samples import Samples
from replication.stages.site import write_site
from replication.stages.tables import table_fragments, write_tables

BUCKETS = ("1-20%", "20-40%", "40-60%")
N = 40


@dataclass(frozen=True)
class Runs:
    """Of the parameters, what report stages ask for: the runs that a protocol measures."""

    names: tuple[str, ...] = ("full", "no_mrem", "no_inter")
    inspected: tuple[str, ...] = ("full",)

    def measured_runs(self) -> list[str]:
        return list(self.names)

    def run_names(self) -> list[str]:
        return list(self.names)

    def method_of(self, run: str):
        return methods()["mdrnet"]

    def run(self, name: str) -> Run:
        return Run(dataset="celebahq", protocol="irregular")

    def data_set(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(title="drawn faces", source="drawn")


PARAMETERS = Runs()


def evaluated(name: str, worse: float) -> None:
    """An evaluation folder and its metrics file; every image is worse than the original by about `worse`."""
    rng = np.random.default_rng(3)
    own = np.random.default_rng(len(name))
    folder = paths.RESULTS / name / "seed_0"
    folder.mkdir(parents=True)
    real = rng.normal(size=(N, 4)).astype(np.float32)
    features, tables, metrics = {}, [], {}
    for bucket in BUCKETS:
        damage = worse + 0.3 * rng.random(N) + 0.02 * own.random(N)
        features[bucket] = (real + damage[:, None]).astype(np.float32)
        table = pd.DataFrame(
            {"image_row": np.arange(N), "image_id": [f"i{k}" for k in range(N)], "mask_row": np.arange(N)}
        )
        table = table.assign(bucket=bucket, ratio=0.1, L1_percent=damage, PSNR=30 - damage, SSIM=1 - damage / 10)
        tables.append(table)
        metrics[bucket] = {key: float(table[key].mean()) for key in ("L1_percent", "PSNR", "SSIM")}
        metrics[bucket]["FD"] = float(frechet_distance(features[bucket], real))
    metrics["made_by"] = [
        {
            "profile": "demo", "comparable": False, "dataset": "celebahq", "dataset_title": "drawn faces",
            "image_size": 64, "images_per_bucket": N, "seeds": [0],
            "features": "FD (test)", "steps": 5, "pairs": "abc", "weights_sha256": name,
            "protocol": {"version": VERSION},
        }
    ]  # fmt: skip
    pd.concat(tables, ignore_index=True).to_parquet(folder / "per_image.parquet", index=False)
    np.savez(folder / "features.npz", **features, real=real, real_image_row=np.arange(N))
    np.savez(folder / "samples.npz", **{bucket: np.zeros((1, 4, 4, 3), np.uint8) for bucket in BUCKETS})
    card = {"run": name, "dataset": "celebahq", "pairs_sha256": "abc", "samples": dict.fromkeys(BUCKETS, 1)}
    (folder / "card.json").write_text(json.dumps(card | {"metrics": metrics}))
    paths.METRICS.mkdir(parents=True, exist_ok=True)
    (paths.METRICS / f"{name}.json").write_text(json.dumps(metrics))


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evaluated("full", 1.0)
    evaluated("no_mrem", 1.5)
    return tmp_path


def test_claims_are_written_and_shown(checkout):
    path = stage.write_claims(PARAMETERS)
    assert path == paths.CLAIMS
    claims = read_claims_csv(path).set_index("id")
    assert len(claims) == sum(len(load_claims(paper)) for paper in PAPERS)
    assert (claims.verdict["C14"], claims.probability["C14"], claims.direction["C14"]) == ("one training", 1.0, "same")
    assert "run no_mrem_no_dmm was not measured" in claims.measured_evidence["C12"]
    # A run of the parameters that has no metrics file is missing like any other.
    assert "run no_inter was not measured" in claims.measured_evidence["C16"]
    first = path.read_bytes()
    assert stage.write_claims(PARAMETERS).read_bytes() == first
    fragment = stage.claims_fragment(PARAMETERS)
    assert fragment.startswith("<style>") and "../notebooks/evaluate/no_mrem.html" in fragment


def test_runs_that_left_the_parameters_are_not_judged(checkout):
    stage.write_claims(Runs(("full",)))
    row = read_claims_csv(paths.CLAIMS).set_index("id").loc["C14"]
    assert row.verdict == "not run" and "run no_mrem was not measured" in row.measured_evidence


def test_draws_are_joint_and_many(checkout):
    metrics = load_metrics(paths.METRICS, {"full", "no_mrem"})
    draws = stage.claim_draws(metrics, Samples())
    assert set(draws) == {(e, b, k) for e in metrics for b in BUCKETS for k in ("L1_percent", "FD", "PSNR", "SSIM")}
    assert all(values.shape == (DRAWS,) for values in draws.values())
    # The same images are drawn for both runs and for all metrics of a bucket.
    a, b = (draws[name, "1-20%", "PSNR"] for name in ("full", "no_mrem"))
    assert np.corrcoef(a, b)[0, 1] > 0.99
    assert np.corrcoef(a, draws["full", "1-20%", "L1_percent"])[0, 1] < -0.99


def test_a_run_without_a_number_that_a_claim_reads_is_missing(checkout):
    path = paths.METRICS / "no_mrem.json"
    metrics = json.loads(path.read_text())
    for bucket in BUCKETS:
        metrics[bucket].pop("L1_percent")
    path.write_text(json.dumps(metrics))
    stage.write_claims(PARAMETERS)
    row = read_claims_csv(paths.CLAIMS).set_index("id").loc["C14"]
    assert row.verdict == "not run" and "run no_mrem has no L1_percent" in row.measured_evidence


def test_results_of_another_run_than_the_metrics_are_refused(checkout):
    path = paths.METRICS / "full.json"
    metrics = json.loads(path.read_text())
    metrics["20-40%"]["PSNR"] += 0.5
    path.write_text(json.dumps(metrics))
    with pytest.raises(InputError, match=r"full\.json has PSNR .* at 20-40%, but its results give"):
        stage.write_claims(PARAMETERS)


def test_nan_in_a_result_is_refused(checkout):
    path = paths.RESULTS / "full" / "seed_0" / "per_image.parquet"
    table = pd.read_parquet(path)
    table.loc[7, "SSIM"] = np.nan
    table.to_parquet(path, index=False)
    with pytest.raises(InputError, match="SSIM of image 'i7'"):
        stage.write_claims(PARAMETERS)


def test_results_of_another_version_of_the_protocol_are_refused_with_the_stage_that_makes_them_anew(checkout):
    path = paths.METRICS / "full.json"
    metrics = json.loads(path.read_text())
    metrics["made_by"][0]["protocol"]["version"] = VERSION - 1
    path.write_text(json.dumps(metrics))
    words = f"measured under version {VERSION - 1} of the protocol, this is version {VERSION}"
    with pytest.raises(InputError, match=words + "; run `dvc repro evaluate_mdrnet@full`"):
        stage.write_claims(PARAMETERS)
    del metrics["made_by"][0]["protocol"]
    path.write_text(json.dumps(metrics))
    with pytest.raises(InputError, match="names no version of the protocol"):
        stage.write_claims(PARAMETERS)


def test_the_site_has_the_claims_once_they_are_written(checkout):
    assert 'id="claims"' not in write_site(PARAMETERS).read_text()
    stage.write_claims(PARAMETERS)
    text = write_site(PARAMETERS).read_text()
    assert '<section id="claims"' in text and 'href="notebooks/evaluate/no_mrem.html"' in text


def test_the_site_lists_runs_that_no_paper_has(checkout):
    evaluated("mine", 1.2)
    text = write_site(Runs((*PARAMETERS.names, "mine"))).read_text()
    assert 'id="run-mine"' in text and 'id="run-full"' in text
    assert text.count("not measured yet") == 1 and "Runs</b> 3 of 4 measured" in text  # no_inter


def test_tables_go_into_the_folder_of_their_paper(checkout):
    written = write_tables(PARAMETERS, "showface")
    assert [path.as_posix() for path in written[:4]] == [
        f"reports/tables/showface/table1.{suffix}" for suffix in ("csv", "md", "html", "tex")
    ]
    assert len(written) == 16 and all(path.is_file() for path in written)
    changes = pd.read_csv(paths.TABLES / "showface" / "table2.csv").query("run == 'no_mrem' and metric == 'PSNR'")
    assert (changes.change < 0).all() and (changes.change_high < 0).all()  # paired over the same images
    assert written[2].read_text() == table_fragments(PARAMETERS, "showface")[0]
    with pytest.raises(InputError, match=r"paper 'exgan' has no tables to be measured .*\(allowed: showface\)"):
        write_tables(PARAMETERS, "exgan")
