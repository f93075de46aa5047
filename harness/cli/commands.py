"""What can be typed: names, arguments and helps.

The work is imported when a command runs, so that help is instant and what needs no torch runs without it.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.usage import (
    JSON,
    MODES,
    QUIET,
    Command,
    complete_benchmark,
    complete_experiment,
    complete_rule,
    complete_run,
    complete_setting,
)

app = typer.Typer(
    name="harness",
    help="Fine-tune, evaluate and time language models for text-to-SQL.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

DEFAULT = Path("benchmarks/pocket/pocket.toml")

_EXPERIMENT = "Experiment file (TOML), such as benchmarks/pocket/pocket.toml"
_BENCHMARK = "Name under benchmarks/, folder with benchmark.toml, or a data file"
_MARK = "Exit with 1 where execution accuracy is below this share, such as 0.55"
_JUNIT = "Write a JUnit XML file, a test case a question"
Experiment = Annotated[Path, typer.Argument(help=_EXPERIMENT, autocompletion=complete_experiment)]
Benchmark = Annotated[str, typer.Argument(help=_BENCHMARK, autocompletion=complete_benchmark)]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...", help="Settings to change, such as train.epochs=1", autocompletion=complete_setting
    ),
]
Runs = Annotated[
    list[str] | None,
    typer.Argument(metavar="[RUN]...", help="Run folders or ids; default: all", autocompletion=complete_run),
]
Out = Annotated[Path | None, typer.Option("--out", help="Folder to write to")]
FailUnder = Annotated[float | None, typer.Option("--fail-under", min=0, max=1, metavar="SHARE", help=_MARK)]
JUnit = Annotated[Path | None, typer.Option("--junit", metavar="FILE", help=_JUNIT)]


@app.callback(invoke_without_command=True)
def harness(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit")] = False,
    quiet: Annotated[bool, typer.Option(*QUIET, help=MODES[QUIET])] = False,
    as_json: Annotated[bool, typer.Option(*JSON, help=MODES[JSON])] = False,
) -> None:
    """Fine-tune, evaluate and time language models for text-to-SQL."""
    if version:
        typer.echo(_version())
        raise typer.Exit


def _version() -> str:
    try:
        return metadata.version("harness")
    except metadata.PackageNotFoundError:
        return "not installed, run from its folder"


@app.command(cls=Command)
def init(
    name: Annotated[str, typer.Argument(help="What the benchmark is called (benchmarks/NAME), or a path")],
    database: Annotated[
        Path, typer.Option("--database", help="DuckDB or SQLite file, or a folder of .csv or .parquet files")
    ],
    questions: Annotated[
        Path, typer.Option("--questions", help=".csv, .jsonl or .parquet with a question and its SQL a row")
    ],
    question: Annotated[str, typer.Option("--question", help="Column of the question; default: by its name")] = "",
    gold: Annotated[str, typer.Option("--gold", help="Column of the gold SQL; default: by its name")] = "",
    dialect: Annotated[
        str, typer.Option("--dialect", help="What the golds are written in; default: the database's own SQL")
    ] = "",
    model: Annotated[str, typer.Option("--model", help="Base model for the experiment file")] = "",
) -> None:
    """Make a benchmark of your own database and questions."""
    from harness.cli.starting import init as run
    from harness.init import Request

    base = {"base": model} if model else {}
    run(Request(name, database, questions, question, gold, dialect, **base))


@app.command(cls=Command)
def train(experiment: Experiment, overrides: Overrides = None) -> None:
    """Train a QLoRA adapter; resumes from the last checkpoint."""
    from harness.cli.experiments import train as run

    run(experiment, overrides or [])


@app.command("eval", cls=Command)
def evaluate(
    experiment: Experiment,
    overrides: Overrides = None,
    model: Annotated[
        str, typer.Option("--model", help="base, checkpoints, final, merged, a checkpoint's name or a folder")
    ] = "",
    show: Annotated[int, typer.Option("--show", min=0, help="Questions to print with gold and answer")] = 0,
    fail_under: FailUnder = None,
    junit: JUnit = None,
) -> None:
    """Evaluate the base and every checkpoint.

    Generates, executes, scores and stores; what is stored is reused, what was killed continues.
    --fail-under looks at the model evaluated last: the newest checkpoint, or what --model names.
    """
    from harness.cli.experiments import evaluate as run
    from harness.cli.gate import Gate

    changes = [
        *(overrides or []),
        *([f"eval.models={model}"] if model else []),
        *([f"eval.show={show}"] if show else []),
    ]
    run(experiment, changes, gate=Gate(fail_under, junit))


@app.command(cls=Command)
def score(
    benchmark: Annotated[str | None, typer.Argument(help=_BENCHMARK, autocompletion=complete_benchmark)] = None,
    predictions: Annotated[Path | None, typer.Argument(help=".jsonl or .parquet with id and sql or completion")] = None,
    overrides: Overrides = None,
    out: Out = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Count questions without a prediction as wrong")
    ] = False,
    fail_under: FailUnder = None,
    junit: JUnit = None,
    shard: Annotated[
        str | None, typer.Option("--shard", metavar="I/N", help="Score the I-th of N parts only, into --out")
    ] = None,
    join: Annotated[
        Path | None, typer.Option("--join", metavar="DIR", help="Join the shards that lie under DIR into one run there")
    ] = None,
) -> None:
    """Score predictions made elsewhere, whole or in shards."""
    from harness.cli.gate import Gate
    from harness.cli.scoring import join as run_join
    from harness.cli.scoring import score as run

    if join is not None:
        if benchmark is not None or shard is not None or out is not None:
            raise typer.BadParameter("--join takes the folder of the shards and nothing else.")
        run_join(join)
        return
    if benchmark is None or predictions is None:
        raise typer.BadParameter("name a benchmark and a file of predictions, or --join DIR.")
    if shard is not None and out is None:
        raise typer.BadParameter("--shard needs --out DIR, the folder that all shards share.")
    if shard is not None and (fail_under is not None or junit is not None):
        raise typer.BadParameter("--fail-under and --junit judge a whole run, not a shard.")
    gate = Gate(fail_under, junit)
    run(benchmark, predictions, overrides or [], out, allow_missing=allow_missing, part=shard, gate=gate)


@app.command(cls=Command)
def rescore(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run folder or id", autocompletion=complete_run)],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...", help="Where its benchmark lies now, and score.* to judge otherwise than before"
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the new run; default: beside the run")] = None,
) -> None:
    """Judge a stored run's answers again, by this version of the code.

    No model is needed; what answered, where and how fast stays as it was.
    """
    from harness.cli.rescoring import rescore as run_rescore

    run_rescore(run, overrides or [], out)


@app.command(cls=Command)
def verify(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run folder or id", autocompletion=complete_run)],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Where its inputs lie now, such as benchmark.root=/data/spider"),
    ] = None,
    sample: Annotated[int, typer.Option("--sample", min=0, help="Verdicts that are given again")] = 100,
    seed: Annotated[int, typer.Option("--seed", help="Draws which ones")] = 0,
) -> None:
    """Check that a stored run is what it says.

    Totals, digests of its inputs, and a sample of its verdicts; exit 1 where one differs.
    """
    from harness.cli.verifying import verify as run_verify

    raise typer.Exit(run_verify(run, overrides or [], sample, seed))


@app.command(cls=Command)
def plan(
    experiment: Experiment,
    overrides: Overrides = None,
    gpu: Annotated[str, typer.Option("--gpu", help="T4, L4, A10, A100, H100, H200 or CPU")] = "H100",
    count: Annotated[int | None, typer.Option("--n", min=1, help="Questions; default: the benchmark's")] = None,
    price: Annotated[float | None, typer.Option("--price", min=0, help="Of an hour; default: a round figure")] = None,
    run: Annotated[str, typer.Option("--from", help="Run to take tokens and SQL time from; default: the newest")] = "",
    workers: Annotated[int, typer.Option("--workers", min=1, help="Cores that score")] = 8,
) -> None:
    """Predict wall time and money of an evaluation on another GPU and at another size."""
    from harness.cli.planning import plan_evaluation

    plan_evaluation(experiment, overrides or [], gpu, count, price, run, workers)


@app.command(cls=Command)
def audit(benchmark: Benchmark, overrides: Overrides = None) -> None:
    """Check a benchmark's gold side before anybody is scored."""
    from harness.cli.scoring import audit as run

    run(benchmark, overrides or [])


