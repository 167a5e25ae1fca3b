"""The command line as a person or a script meets it: exit codes, the one line of an error, formats, streams."""

from __future__ import annotations

import csv
import dataclasses
import errno
import io
import json
import os
import pty
import queue
import re
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

import etl
from etl.cli import analysis, output, progress
from etl.store import Store
from tests.command import Done, Run

HERE = Path(__file__).parent
DIGITS = HERE / "data" / "digits_cnn.h5"
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(etl.__file__).parents[1]), "COLUMNS": "200"} | more


def one_line(done: Done) -> str:
    """The message of a failed command: one line, nothing else."""
    assert done.code == 1, done
    assert done.err.startswith("error: ") and done.err.count("\n") == 1, done.err
    return done.err[len("error: ") : -1]


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *arguments: object, **more: str) -> None:
        inner, outer = pty.openpty()
        self.screen, self.fd = "", inner
        command = [sys.executable, "-m", "etl", *map(str, arguments)]
        self.process = subprocess.Popen(
            command,
            stdin=outer,
            stdout=outer,
            stderr=outer,
            env=environment(TERM="xterm-256color", **more),
            start_new_session=True,
            preexec_fn=terminal,
        )
        os.close(outer)

    def until(self, wanted: str, seconds: float = 60) -> None:
        """Read until something is on the screen."""
        deadline = time.monotonic() + seconds
        while wanted not in self.screen:
            assert self.read(deadline), f"{wanted!r} never came: {self.screen}"

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def end(self, seconds: float = 60) -> int:
        """Read until the command ends; its exit code."""
        while self.read(time.monotonic() + seconds):
            pass
        code = self.process.wait(seconds)
        os.close(self.fd)
        return code

    def read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self.fd], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            return False
        try:
            read = os.read(self.fd, 65536)
        except OSError as error:
            if error.errno != errno.EIO:  # how Linux says that the other side is closed
                raise
            return False
        self.screen += read.decode("utf-8", "replace")
        return bool(read)


def terminal() -> None:
    """Make stdin the controlling terminal of a new session: that is where ^C comes from."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


# Without a store


def test_plan_json_is_one_object(run: Run) -> None:
    done = run("plan", DIGITS, "--format", "json")
    assert done.code == 0 and done.err == ""
    found = json.loads(done.out)
    assert (found["neurons"], found["edges"], found["parameters"]) == (1306, 47360, 2698)
    assert found["density"] == 47360 / (1306 * 1305)
    assert [layer["name"] for layer in found["layers"]] == ["pixels", "strokes", "shapes", "pool", "flatten", "dropout", "digit"]
    assert found["layers"][-1] == {"name": "digit", "type": "Dense", "shape": [10], "neurons": 10, "edges": 1440, "parameters": 1450, "density": 1.0}


def test_plan_json_says_what_the_table_says(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is free and to be fetched, and of a graph that is too much what would fit; under the names of `etl.Plan` and of the README."""
    from etl.graph import estimate

    monkeypatch.setattr(estimate, "MOST_EDGES", 5000)
    found = json.loads(run("plan", DIGITS, "--format", "json").out)
    assert list(found) == [field.name for field in dataclasses.fields(etl.Plan)]
    assert found["free_bytes"] > 0 and found["fitting_edges"] == 5000 and found["lacking"] is None
    said = run("plan", DIGITS).out.partition("Instead:")[2]
    assert found["smaller"] and all(f"{offer['option']} " in said and f"{offer['edges']:,}" in said for offer in found["smaller"])
    readme = (HERE.parent / "README.md").read_text()
    named = re.search(r"`plan --format json` \((.*?)\)", readme, re.DOTALL)
    assert named and set(re.findall(r"\w+", named[1])) >= set(found)


def test_plan_csv_has_a_row_a_layer(run: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(run("plan", DIGITS, "--format", "csv").out)))
    assert [row["edges"] for row in rows] == ["0", "3872", "41472", "576", "0", "0", "1440"]
    assert rows[0]["shape"] == "[8, 8, 1]" and rows[0]["density"] == ""


