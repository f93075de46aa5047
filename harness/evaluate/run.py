"""One pass a model: load, generate, score, measure, store; a killed pass continues, a finished one is reused."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import benchmark as benchmarks
from harness.config import Experiment
from harness.errors import StoreError
from harness.evaluate.answering import answering_machine, ensure_merged, model_facts, open_generator
from harness.evaluate.cards import push_cards, refresh_cards
from harness.evaluate.judging import compared_golds, judged_rows, judges_digest, score_facts, score_settings
from harness.evaluate.predictions import limited
from harness.evaluate.settings import decoding_facts, decoding_settings
from harness.evaluate.shards import FOLDER as SHARDS
from harness.evaluate.shards import Shard, shard_facts
from harness.evaluate.subjects import MERGED, Subject, subjects
from harness.evaluate.timing import device_peaks, split_generation, split_scoring, timing_facts
from harness.evaluate.together import join_ranks, shared
from harness.evaluate.totals import Totals
from harness.generate.base import Generator, Request
from harness.generate.share import Share
from harness.machine import machine
from harness.prompt import messages, prompt_digest
from harness.ranks import ALONE, Ranks
from harness.records import Generation, Item, Run, Speed
from harness.store import RunFolder, digest_of, is_finished, load_items, read_run, run_id
from harness.throughput.budget import Phases, spent
from harness.throughput.peaks import Peaks

Answers = dict[tuple[str, int], Generation]
Progress = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
_ANSWER_COLUMNS = ("id", "sample", "completion", "prompt_tokens", "output_tokens", "finished")


@dataclass(frozen=True, slots=True)
class Hooks:
    """How an evaluation tells people what it does."""

    say: Callable[[str], None]
    progress: Progress


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One model's stored run."""

    run: Run
    reused: bool
    """True where the run was there already."""


@dataclass(frozen=True, slots=True)
class Answered:
    """Every answer of one model, and how it came about."""

    answers: Answers
    speed: Speed | Mapping[str, Any] | None
    generator: Mapping[str, Any]
    kept: int = 0
    """Answers that an earlier, killed call had made."""
    source: str = ""
    """Run the answers were taken from, where they were judged again only."""
    made: tuple[Generation, ...] = ()
    """The answers of this call, which `speed` timed."""
    earlier: Mapping[str, Any] = field(default_factory=dict)
    """The timings of `source`."""
    machine: Mapping[str, Any] | None = None
    """What answered in `source`: its speed is no other machine's."""