@app.command(cls=Command)
def witness(
    benchmark: Benchmark,
    question: Annotated[str, typer.Argument(metavar="ID", help="Id of the question")],
    overrides: Overrides = None,
    sql: Annotated[str | None, typer.Option("--sql", help="Also judge this query and show what exposes it")] = None,
) -> None:
    """Show the databases a question is judged on, and what a query gives on them."""
    from harness.cli.witnessing import witness as run

    run(benchmark, question, overrides or [], sql)


@app.command(cls=Command)
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN RUN...", help="Run folders or ids, two or more", autocompletion=complete_run),
    ],
    rule: Annotated[
        str,
        typer.Option(
            "--rule", help="Judgement compared: default, suite, exact, bird ...", autocompletion=complete_rule
        ),
    ] = "default",
    anyway: Annotated[bool, typer.Option("--anyway", help="Compare unlike runs all the same, marked")] = False,
) -> None:
    """Test runs against each other, paired by question."""
    from harness.cli.reading import compare as run

    run(runs, rule, anyway=anyway)


@app.command(cls=Command)
def report(runs: Runs = None, out: Out = None) -> None:
    """Write the HTML page, the leaderboard and the hardware table."""
    from harness.cli.reading import report as run

    run(runs or [], out)


@app.command("sql", cls=Command)
def query(
    query: Annotated[str, typer.Argument(help="One SELECT; without it, the tables and columns are listed")] = "",
    runs: Annotated[
        list[str] | None, typer.Option("--runs", help="Folder of runs, may be repeated; default: all under reports/")
    ] = None,
) -> None:
    """Ask all stored runs in SQL.

    The tables are runs, items, outcomes and checkpoints; they can be read and nothing else can.
    """
    from harness.cli.querying import sql as run

    run(query, runs or [])