def test_plan_table(run: Run) -> None:
    done = run("plan", DIGITS)
    assert "shapes    Conv2D         [6, 6, 16]       576   41,472        1,168" in done.out
    assert "digits_cnn: 1,306 neurons, 47,360 edges, 2,698 parameters" in done.out
    assert "Too big" not in done.out


def test_dry_run_is_the_plan(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETL_HOME", str(tmp_path / "none"))
    assert run("load", DIGITS, "--dry-run").out == run("plan", DIGITS).out
    assert not (tmp_path / "none").exists()


def test_status_fetches_nothing(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither where there is no store, nor where only the download was deleted."""
    monkeypatch.setenv("ETL_HOME", str(tmp_path))
    assert "No models yet" in run("status").out
    (tmp_path / "neo4j/data/databases/system").mkdir(parents=True)
    assert "`etl neo4j start` fetches it again" in one_line(run("status"))
    assert not (tmp_path / "cache").exists()


def test_plan_names_what_would_fit(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each offer, taken as it is written, makes the graph that it promises."""
    from etl.graph import estimate

    monkeypatch.setattr(estimate, "MOST_EDGES", 5000)
    said = run("plan", DIGITS).out.partition("Instead:")[2]
    offers = re.findall(r"^(--\S+ \S+) +([\d,]+) +([\d,]+)", said, re.MULTILINE)
    assert {option.split()[0] for option, _, _ in offers} == {"--granularity", "--layers", "--top-k"}
    for option, neurons, edges in offers:
        found = json.loads(run("plan", DIGITS, *option.split(), "--format", "json").out)
        assert (found["neurons"], found["edges"]) == (int(neurons.replace(",", "")), int(edges.replace(",", "")))
        assert found["edges"] <= 5000


def test_smaller_inputs_are_offered(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of a model that takes pictures of any size: the digits' network up to its second convolution, as if made for 256x256."""
    import h5py

    from etl.graph import estimate

    wide = tmp_path / "wide.h5"
    wide.write_bytes(DIGITS.read_bytes())
    with h5py.File(wide, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"] = config["config"]["layers"][:3]
        config["config"]["layers"][0]["config"]["batch_shape"] = [None, 256, 256, 1]
        file.attrs["model_config"] = json.dumps(config)
        file["model_weights"].attrs["layer_names"] = ["strokes", "shapes"]
        for name in ("pool", "flatten", "dropout", "digit"):
            del file["model_weights"][name]
    monkeypatch.setattr(estimate, "MOST_EDGES", 1_200_000)
    side = 32  # 64x64 would be 4.7 million
    edges = 8 * (3 * side - 2) ** 2 + 16 * (side - 2) ** 2 * 3 * 3 * 8
    done = run("plan", wide)
    assert done.code == 0, done.err
    said = done.out
    assert re.search(rf"^--input-shape 32,32,1 .* {edges:,}$", said, re.MULTILINE), said


def test_export_needs_a_known_suffix(run: Run, tmp_path: Path) -> None:
    assert "call it .parquet, .graphml or .npz" in one_line(run("export", DIGITS, tmp_path / "x.doc"))


def test_export_is_quiet(run: Run, tmp_path: Path) -> None:
    assert run("export", DIGITS, tmp_path / "x.parquet", "--quiet") == Done(0, "", "")
    assert (tmp_path / "x.parquet" / "model.json").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plan", "nowhere.h5"], "nowhere.h5"),
        (["plan", DIGITS, "--input-shape", "9,9"], "does not fit"),
        (["plan", DIGITS, "--layers", "strokes..nothing"], "nothing"),
        (["query", "sumary"], "did you mean summary?"),
        (["query", "summary", "modell=x"], "did you mean model?"),
        (["query", "strongest_inputs", "model=x"], "needs neuron"),
        (["query", "strongest_inputs", "model=x", "neuron=five"], "neuron is a neuron's address"),
        (["query", "strongest_inputs", "model=x", "neuron=1", f"limit={10**20}"], "64 bits"),
        (["query", "strongest_inputs", "model=x", "neuron=1", "limit=Infinity"], "limit is an INTEGER"),
        (["query", "forward", "model=x", f"input={[[0.5] * 64]}"], "each value is a FLOAT, not [0.5, 0.5,"),
        (["query", "forward", "input=@nowhere.json"], "nowhere.json can't be read"),
        (["query", "forward", f"input=@{DIGITS}"], "holds no JSON"),
        (["query", "summary", "--classes", "nowhere.txt"], "nowhere.txt can't be read as a list of classes (No such file or directory): write"),
        (["query", "--cypher", "nowhere.cypher"], "nowhere.cypher can't be read as a statement (No such file or directory)"),
        (["verify", DIGITS, "--input", "nowhere.npy"], "nowhere.npy can't be read as an array (No such file or directory): save"),
        (["verify", DIGITS, "--input", DIGITS], "can't be read as an array"),
    ],
)
def test_a_mistake_is_one_line(run: Run, arguments: list[object], said: str) -> None:
    assert said in one_line(run(*arguments))


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan"],
        ["plan", DIGITS, "--input-shape", "wide"],
        ["plan", DIGITS, "--layers", "conv"],
        ["plan", DIGITS, "--granularity", "atom"],
        ["plan", DIGITS, "--top-k", "0"],
        ["plan", DIGITS, "--format", "xml"],
        ["load", DIGITS, "--mode", "fast"],
        ["query", "summary", "model"],
        ["query", "summary", "model=a", "model=b"],
        ["fly"],
    ],
)
def test_usage_exits_with_2(run: Run, arguments: list[object]) -> None:
    done = run(*arguments)
    assert done.code == 2 and done.out == ""
    assert done.err.startswith("error: ") and done.err.count("\n") == 1 and done.err.endswith("--help` says more\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plann", DIGITS], "there is no command plann (did you mean plan?); `etl --help`"),
        (["neo4j", "strt"], "there is no command strt (did you mean start?); `etl neo4j --help`"),
        (["plan", DIGITS, "--gran", "channel"], "there is no option --gran (did you mean --granularity?); `etl plan --help`"),
        (["plan", DIGITS, "--granularity", "chanel"], "'--granularity': chanel is none of neuron, channel, layer (did you mean channel?)"),
        (["verify", DIGITS, "--in", "stor"], "'--in': stor is not store (did you mean store?); `etl verify --help`"),
        (["measure", "digits_cnn", "strenth"], "laplacian_spectrum (did you mean strength?); `etl measure --help`"),
        (["measure", "digits_cnn"], "missing argument 'MEASURE'"),
        (["plan", DIGITS, "--top-k", "x"], "'--top-k': it should be a whole number; `etl plan --help`"),
        (["plan", DIGITS, "--top-k", "0"], "'--top-k': it should be greater than or equal to 1; `etl plan --help`"),
        (["plan", DIGITS, "more"], "nothing takes more: it is one word too many, or needs its option before it; `etl plan --help`"),
        (["plan", DIGITS, "--layers", "a"], "'a' is no range of layers: write it like conv_1..dense_0"),
    ],
)
def test_usage_suggests(run: Run, arguments: list[object], said: str) -> None:
    assert said in run(*arguments).err