class Evaluation:
    """An experiment's questions, asked of one model after the other."""

    def __init__(self, experiment: Experiment, hooks: Hooks, ranks: Ranks = ALONE) -> None:
        self.experiment = experiment
        self.ranks = ranks
        self.hooks = hooks
        begun = time.perf_counter()
        self.benchmark = benchmarks.load(experiment.benchmark.name, experiment.benchmark.settings)
        self.items: list[Item] = limited(self.benchmark.items(), experiment.eval.limit)
        self.runs = Path(experiment.eval.runs)
        self._peaks = Peaks()
        self._read_seconds = time.perf_counter() - begun
        self._engine: Generator | None = None

    def all(self) -> Iterator[Evaluated]:
        """Yields the run of every model of `eval.models`, the base first."""
        for subject in subjects(self.experiment):
            evaluated = self.one(subject)
            if self.ranks.first:
                refresh_cards(self.experiment, self.benchmark, subject, evaluated.run, self.hooks.say)
            yield evaluated
        if self.ranks.first:
            push_cards(self.experiment, self.hooks.say)

    def one(self, subject: Subject) -> Evaluated:
        """The run of one model: reused, continued or made."""
        phases = Phases()
        with phases("prepare"):
            if subject.name == MERGED:
                if self.ranks.first:
                    ensure_merged(self.experiment, subject)
                self.ranks.wait()
            digests = self._digests(subject)
            name = run_id(self.experiment.name, subject.name, digests["inputs"])
        folder = self.runs / name
        if self.ranks.agree(is_finished(folder) and self._whole(subject, folder)):
            self.hooks.say(f"{subject.name}: reusing {folder}")
            return Evaluated(read_run(folder), reused=True)
        started = datetime.now(UTC).isoformat(timespec="seconds")
        with RunFolder(folder, self.ranks.index) as out:
            with phases("prepare"):
                if self.ranks.first:
                    shutil.rmtree(folder / SHARDS, ignore_errors=True)
                self.ranks.wait()
            answered = self._answered(subject, digests["generation"], out, phases)
            part = Shard(self.ranks.index + 1, self.ranks.count)
            with RunFolder(part.folder(folder)) if self.ranks.count > 1 else nullcontext(out) as mine:
                totals = self._score(subject, answered.answers, mine, phases, part)
                with phases("describe"):
                    facts = {"id": name, **self._facts(subject, digests, answered, totals)}
                facts["timings"] = {
                    "started": started,
                    **self._timings(phases, answered, facts),
                    "remembered": totals.remembered,
                }
                mine.finish(facts if mine is out else {**facts, "shard": shard_facts(part, len(self.items))})
            self.ranks.wait()
            if mine is not out and self.ranks.first:
                join_ranks(out)
            self.ranks.wait()
        return Evaluated(read_run(folder), reused=False)

    def _whole(self, subject: Subject, folder: Path) -> bool:
        """True where a finished run is what was written; one that is not is said, and made again."""
        try:
            load_items(folder, ("id",))
        except StoreError as error:
            self.hooks.say(f"{subject.name}: the stored run is damaged and is made again: {error}")
            return False
        return True

    def _digests(self, subject: Subject) -> dict[str, str]:
        model = model_facts(self.experiment, subject)
        asked = {
            "benchmark": benchmarks.split_digest(self.items),
            "prompt": prompt_digest(self.experiment.prompt),
            "decoding": decoding_facts(self.experiment),
            "model": model,
        }
        generation = digest_of(asked)
        judged = {"score": score_facts(self.experiment.score, self.benchmark), "judges": judges_digest()}
        return {
            "benchmark": asked["benchmark"],
            "prompt": asked["prompt"],
            "model": model["model"],
            "adapter": model.get("adapter", ""),
            "tokenizer": model.get("tokenizer", ""),
            "generation": generation,
            "judges": judged["judges"],
            "inputs": digest_of({"generation": generation, **judged}),
        }

    def _answered(self, subject: Subject, generation: str, out: RunFolder, phases: Phases) -> Answered:
        with phases("prepare"):
            earlier = _answers_of_run(self.runs, generation)
            if self.ranks.agree(earlier is not None) and earlier is not None:
                self.hooks.say(f"{subject.name}: judging the answers of {earlier.source} again")
                return earlier
            kept = out.resume(generation)
            self.ranks.wait()
            samples = self.experiment.generate.samples
            asked = [item for item in self.items if any((item.id, n) not in kept for n in range(samples))]
        if not asked:
            return Answered(kept, None, out.noted(generation), kept=len(kept))
        if kept:
            self.hooks.say(f"{subject.name}: {len(kept):,} answers are kept, {len(asked):,} questions are left")
        with phases("probe"):
            self._peaks = device_peaks(self.experiment)
        quantised = spent("quantise")
        with phases("load"):
            generator = open_generator(self.experiment, subject, self._engine)
            # only an engine serves the next model too; another generator would hold its weights for nothing
            self._engine = generator if hasattr(generator, "adopt") else None
        phases.split("load", {"quantise": spent("quantise") - quantised})
        with phases("prepare"):
            requests = [Request(item.id, tuple(messages(item, self.experiment.prompt))) for item in self.items]
        share = Share(self.ranks.index, self.ranks.count, {item.id for item in self.items} - {i.id for i in asked})
        answers, made = dict(kept), []
        out.note(generator.facts)
        with phases("generate"), self.hooks.progress(f"{subject.name}: answering") as tick:
            stream = shared(generator, requests, decoding_settings(self.experiment), tick, share, self.ranks)
            for answer in stream:
                if (answer.id, answer.sample) not in answers:
                    answers[answer.id, answer.sample] = answer
                    made.append(answer)
                    out.keep(answer)
        # once more: what happened on the way (a batch that was halved) is among the facts now
        out.note(generator.facts)
        speed = generator.speed()
        split_generation(phases, speed)
        with phases("wait"):
            self.ranks.wait()
        if self.ranks.count > 1:
            answers = out.kept(generation)
        return Answered(answers, speed, dict(generator.facts), kept=len(kept), made=tuple(made))

    def _score(self, subject: Subject, answers: Answers, out: RunFolder, phases: Phases, part: Shard) -> Totals:
        totals = Totals()
        with phases("score"), self.hooks.progress(f"{subject.name}: scoring") as tick:
            out.write_items(self._rows(answers, totals, tick, part))
        split_scoring(phases, totals, self.experiment.score.workers)
        return totals

    def _timings(self, phases: Phases, answered: Answered, facts: Mapping[str, Any]) -> dict[str, Any]:
        before, self._read_seconds = self._read_seconds, 0.0
        gpu = str(facts["machine"]["gpu"]) if answered.generator.get("device") == "cuda" else ""
        accuracy = facts["totals"]["execution_accuracy"]
        timings = timing_facts(
            phases,
            before,
            answered.speed,
            answered.made,
            answered.generator,
            self._peaks,
            gpu,
            accuracy,
            answered.earlier,
        )
        return timings | {"answers_kept": answered.kept, "answers_from": answered.source}

    def _rows(self, answers: Answers, totals: Totals, tick: Any, part: Shard) -> Iterator[dict[str, Any]]:
        settings = score_settings(self.experiment.score, self.benchmark)
        golds = compared_golds(self.items, settings)
        first, last = part.bounds(len(self.items))
        items = self.items[first:last]
        for sample in range(self.experiment.generate.samples):
            chosen = {item.id: answers[item.id, sample] for item in items}
            # the totals are those of the first answer to each question
            counted = totals if sample == 0 else Totals()
            yield from judged_rows(items, chosen, settings, counted, count=len(items), golds=golds, tick=tick)

    def _facts(
        self, subject: Subject, digests: Mapping[str, str], answered: Answered, totals: Totals
    ) -> dict[str, Any]:
        here = machine()
        facts = {
            "model": subject.name,
            "kind": subject.kind,
            "name": self.experiment.name,
            "experiment": self.experiment.model_dump(by_alias=True),
            "benchmark": benchmark_facts(self.benchmark, len(self.items), digests["benchmark"]),
            "digests": dict(digests),
            "decoding": decoding_facts(self.experiment),
            "score": score_facts(self.experiment.score, self.benchmark),
            "generator": dict(answered.generator),
            "machine": answered.machine
            or {**dataclasses.asdict(here), "name": answering_machine(self.experiment, here)},
            "commit": here.commit,
            "totals": totals.facts(),
        }
        return facts | ({"training": dict(subject.training)} if subject.training else {})


def benchmark_facts(benchmark: benchmarks.Benchmark, count: int, digest: str) -> dict[str, Any]:
    """What `run.json` says about the questions."""
    overlap = benchmark.overlap()
    return {
        "name": benchmark.name,
        "split": benchmark.settings.evaluate,
        "n": count,
        "digest": digest,
        "dialects": list(benchmark.dialects),
        "overlap": None if overlap is None else dataclasses.asdict(overlap),
    }


def _answers_of_run(runs: Path, generation: str) -> Answered | None:
    """The answers of a finished run with the same questions, model and decoding, whatever they were judged by."""
    for path in sorted(runs.iterdir()) if runs.is_dir() else ():
        try:
            run = read_run(path) if is_finished(path) else None
            if run is None or run.facts.get("digests", {}).get("generation") != generation:
                continue
            rows = load_items(run, _ANSWER_COLUMNS).to_pylist()
        except StoreError:
            continue
        answers = {(row["id"], row["sample"]): Generation(**row) for row in rows}
        timings, generator = run.facts["timings"], run.facts.get("generator", {})
        return Answered(
            answers, timings.get("speed"), generator, source=run.id, earlier=timings, machine=run.facts.get("machine")
        )
    return None