@app.command(cls=Command)
def bench(
    what: Annotated[str, typer.Argument(help="score, generate or train; compare: stored runs, machine by machine")],
    overrides: Overrides = None,
    experiment: Annotated[
        Path, typer.Option("--experiment", help="Experiment whose model and questions are used")
    ] = DEFAULT,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="How often each figure is measured")] = 5,
    quick: Annotated[bool, typer.Option("--quick", help="Less work a figure: for a gate, not for publishing")] = False,
    gate: Annotated[
        bool, typer.Option("--gate", help="Exit with 1 where a figure fell beyond the noise since the last run")
    ] = False,
    store: Annotated[Path, typer.Option("--store", help="Folder of stored runs")] = Path("reports/bench"),
) -> None:
    """Measure the speed of this machine, rung by rung; store it, and hold it against the last run here."""
    from harness.cli.benching import Asked
    from harness.cli.benching import bench as run

    run(Asked(what, experiment, tuple(overrides or ()), repeats, quick, gate, store))


@app.command(cls=Command)
def merge(
    adapter: Annotated[Path, typer.Argument(help="Folder of the adapter")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the merged model")],
    base: Annotated[
        str, typer.Option("--base", help="nf4-dequantised (what it was trained on) or original")
    ] = "nf4-dequantised",
) -> None:
    """Merge an adapter into its base, for serving stacks."""
    from harness.cli.asking import merge as run

    run(adapter, out, base)


@app.command(cls=Command)
def ask(
    question: Annotated[str, typer.Argument(help="A question in plain words")],
    schema: Annotated[Path, typer.Option("--schema", help="CREATE TABLE text, a database file, or a benchmark")],
    experiment: Annotated[
        Path, typer.Option("--experiment", help="Experiment whose model, prompt and decoding are used")
    ] = DEFAULT,
    model: Annotated[
        str, typer.Option("--model", help="base, final, merged, a checkpoint's name or a folder")
    ] = "final",
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Setting to change; may be repeated")
    ] = None,
) -> None:
    """Ask one question: its SQL and its rows."""
    from harness.cli.asking import ask as run

    run(question, schema, experiment, model, overrides or [])
