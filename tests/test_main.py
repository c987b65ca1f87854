"""The command line: verbs, exit codes, one sentence for what cannot be used."""

from __future__ import annotations

import subprocess
import sys

import pytest

from replication import verbs
from replication.__main__ import main

VERBS = ["profile", "pipeline", "sources", "download", "doctor", "data", "masks", "train", "part", "evaluate", "tables"]
VERBS += [
    "figures",
    "costs",
    "plots",
    "claims",
    "site",
    "inspect",
    "metrics",
    "diff",
    "compare-losses",
    "provenance",
    "execute",
]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys, *arguments: str) -> str:
    """Exit code 2 and one line on standard error, which is returned."""
    assert main(list(arguments)) == 2
    out, error = capsys.readouterr()
    assert out == "" and error.startswith("error: ") and error.count("\n") == 1
    return error.removeprefix("error: ").strip()


def test_help_lists_every_verb(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    listed = [line.split()[0] for line in text.splitlines() if line.startswith("    ") and line[4] != " "]
    assert [verb for verb in listed if verb in VERBS] == VERBS
    assert all(hasattr(verbs, verb.replace("-", "_")) for verb in listed)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb, capsys):
    with pytest.raises(SystemExit) as caught:
        main([verb, "--help"])
    assert caught.value.code == 0 and f"python -m replication {verb}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["fly"], ["train"], ["part", "mdrnet.first_stage"]])
def test_impossible_arguments_exit_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2 and "usage:" in capsys.readouterr().err


def test_profiles(capsys, here):
    assert refused(capsys, "profile", "smoek").startswith("profile 'smoek' does not exist; did you mean 'smoke'?")
    assert not (here / "params.yaml").exists()
    assert main(["profile", "smoke"]) == 0
    assert capsys.readouterr().out == "params.yaml is now the profile smoke\n"
    assert main(["profile", "smoke"]) == 0
    assert capsys.readouterr().out == "params.yaml was already the profile smoke\n"


def test_keep_leaves_the_edits_of_the_active_profile(capsys, here):
    main(["profile", "smoke"])
    file = here / "params.yaml"
    edited = file.read_text().replace("seed: 0", "seed: 9", 1)
    file.write_text(edited)
    assert main(["profile", "smoke", "--keep"]) == 0 and file.read_text() == edited
    assert main(["profile", "demo", "--keep"]) == 0 and "profile: demo" in file.read_text()
    assert (here / "params.edited.yaml").read_text() == edited
    assert "the edited params.yaml is kept as params.edited.yaml" in capsys.readouterr().out


def test_a_misspelt_file_is_refused_not_replaced(capsys, here):
    main(["profile", "smoke"])
    file = here / "params.yaml"
    wrong = file.read_text().replace("seed: 0", "sede: 0", 1)
    file.write_text(wrong)
    capsys.readouterr()
    assert main(["profile", "--keep", "smoke"]) == 2 and file.read_text() == wrong
    told = capsys.readouterr().err
    assert told.startswith("error: 2 faults in params.yaml:\n  missing key 'seed'\n  sede: unknown key; did you mean")


@pytest.mark.parametrize("arguments", [["train", "full"], ["data", "ffhq"], ["masks"], ["evaluate", "full"], ["site"]])
def test_without_parameters(capsys, arguments):
    assert refused(capsys, *arguments).startswith("params.yaml does not exist; make it with `python -m replication")


def test_a_bad_parameter(capsys, here):
    main(["profile", "smoke"])
    capsys.readouterr()
    file = here / "params.yaml"
    file.write_text(file.read_text().replace("slots: 128", "slotz: 128", 1))
    assert refused(capsys, "masks").startswith("methods.mdrnet.memory.slotz: unknown key; did you mean 'slots'?")


@pytest.mark.parametrize("verb", ["train", "evaluate"])
def test_a_run_that_does_not_exist(capsys, verb):
    main(["profile", "smoke"])
    capsys.readouterr()
    assert refused(capsys, verb, "ful").startswith("run 'ful' does not exist; did you mean 'full'?")


def test_what_was_not_prepared_is_named(capsys):
    main(["profile", "smoke"])
    capsys.readouterr()
    assert "celebahq" in refused(capsys, "train", "pconv")
    assert "network of 'full' has not been trained yet" in refused(capsys, "evaluate", "full")


def test_a_notebook_that_does_not_exist(capsys):
    assert refused(capsys, "execute", "no.ipynb", "out.ipynb") == "notebook no.ipynb does not exist"