@pytest.mark.parametrize("arguments", [[], ["plot"], ["neo4j"]])
def test_a_group_alone_shows_its_help(run: Run, arguments: list[str]) -> None:
    done = run(*arguments)
    assert "Commands" in done.out and done.err == ""


def test_help_explains_every_measure(run: Run) -> None:
    text = " ".join(run("measure", "--help").out.split())
    assert all(f"{name}: {meaning[:20]}" in text for name, meaning in analysis.MEASURES.items())


def test_one_is_one() -> None:
    assert [output.counted(n, "neuron") for n in (0, 1, 2, 1306)] == ["0 neurons", "1 neuron", "2 neurons", "1,306 neurons"]
    assert output.cell("weights", 1234567) == "1,234,567" and output.cell("id", 1234567) == "1234567"


@pytest.mark.skipif(sys.platform != "linux", reason="drops root's right to read everything as Linux does")
def test_no_permission_is_one_line(tmp_path: Path) -> None:
    """Not the wrong usage that typer makes of it."""
    path = tmp_path / "secret.h5"
    path.write_bytes(DIGITS.read_bytes())
    path.chmod(0)
    unprivileged = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []
    done = subprocess.run([*unprivileged, sys.executable, "-m", "etl", "plan", path], capture_output=True, text=True, check=False, env=environment())
    assert "secret.h5" in one_line(Done(done.returncode, done.stdout, done.stderr))


