"""The command line as a user meets it: one sentence and an exit status for what is wrong."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest

from edgekit import cli, store


def edgekit(*arguments, **environment):
    return subprocess.run([sys.executable, "-c", "import sys; from edgekit.cli import main; sys.exit(main())", *arguments],
                          capture_output=True, text=True, env=os.environ | environment)


@pytest.mark.parametrize("arguments, says", [
    (["run", "02_baseline", "--profile", "pokcet"], "unknown profile 'pokcet'; known: apple-m2-pro"),
    (["report", "--profile", "nope"], "unknown profile 'nope'; known: apple-m2-pro"),
    (["run", "99_nothing"], "unknown notebook '99_nothing'; known: 00_published_claims"),
    (["run"], "name notebooks, or --all; known: 00_published_claims, 01_scale_models, 02_baseline"),
    (["measure", "published_claims", "--profile", "ci"], "00_published_claims measures nothing, it computes; run its notebook"),
    (["measure", "basline"], "unknown notebook 'basline'; known: 00_published_claims"),
    (["measure", "basline", "--profile", "ci"], "did you mean 02_baseline?"),
    (["run", "02_baseline", "--profile", "pokcet"], "did you mean pocket?"),
    (["plan", "03_quantisation"], "did you mean 03_quantization?"),
    (["plan"], "name notebooks, or --all; known: 00_published_claims"),
    (["pln"], "unknown command 'pln'; known: plan, run, measure"),
    (["models", "lst"], "unknown action 'lst'; known: list, check, fetch, train; did you mean list?"),
    (["models", "train", "pocket-200k", "--device", "cda"], "unknown device 'cda'; known: cpu, cuda; did you mean cuda?"),
    (["run", "--profil"], "expected one argument; edgekit run --help says what there is"),
    (["publish"], "the following arguments are required: notebook; edgekit publish --help says what there is"),
    (["claims", "S2.22"], "did you mean S2.2?"),
    (["models", "train", "pocket-20k"], "did you mean pocket-200k?"),
    (["claims", "S9.9"], "unknown claim 'S9.9'; known: S1.1, S1.2"),
    (["models", "train", "pocket-9t"], "unknown pocket model 'pocket-9t'; known: pocket-200k"),
])
def test_unknown_names_end_with_one_sentence_and_status_2(arguments, says, capsys):
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert says in error and error.startswith("edgekit: ") and error.count("\n") == 1


def test_a_report_without_a_run_says_what_to_run_first(tmp_path):
    done = edgekit("report", "--profile", "ci", EDGEKIT_OUTPUT=str(tmp_path))
    assert done.returncode == 1 and "run edgekit run first" in done.stderr and "Traceback" not in done.stderr


@pytest.fixture
def home(tmp_path):
    """The kit's data, params and notebooks in a folder that a test may damage."""
    for folder in ("data", "params", "notebooks"):
        shutil.copytree(store.ROOT / folder, tmp_path / folder)
    return tmp_path


def change(home, old, new):
    file = home / "params/ci/02_baseline.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


@pytest.mark.parametrize("old, new, says", [
    ("timeout_s: 600.0", "timeout_s: 1e2", "timeout_s: YAML reads 1e2 as a text; write 100.0"),
    ("device: cpu", "device: no", "device: YAML reads no as false (yes, no, on and off too); write that, or 'no' in quotes"),
    ("repeats: 2", "repeets: 2", "unknown parameter 'repeets'; known: profile"),
    ("pocket-200k", "pocket-201k", "unknown pocket model 'pocket-201k'; known: pocket-200k"),
    ("llama_cpp/float16", "lama_cpp/float16", "unknown engine 'lama_cpp'; known: transformers"),
])
def test_a_mistake_in_a_params_file_stops_both_commands_before_anything_runs(home, old, new, says):
    change(home, old, new)
    for command in (["run", "02_baseline", "--profile", "ci"], ["measure", "baseline", "--profile", "ci"]):
        done = edgekit(*command, EDGEKIT_HOME=str(home))
        assert done.returncode == 2 and says in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not (home / "runs").exists()