def test_a_parameter_that_is_no_yaml_is_refused(capsys, here):
    (here / "some.ipynb").write_text("{}")
    assert "-p bucket: " in refused(capsys, "execute", "some.ipynb", "out.ipynb", "-p", "bucket", "%x")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2024-01-01", "2024-01-01 is read as a date; put it in quotes"),
        ("{1: a, b: c}", "its key 1 is no text; put it in quotes"),
        ("010", "010 is read here, by YAML 1.1, as 8, and by DVC, by YAML 1.2, as 10; write"),
        ("no", "no is read here, by YAML 1.1, as false, and by DVC, by YAML 1.2, as the text 'no'; write"),
    ],
)
@pytest.mark.parametrize("verb", [("execute", "some.ipynb", "out.ipynb", "-p"), ("inspect", "full", "-o")])
def test_a_parameter_that_is_read_as_something_else_is_refused(capsys, here, verb, text, words):
    (here / "some.ipynb").write_text("{}")
    said = refused(capsys, *verb, "bucket", text)
    assert said.startswith(f"{verb[-1]} bucket: the value {text!r}: {words}") and not (here / "out.ipynb").exists()


@pytest.mark.parametrize("verb", [["doctor"], ["tables"], ["diff"]])
def test_a_date_without_quotes_is_one_sentence_of_every_verb(capsys, here, verb):
    main(["profile", "smoke"])
    file = here / "params.yaml"
    file.write_text(file.read_text().replace("\nnote: ", "\nnote: 2024-05-01  # ", 1))
    subprocess.run(["git", "init", "-q", "."], check=True)
    (here / "reports/metrics").mkdir(parents=True)
    (here / "reports/metrics/full.json").write_text('{"1-20%": {"PSNR": 20.0}, "made_by": [{}]}')
    subprocess.run(["git", "add", "params.yaml", "reports"], check=True)
    who = ["-c", "user.name=x", "-c", "user.email=x@y.z"]
    subprocess.run(["git", *who, "commit", "-qm", "a date"], check=True)
    capsys.readouterr()
    said = refused(capsys, *verb)
    assert "params.yaml" in said and "note, line 7: 2024-05-01 is read as a date; put it in quotes" in said


def test_an_interrupt_exits_with_130(capsys, monkeypatch):
    import replication.stages.tables

    def interrupted(parameters, paper):
        raise KeyboardInterrupt("full: stopped after step 3 of 9 (SIGTERM)")

    monkeypatch.setattr("replication.verbs._parameters", lambda: None)
    monkeypatch.setattr(replication.stages.tables, "write_tables", interrupted)
    assert main(["tables"]) == 130
    assert capsys.readouterr().err == "interrupted: full: stopped after step 3 of 9 (SIGTERM)\n"


def test_sources_and_download(capsys, here):
    assert main(["sources"]) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[0].split() == ["name", "here", "size", "consent", "what"] and "\ncelebahq " in text
    assert main(["sources", "vgg19"]) == 0
    assert "sha256 dcbb9e9d" in capsys.readouterr().out
    assert refused(capsys, "sources", "vgg").startswith("source 'vgg' does not exist; did you mean")
    assert refused(capsys, "download").startswith("download: name one or more of celebahq")
    assert refused(capsys, "download", "vgg").startswith("source 'vgg' does not exist")
    assert "params.yaml does not exist" in refused(capsys, "download", "--profile")
    assert not (here / "data").exists()


@pytest.mark.parametrize(
    ("words", "near"), [(["provenence", "x"], "provenance"), (["compare-loses"], "compare-losses"), (["zzz"], None)]
)
def test_misspelt_words_get_a_suggestion(capsys, words, near):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    error = capsys.readouterr().err
    assert stopped.value.code == 2 and "invalid choice" in error
    assert error.strip().endswith(f"did you mean {near!r}?") if near else "did you mean" not in error


def test_an_environment_without_the_packages_is_one_sentence(capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "replication.downloads.fetch", raising=False)
    monkeypatch.setitem(sys.modules, "replication.downloads.download", None)
    with pytest.raises(ModuleNotFoundError):  # a module of ours that is missing is a fault to be seen
        main(["sources"])
    monkeypatch.delitem(sys.modules, "replication.downloads.download")
    for name in [name for name in sys.modules if name.startswith("replication.downloads")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert "the package yaml is not in this environment; use the project's: `make install`" in refused(
        capsys, "sources"
    )


def test_a_reader_that_has_seen_enough_is_no_error():
    process = subprocess.Popen(
        [sys.executable, "-m", "replication", "sources"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()  # before anything is written
    assert process.stderr.read() == b"" and process.wait() == 1
    process.stderr.close()


def test_names_of_parameters_are_suggested(capsys):
    main(["profile", "smoke"])
    capsys.readouterr()
    assert refused(capsys, "data", "celebhq").startswith("data set 'celebhq' does not exist; did you mean 'celebahq'?")
    words = refused(capsys, "part", "mdrnet.first_stag", "celebahq")
    assert words.startswith(
        "'mdrnet.first_stag' is no part that is computed for a data set; did you mean 'mdrnet.first_"
    )
    words = refused(capsys, "part", "mdrnet.first_stage", "parsing")
    assert words.startswith("mdrnet.first_stage: 'parsing' is not among protocols.irregular.datasets (celebahq, ffhq)")
    assert refused(capsys, "train", "full", "--part", "vqvae") == "--part vqvae: MDRNets has the parts network"
    assert refused(capsys, "train", "full", "--repeat", "1").startswith("--repeat 1: full is trained 1 time(s)")
