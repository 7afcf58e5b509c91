"""The clock against recordings whose true times are known, and the counting of tokens."""

from __future__ import annotations

import itertools

import pytest

from edgekit.engines.base import EngineError, Step
from edgekit.engines.replay import Recording, Replay
from edgekit.measure import latency


class Fake(Replay):
    """A recording on a clock of its own: time passes only where the recording says so, so the result is exact."""

    def __init__(self, step_s, monkeypatch, drop=0):
        super().__init__(Recording(tuple(range(len(step_s))), tuple(step_s)), vocabulary=1000)
        self.now, self.drop, self.streams = 0.0, drop, []
        monkeypatch.setattr(latency.time, "perf_counter", lambda: self.now)

    def stream(self, prompt, max_new_tokens):
        self.streams.append((tuple(prompt), max_new_tokens))
        for token, pause in itertools.islice(zip(self.recording.tokens, self.recording.step_s, strict=True),
                                             max_new_tokens - self.drop):
            self.now += pause
            yield Step(token)


STEPS = [0.5, *[0.01 * n for n in range(1, 40)]]


def test_ttft_and_tpot_are_those_of_the_recording(monkeypatch):
    stamps = latency.time_stream(Fake(STEPS, monkeypatch), [1, 2], 40)
    assert stamps == pytest.approx(list(itertools.accumulate(STEPS)))
    assert stamps[0] == 0.5
    assert latency.tpot(stamps, 40) == pytest.approx(sum(STEPS[1:]) / 39)
    assert latency.tpot(stamps, 2) == pytest.approx(0.01)


def test_a_grid_gives_each_quantity_at_each_length(monkeypatch):
    engine = Fake(STEPS, monkeypatch)
    seen = latency.observe_grid(engine, [(4, [3, 8]), (16, [5])], seed=1, warmups=4)
    by = {(o["metric"], o.get("prompt_tokens"), o.get("output_tokens")): o["value"] for o in seen}
    assert by["ttft_s", 4, 1] == by["ttft_s", 16, 1] == 0.5
    assert by["decode_s", 4, 3] == pytest.approx(0.01 + 0.02)
    assert by["tpot_s", 4, 8] == pytest.approx(sum(STEPS[1:8]) / 7)
    assert by["tpot_s", 16, 5] == pytest.approx(sum(STEPS[1:5]) / 4)
    assert by["decode_s", 16, 5] == pytest.approx(by["tpot_s", 16, 5] * 4)
    prompts = {prompt for prompt, _ in engine.streams}
    assert {len(prompt) for prompt in prompts} == {4, 16} and len(prompts) == 2, "the same prompt at a length, always"


def test_warm_up_stops_when_the_spread_settles_and_at_its_cap(monkeypatch):
    steady = Fake(STEPS, monkeypatch)
    assert latency.warm_up(steady, [1], 10) == (3, pytest.approx(0.0), pytest.approx(sum(STEPS[1:8]) / 7))
    wild = Fake(STEPS, monkeypatch)
    plain = wild.stream
    pace = itertools.count(1)

    def jumpy(prompt, tokens):
        factor = next(pace)
        for step in plain(prompt, tokens):
            wild.now += 0.1 * factor
            yield step

    monkeypatch.setattr(wild, "stream", jumpy)
    count, cv, _ = latency.warm_up(wild, [1], 5)
    assert count == 5 and cv > latency.WARMUP_CV
    assert latency.warm_up(Fake(STEPS, monkeypatch), [1], 2)[:2] == (2, None)


def test_a_stream_that_loses_tokens_is_no_measurement(monkeypatch):
    with pytest.raises(EngineError, match="expected 8 tokens, got 7"):
        latency.time_stream(Fake(STEPS, monkeypatch, drop=1), [1], 8)


def test_a_real_clock_reads_a_real_replay():
    """Sleeps are never short; how late they are depends on the machine, so only the lower side is a fact."""
    stamps = latency.time_stream(Replay(Recording((1, 2, 3), (0.05, 0.02, 0.02)), vocabulary=10), [1], 3)
    assert stamps[0] >= 0.0499 and stamps[2] >= 0.0899
    assert latency.tpot(stamps, 3) > 0.01