def test_control_characters_in_names_stay_text(run: Run, tmp_path: Path) -> None:
    """A file name, like a layer's, may hold what steers a terminal."""
    path = tmp_path / "\x1b[31mred\nline.h5"
    message = one_line(run("plan", path))
    assert "\x1b" not in message and "\\x1b[31mred\\nline.h5" in message
    path.write_bytes(DIGITS.read_bytes())
    done = run("plan", path)
    assert done.code == 0 and "\x1b" not in done.out


def test_every_command_teaches_by_an_example(run: Run) -> None:
    found, groups = set(), [()]
    for group in groups:
        commands = re.findall(r"^│ (\w+) ", run(*group, "--help").out.partition("Commands")[2], re.MULTILINE)
        for command in ((*group, name) for name in commands):
            done = run(*command, "--help")
            if "COMMAND [ARGS]" in done.out:
                groups.append(command)
                continue
            found.add(" ".join(command))
            assert done.code == 0 and f"Example: etl {' '.join(command)}" in done.out, command
    assert {"plan", "load", "export", "query", "verify", "status", "delete", "layers", "split", "neo4j open", "plot adjacency"} <= found


def test_options_of_the_graph_are_the_same_everywhere(run: Run) -> None:
    for command in ("plan", "load", "export", "verify"):
        said = run(command, "--help").out
        assert all(option in said for option in ("--input-shape", "--layers", "--granularity", "--min-weight", "--top-k", "--fold", "--architecture"))


def test_queries_are_listed_with_their_titles(run: Run) -> None:
    rows = json.loads(run("query", "--format", "json").out)
    assert {"name": "summary", "title": "What a model is, in one row"} in rows


def test_layers_tells_kinds_and_options(run: Run) -> None:
    rows = {row["kind"]: row["options"] for row in json.loads(run("layers", "--format", "json").out)}
    assert {"strides", "padding", "dilation_rate", "groups"} <= set(rows["Conv2D"])
    assert "kernel" not in rows["Conv2D"] and "Dense" in rows


def test_verify_compares_every_layer(run: Run) -> None:
    rows = json.loads(run("verify", DIGITS, "--format", "json").out)
    assert {row["layer"] for row in rows} >= {"strokes", "shapes", "pool", "digit"}
    assert max(row["relative"] for row in rows) < 1e-5