def test_nothing_is_measured_where_rows_are_opened_from_elsewhere(home):
    change(home, "rows: measure", "rows: data/results/far-board")
    done = edgekit("measure", "baseline", "--profile", "ci", EDGEKIT_HOME=str(home))
    assert done.returncode == 2 and "rows are opened from data/results/far-board" in done.stderr
    assert not (home / "runs").exists()


def test_weights_with_a_wrong_hash_and_missing_weights_are_named(home):
    weights = home / "data/models/pocket-200k/model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-5] ^= 255
    weights.write_bytes(bytes(data))
    done = edgekit("measure", "baseline", "--profile", "ci", EDGEKIT_HOME=str(home))
    assert done.returncode == 2 and "pocket-200k: model.safetensors has the wrong content" in done.stderr
    weights.unlink()
    done = edgekit("measure", "baseline", "--profile", "ci", EDGEKIT_HOME=str(home))
    assert done.returncode == 2 and re.search("no weights in .*pocket-200k", done.stderr)


def test_a_reader_that_leaves_is_no_failure():
    """As in `edgekit models list | head -1`: the end of a pipe is not heard of, and another pipe that breaks is."""
    program = "import sys; from edgekit.cli import main; sys.exit(main({}))"
    for arguments in (["models", "list"], ["parameters"]):
        child = subprocess.Popen([sys.executable, "-c", program.format(arguments)], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE)
        child.stdout.close()
        assert (child.stderr.read(), child.wait()) == (b"", 141)
    broken = ("from edgekit import cli\ndef fail(options): raise BrokenPipeError(32, 'a worker died')\ncli._doctor = fail\n"
              "cli.main(['doctor'])")
    done = subprocess.run([sys.executable, "-c", broken], capture_output=True, text=True)
    assert done.returncode == 1 and "BrokenPipeError: [Errno 32] a worker died" in done.stderr


@pytest.mark.parametrize("line, expected", [
    ("edgekit pl", ["plan"]), ("edgekit run 03", ["03_quantization"]), ("edgekit claims ER.", ["ER.1", "ER.2", "ER.3", "ER.4"]),
    ("edgekit plan --profile po", ["pocket"]), ("edgekit models train pocket-9", ["pocket-900k"])])
def test_a_shell_completes_commands_notebooks_profiles_and_claims(line, expected, tmp_path):
    """By argcomplete's own protocol, in a process that could import nothing heavy."""
    said = tmp_path / "completions"
    program = ("import sys\nfor name in ('numpy', 'pandas', 'torch', 'IPython', 'matplotlib'): sys.modules[name] = None\n"
               "from edgekit.cli import main; main()")
    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ | {
        "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line, "COMP_POINT": str(len(line)),
        "_ARGCOMPLETE_STDOUT_FILENAME": str(said)})
    assert said.read_text().split() == expected


def test_models_list_and_check(home):
    done = edgekit("models", "list")
    head, *lines = done.stdout.splitlines()
    assert done.returncode == 0 and head.split()[:4] == ["model", "parameters", "tokens", "seen"]
    [think] = [line for line in lines if line.startswith("pocket-200k")]
    assert think.split()[1:4] == ["188,864", "7,372,800", "pocket_chain_think"]
    at = head.index("depth 2") + len("depth 2")
    pocket = lines[:lines.index("")]
    assert {line[at - 1] for line in pocket if line[at - 7:at].strip()} == {")"}, "columns end below their headings"
    assert any(line.startswith("smollm2-135m-instruct ") for line in lines[len(pocket):])
    assert edgekit("models", "check").returncode == 0
    (home / "data/models/pocket-200k/tokenizer.json").write_text("{}")
    broken = edgekit("models", "check", EDGEKIT_HOME=str(home))
    assert broken.returncode == 1 and "tokenizer.json" in broken.stderr