def test_prompts_are_the_same_for_every_engine_and_inside_the_vocabulary():
    one = latency.prompt_ids(500, 64, seed=3)
    assert one == latency.prompt_ids(500, 64, seed=3) != latency.prompt_ids(500, 64, seed=4)
    assert len(one) == 64 and min(one) >= 1 and max(one) < 500 and len(set(one)) > 32


def test_a_whole_job_weighs_what_it_times(tmp_path, monkeypatch):
    """Through the worker, on a real engine: the bytes are the file's, the memory is the process's."""
    import tiny

    from edgekit import engines, store
    from edgekit.compress import variant
    from edgekit.measure.worker import run_job

    monkeypatch.setenv("EDGEKIT_OUTPUT", str(tmp_path))
    monkeypatch.setattr(store, "OUTPUT", tmp_path)
    source = tiny.write(tmp_path / "model", tied=False)
    chain = engines.variant_for("llama_cpp", str(source.path), "float16")
    answer = run_job("edgekit.measure.latency:measure_speed",
                     dict(variant=chain, engine="llama_cpp", dtype="float16", threads=1, device="cpu",
                          grid=[[8, [4]], [16, [2, 6]]], seed=0, warmups=3), timeout_s=600)
    value = {o["metric"]: o["value"] for o in answer["observations"] if "prompt_tokens" not in o}
    architecture = source.spec.architecture
    assert value["parameters"] == architecture.parameters
    vectors = architecture.width * (2 * architecture.layers + 1)
    assert value["weight_bytes"] == 2 * (architecture.read_per_step - architecture.width) + 2 * vectors
    assert value["artifact_bytes"] == variant.build(chain).file.stat().st_size
    assert value["peak_memory_bytes"] > value["base_memory_bytes"] > 10**7
    timed = [(o["metric"], o["prompt_tokens"], o["output_tokens"]) for o in answer["observations"] if "prompt_tokens" in o]
    assert sorted(timed) == sorted([("ttft_s", 8, 1), ("ttft_s", 16, 1)] + [
        (metric, *at) for metric in ("tpot_s", "decode_s") for at in ((8, 4), (16, 2), (16, 6))])
    assert all(o["value"] > 0 for o in answer["observations"] if o["metric"] != "warmup_cv")
    assert value["memory_bandwidth_byte_per_s"] > 1e8
    assert answer["engine"]["name"] == "llama_cpp" and answer["engine"]["threads"] == 1


@pytest.mark.parametrize("engine, told", [("transformers", True), ("llama_cpp", False)])
def test_windows_are_told_where_an_engine_drops_what_they_leave_behind(tmp_path, monkeypatch, engine, told):
    import tiny

    from edgekit import engines, store

    monkeypatch.setattr(store, "OUTPUT", tmp_path)
    source = tiny.write(tmp_path / "model", "gemma3_text")
    chain = engines.variant_for(engine, str(source.path), "float32")
    answer = latency.measure_speed(variant=chain, engine=engine, dtype="float32", threads=1, device="cpu", grid=[[8, [4]]],
                                   seed=0, warmups=1)
    value = {o["metric"]: o["value"] for o in answer["observations"] if "prompt_tokens" not in o}
    found = {name: value.get(name) for name in ("window_tokens", "local_kv_bytes_per_token")}
    a = source.spec.architecture
    assert found == (dict(window_tokens=8, local_kv_bytes_per_token=2 * a.kv_heads * a.head_dim * 4) if told else
                     dict.fromkeys(found))


def test_peak_memory_is_this_process_alone():
    """A child's peak must not start at its parent's: that is how ru_maxrss lies."""
    from edgekit.measure.worker import run_job

    hoard = bytearray(400_000_000)
    hoard[::4096] = b"x" * len(hoard[::4096])
    assert run_job("edgekit.measure.memory:peak_bytes", {}, timeout_s=60) < 200_000_000
    del hoard