def test_completion_knows_the_queries() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "etl"],
        env=environment(_ETL_COMPLETE="complete_bash", COMP_WORDS="etl query sum", COMP_CWORD="2"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["summary"], done


def test_a_closed_pipe_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "etl", "layers"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(PYTHONUNBUFFERED="1")
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    process.wait()


def test_nobody_listens() -> None:
    """`etl plan MODEL >&-`: closed before it starts."""
    done = subprocess.run(
        [sys.executable, "-m", "etl", "plan", DIGITS],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env=environment(),
        preexec_fn=lambda: os.close(1),
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_locale_without_the_letter(tmp_path: Path) -> None:
    (tmp_path / "é.h5").write_bytes(DIGITS.read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "etl", "plan", "é.h5"], cwd=tmp_path, capture_output=True, check=False, env=environment(PYTHONIOENCODING="ascii")
    )
    assert done.returncode == 0 and rb"\xe9: 1,306 neurons" in done.stdout, done.stderr


def test_a_narrow_terminal_shows_all_columns() -> None:
    """One part of the table below the other; no number is cut, each row says whose it is."""
    shown = Terminal("plan", DIGITS, COLUMNS="50")
    assert shown.end() == 0
    lines = [line.rstrip() for line in ANSI.sub("", shown.screen).splitlines()]
    table = lines[: next(n for n, line in enumerate(lines) if line.startswith("digits_cnn:"))]
    assert all(len(line) <= 50 for line in table)
    titles = [line.split() for line in table if line.startswith("name")]
    assert [title for line in titles for title in line if title != "name"] == ["type", "shape", "neurons", "edges", "parameters", "density"]
    assert len(titles) > 1 and sum("strokes" in line for line in table) == len(titles)
    assert "0.00694444" in "\n".join(table) and "41,472" in "\n".join(table)


def test_columns_go_in_groups_that_tell_their_rows() -> None:
    assert output.column_groups({"layer": 5, "kernel": 6, "mean": 9, "std": 9}, 2, 80) == [["layer", "kernel", "mean", "std"]]
    assert output.column_groups({"layer": 5, "kernel": 6, "mean": 9, "std": 9}, 2, 27) == [["layer", "kernel", "mean"], ["layer", "kernel", "std"]]
    assert output.column_groups({"layer": 90, "mean": 9}, 1, 20) == [["layer", "mean"]]
    assert output.leading({"layer": ["a", "a"], "kernel": ["0", "1"], "mean": ["3", "4"]}) == 2
    assert output.leading({"layer": ["a", "a"], "mean": ["3", "3"]}) == 1


def test_nodes_in_a_few_words() -> None:
    neuron = {"id": 1295, "layer": "pool", "index": [2, 2, 15], "op": "max", "bias": None}
    assert output.cell("source", neuron) == "pool/2,2,15"
    assert output.cell("source", {"name": "pool", "type": "MaxPooling2D", "begin": 3}) == "pool (MaxPooling2D)"
    assert output.cell("weight", {"weight": 0.123456789, "layer": "digit"}) == "0.123457"
    assert output.cell("weights", [0.123456789, 1.0, "é"]) == '[0.123457, 1.0, "é"]'


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here: nowhere to write that is always full")
def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-m", "etl", "layers"], stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment())
    assert one_line(Done(done.returncode, "", done.stderr)) == "No space left on device"


def test_colours_only_on_a_terminal(run: Run) -> None:
    assert "\x1b[" not in run("plan", DIGITS).out
    shown = Terminal("plan", DIGITS)
    assert shown.end() == 0 and "\x1b[1m" in shown.screen
    without = Terminal("plan", DIGITS, NO_COLOR="1")
    assert without.end() == 0 and "\x1b[33m" not in without.screen


def test_json_has_no_words_for_what_is_no_number() -> None:
    assert output.to_json([{"a": float("nan"), "b": [float("inf")], "c": {"d": 1.5}}]) == '[{"a": null, "b": [null], "c": {"d": 1.5}}]'


# With the real Neo4j


@pytest.fixture
def loaded(store: Store, run: Run, request: pytest.FixtureRequest) -> Store:
    """The store with the digits' network and nothing else: as an earlier test left it, if it did."""
    from etl.store.models import models

    if [(row["name"], row["format"], row["state"]) for row in models(store)] != [("digits_cnn", "keras-h5", "COMPLETE")]:
        request.getfixturevalue("empty_store")
        done = run("load", DIGITS)
        assert done.code == 0, done.err
    return store


def test_load_ends_with_what_to_do_next(empty_store: Store, run: Run) -> None:
    done = run("load", DIGITS, "--name", "first try")
    assert done.code == 0
    assert "Loaded first try: 1,306 neurons, 47,360 weights" in done.out
    password = Path(re.search(r"password in (\S+)", done.out)[1])  # type: ignore[index]
    assert "/browser/" in done.out and password.read_text("utf-8").strip() not in done.out + done.err
    asked = re.findall(r"etl query (\w+) 'model=first try'(?: neuron=(\S+))?", done.out)
    assert asked == [("layers", ""), ("strongest_inputs", "digit/9")]
    assert "Loading first try" in done.err
    assert json.loads(run("query", "summary", "model=first try", "--format", "json").out) == [
        {"model": "first try", "neurons": 1306, "edges": 47360, "parameters": 2698, "density": pytest.approx(47360 / (1306 * 1305))}
    ]


def test_load_again_changes_nothing(loaded: Store, run: Run) -> None:
    assert "Already there: digits_cnn: 1,306 neurons" in run("load", DIGITS).out
    assert run("load", DIGITS, "--quiet") == Done(0, "", "")


def test_another_file_needs_replace(loaded: Store, run: Run) -> None:
    other = DIGITS.with_suffix(".keras")
    assert "--replace" in one_line(run("load", other))
    assert "Replaced digits_cnn" in run("load", other, "--replace").out
    (row,) = json.loads(run("status", "--format", "json").out)
    assert row["format"] == "keras-zip" and row["state"] == "COMPLETE"


def test_status(loaded: Store, run: Run) -> None:
    import hashlib

    (row,) = json.loads(run("status", "--format", "json").out)
    assert row["sha256"] == hashlib.sha256(DIGITS.read_bytes()).hexdigest()
    assert (row["name"], row["state"], row["neurons"], row["edges"]) == ("digits_cnn", "COMPLETE", 1306, 47360)
    assert "digits_cnn   COMPLETE     1,306   47,360" in run("status").out


def test_an_empty_store(empty_store: Store, run: Run) -> None:
    assert "etl load MODEL" in run("status").out
    assert json.loads(run("status", "--format", "json").out) == []
    assert "no model" in one_line(run("query", "summary"))
    assert "no model named x" in one_line(run("delete", "x", "--yes"))


def test_query_takes_values_as_json_text_and_files(loaded: Store, run: Run) -> None:
    rows = json.loads(run("query", "strongest_inputs", "model=digits_cnn", "neuron=1300", "limit=2", "--format", "json").out)
    assert [list(row) for row in rows] == [["source", "layer", "index", "weight", "parameter"]] * 2
    assert abs(rows[0]["weight"]) >= abs(rows[1]["weight"]) and rows[0]["layer"] == "pool"
    answers = json.loads(run("query", "forward", f"input=@{HERE / 'data' / 'four.json'}", "--format", "json").out)
    assert max(answers, key=lambda row: row["value"])["position"] == 4


def test_an_empty_name_is_none(run: Run) -> None:
    assert "--name is empty: give the model a name" in one_line(run("load", DIGITS, "--name", ""))


def test_a_model_may_be_called_7(empty_store: Store, run: Run) -> None:
    assert run("load", DIGITS, "--name", "7", "--quiet").code == 0
    assert json.loads(run("query", "summary", "model=7", "--format", "json").out)[0]["model"] == "7"


def test_csv_without_rows_has_its_header(loaded: Store, run: Run) -> None:
    assert run("query", "dead_sources", "--format", "csv").out == "id,layer,index\n"


def test_delete_asks(loaded: Store, run: Run) -> None:
    assert "say --yes" in one_line(Done(*without_terminal("delete", "digits_cnn")))
    assert "no model named digits (did you mean digits_cnn?)" in one_line(Done(*without_terminal("delete", "digits")))
    refused = Terminal("delete", "digits_cnn")
    refused.until("[y/N]")
    refused.type("n\n")
    assert refused.end() == 1
    assert len(json.loads(run("status", "--format", "json").out)) == 1
    agreed = Terminal("delete", "digits_cnn")
    agreed.until("[y/N]")
    agreed.type("y\n")
    assert agreed.end() == 0
    assert loaded.read("MATCH (n:Neuron) RETURN count(n) AS n") == [{"n": 0}]


def without_terminal(*arguments: str) -> Sequence[object]:
    done = subprocess.run(
        [sys.executable, "-m", "etl", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=environment()
    )
    return done.returncode, done.stdout, done.stderr


def test_interrupted_is_130(loaded: Store) -> None:
    asked = Terminal("delete", "digits_cnn")
    asked.until("[y/N]")
    asked.type("\x03")
    assert asked.end() == 130 and "Traceback" not in asked.screen


def test_a_bar_tells_how_far_a_load_is(empty_store: Store) -> None:
    shown = Terminal("load", DIGITS)
    assert shown.end() == 0
    screen = ANSI.sub("", shown.screen)
    assert "of 47,360 weights" in screen and "Loaded digits_cnn" in screen


def test_a_store_that_is_not_there(run: Run) -> None:
    assert "bolt://localhost:1" in one_line(run("status", "--uri", "bolt://localhost:1"))


def test_neo4j_status_is_one_object(store: Store, run: Run) -> None:
    found = json.loads(run("neo4j", "status", "--format", "json").out)
    assert set(found) == {"running", "uri", "browser", "username", "password_file", "pid", "version"}
    assert found["running"] is True and found["uri"] == store.uri
    os.kill(found["pid"], 0)
    assert "password_file" in run("neo4j", "status").out


def test_neo4j_start_says_how_to_log_in(store: Store, run: Run) -> None:
    done = run("neo4j", "start")
    assert done.code == 0 and "user neo4j, password in " in done.out


def test_the_first_page_has_a_query_that_draws(loaded: Store, run: Run) -> None:
    from urllib.parse import parse_qs, urlsplit

    from etl.cli.server import first_page
    from etl.store import status
    from etl.store.browser import first_query

    asked = parse_qs(urlsplit(first_page(status(), first_query(loaded))).query)
    assert asked["cmd"] == ["edit"] and asked["connectURL"] == [loaded.uri.replace("//", "//neo4j@")]
    assert len(loaded.read(asked["arg"][0])) == 25
    assert "has no model named nosuch" in one_line(run("neo4j", "open", "nosuch"))


def test_status_of_nothing_makes_nothing(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No Neo4j is fetched or started to say that there is none yet."""
    monkeypatch.setenv("ETL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("etl.store.connection.connect", lambda *_, **__: pytest.fail("it connects"))
    assert run("status").out.startswith("No models yet")
    assert run("status", "--format", "json").out == "[]\n"
    assert not (tmp_path / "home").exists() or not list((tmp_path / "home").rglob("*.jar"))


def test_lines_say_how_far_and_how_long_still() -> None:
    lines = progress.ProgressLines()
    lines.doing = "Loading digits"
    assert lines.line(20) == "Loading digits: 20 s so far"
    assert lines.line(130) == "Loading digits: 2 min 10 s so far"
    lines.counted = "weights", 1_200_000, 4_800_000
    assert lines.line(40) == "Loading digits: 1,200,000 of 4,800,000 weights (25%), about 2 min left"
    lines.counted = "weights", 0, 4_800_000
    assert lines.line(40) == "Loading digits: 0 of 4,800,000 weights (0%)"
    lines.counted = "weights", 4_800_000, 4_800_000
    assert lines.line(40) == "Loading digits: 4,800,000 of 4,800,000 weights (100%), finishing: 40 s so far"


def test_a_line_comes_again_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that says them ends with the command."""
    said: queue.Queue[str] = queue.Queue()
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.01)
    monkeypatch.setattr(progress, "remark", said.put)
    with progress.display("Loading digits", quiet=False) as shown:
        assert said.get(timeout=30) == "Loading digits: 0 s so far"
        shown.count("weights", 50, 100)
        while not (line := said.get(timeout=30)).startswith("Loading digits: 50 of 100 weights (50%), about "):
            assert line.startswith("Loading digits")
    assert not shown.lines.ticking or not shown.lines.ticking.is_alive()
    with progress.display("Loading digits", quiet=True) as silent:
        silent.stage("starting")
        silent.count("weights", 1, 2)
    assert silent.lines.ticking is None
