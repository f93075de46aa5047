"""The training ladder's script runs on a CPU as it does on a GPU; a rung that fails does not stop the others."""

from __future__ import annotations

import json
import sys

import pytest
from conftest import ROOT

SPEED = ROOT / "benchmarks" / "speed"


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(SPEED))
    import ladder_run
    import train_ladder
    import train_rungs

    monkeypatch.setattr(ladder_run, "TRACED", 2)
    monkeypatch.setattr(ladder_run, "SETTLING", 1)
    return train_ladder, ladder_run, train_rungs


def test_rungs_are_run_measured_and_held_against_the_guide(scripts, tmp_path, monkeypatch):
    train_ladder, _, _ = scripts
    out, names = tmp_path / "out", "guide,device metrics,cuda graph"
    words = ["train_ladder.py", "--shape", "tiny", "--out", str(out), "--rungs", names, "--child", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [*words, "--no-profile"])
    train_ladder.main()
    rows = {row["rung"]: row for row in map(json.loads, (out / "train_ladder.jsonl").read_text().splitlines())}
    assert list(rows) == ["machine", *names.split(",")]
    assert rows["machine"]["measured"]["flops"] > 0
    fast = rows["device metrics"]
    assert len(fast["trace"]) == 2
    assert fast["same"] is True
    assert fast["difference"]["norm"] < 1e-5
    assert fast["tokens_per_second"] == pytest.approx(fast["trained_tokens_per_step"] / fast["step_seconds"])
    assert "train.cuda_graph=false" in rows["cuda graph"]["error"]
    from ladder_table import table

    lines = table(list(rows.values())).splitlines()
    assert any(line.startswith("| device metrics |") and line.endswith("| exact |") for line in lines)
    assert any(line.startswith("| cuda graph | failed: DeviceError") for line in lines)


def test_a_rung_that_ends_the_process_is_reported_and_the_rest_goes_on(scripts, tmp_path, monkeypatch, capsys):
    train_ladder, _, _ = scripts
    calls = []

    def child(command, check):
        calls.append(left := command[command.index("--rungs") + 1].split(","))
        results = tmp_path / "out" / train_ladder.RESULTS
        if len(calls) == 1:
            train_ladder._append(results, {"rung": left[0], "error": "", "changed": ""})
            return type("Ended", (), {"returncode": -9})
        for name in left:
            train_ladder._append(results, {"rung": name, "error": "x", "changed": ""})
        return type("Ended", (), {"returncode": 0})

    monkeypatch.setattr(train_ladder.subprocess, "run", child)
    monkeypatch.setattr(sys, "argv", ["train_ladder.py", "--out", str(tmp_path / "out"), "--rungs", "0,1,2,3"])
    train_ladder.main()
    assert [len(left) for left in calls] == [4, 2]
    rows = json.loads((tmp_path / "out" / "train_ladder.json").read_text())
    assert rows[1] == {"rung": "batch 4 x 1", "error": "the process ended with status -9"}
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["rungs"] == 4


def test_rungs_are_named_or_numbered_and_keep_their_order(scripts):
    _, _, train_rungs = scripts
    assert train_rungs.select("4,guide") == ["guide", "packed attention"]
    assert train_rungs.select("") == list(train_rungs.RUNGS)
    exact = [name for name, rung in train_rungs.RUNGS.items() if not rung.get("changed")]
    for name in exact:
        settings = train_rungs.GUIDE | train_rungs.RUNGS[name]["train"]
        assert settings["batch_size"] * settings["accumulation"] == 4, name
        assert "modules_to_save" not in settings, name


@pytest.mark.parametrize(("norm", "said"), [(0.9, False), (4e4, True)])
def test_a_changed_rung_with_wild_gradient_norms_is_no_quiet_success(scripts, norm, said):
    from ladder_table import _label

    row = {"changed": "head and embedding are one", "difference": {"loss": 1e-4, "norm": norm}}
    assert ("LOOK" in _label(row)) is said
