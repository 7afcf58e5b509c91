"""The words that rows, tables and figures share: metrics, coordinates, and what stands in them.

A row is a number under the name of a metric, at coordinates that say what was varied and on what it was counted. Studies write
these words and analyses read them; both take them from here.
"""

from __future__ import annotations

from collections.abc import Iterable

# How a row knows its number: seen here, computed from what was seen, printed by somebody, or played back from a recording.
SOURCES = ("measured", "modelled", "published", "replayed")

# Every metric that a row may carry. The unit is in the name; the text says what is counted.
METRICS = {
    "ttft_s": "time to first token: prefill and the first token, tokenisation excluded",
    "tpot_s": "time per output token after the first: (end - TTFT) / (n - 1)",
    "decode_s": "time from the first token to the last of output_tokens",
    "load_s": "time to load the artifact into the engine",
    "warmup_runs": "streams run and thrown away until the spread settled or the cap was reached",
    "warmup_cv": "coefficient of variation of the last warm-up streams",
    "peak_memory_bytes": "peak resident memory of the measuring process (device memory on a GPU)",
    "base_memory_bytes": "resident memory of the same process before the artifact was loaded",
    "weight_bytes": "bytes of the weights that one decode step reads, counted from the artifact",
    "type_bytes": "the part of weight_bytes that a GGUF file stores in one `type`",
    "prefill_flop": "operations of one prefill of prompt_tokens, two a multiplication, counted from the architecture",
    "artifact_bytes": "bytes of the artifact's files on disk",
    "kv_bytes_per_token": "bytes of keys and values kept for one token of context",
    "local_kv_bytes_per_token": "the part of them in local layers, which is kept for the last `window_tokens` less one only",
    "window_tokens": "tokens that a local layer attends to, in a model that has some",
    "parameters": "number of weights, tied ones counted once",
    "correct": "1 if the answer to one item is right, else 0",
    "unanswered": "items of one task and depth whose output held no answer that could be read",
    "timed_out": "programs of one task that were still running at the time limit, which are not correct",
    "kl_nats": "Kullback-Leibler divergence of a variant from a reference model, summed over the scored `tokens` of some texts",
    "agreed": "scored `tokens` of some texts whose likeliest token is the reference model's",
    "nll_nats": "negative log-likelihood of the scored `tokens` of some texts",
    "train_loss": "mean cross-entropy of the training texts since the point before, nats a token, when `tokens` had been seen",
    "wall_s": "time of a training until `tokens` had been seen",
    "quantize_s": "time that the last step of a variant took to build",
    "source_bits_per_weight": "bits of the tensors of the file that a model came as, over the number of their weights",
    "stored_bits_per_weight": "bits of all stored tensors over the number of weights: scales, zero points and embeddings too",
    "kept_share": "share of the `unit` (heads or neurons) of one layer that pruning kept",
    "rank_correlation": "Spearman's correlation of the scores of a layer's `unit` from few sequences with those from many",
    "size": "one number of an architecture; `part` says which (layers, heads, MLP width, …)",
    "excess_nats": "negative log-likelihood of one story less that of the grammar which wrote it, in nats",
    "accepted": "tokens of one text that the draft proposed, or would have, and the target keeps (of `drafted` or `judged`)",
    "overlap": "expected number of accepted tokens of one text of the target (of `drafted` or `tokens`): sum of min(p, q)",
    "blocks": "passes of the target over one text, the `written` tokens of which it took that many for",
    "past_end_tokens": "tokens of one text behind its own end, written so that all texts are of output_tokens",
    "differs": "1 if one greedy text differs from plain decoding by the same engine, else 0",
    "tie_gap": "distance of the two tokens' logits where such a text parts, over the standard deviation of all logits there",
    "gap_noise": "most by which that distance of the two likeliest tokens moves when plain decoding's text is passed in blocks",
    "block_noise": "root mean square by which the logits of plain decoding's text move when it is passed `pass_tokens` "
                   "at a time, over their standard deviation",
    "pass_s": "time of one pass over all prompts, in which `tokens` were written",
    "rest_s": "the same without each text's first block, in which `rest_tokens` were written",
    "draft_s": "mean time of one drafted token, after the first blocks",
    "verify_s": "mean time of one pass of the target, after the first blocks",
    "overhead_s": "mean time of one block outside of both models",
    "target_parameters": "number of weights of the target", "draft_parameters": "number of weights of the draft",
    "peak_over_rms": "largest absolute activation of a site of one layer over the root mean square of that site",
    "outlier_features": "features of magnitude 6 or more in at least 6 % of tokens and 25 % of layers",
    "conforms": "1 if an engine passes one check of what all engines promise, or declares that it lacks what is asked; else 0",
    "request_s": "time of one request, from its prompt to its last token, of `written` in all, tokenisation excluded",
    "energy_j": "energy of one phase of one request, idle power included (gross)",
    "energy_net_j": "the same less idle power times its duration",
    "idle_power_w": "mean power before the window, model loaded and nothing running",
    "window_s": "duration of that phase, the mean over the calls in the window",
    "asked_tokens": "tokens of what a model was given for one item",
    "answered_tokens": "tokens of its answer",
    "mean_log_p": "mean log-probability of the answer's own tokens, in nats; of a task with choices that of the chosen one",
    "worst_log_p": "the same over the least likely tenth of them",
    "edge_p": "the estimator's probability that the device's answer to one item is right",
    "cloud_p": "the estimator's probability that the cloud's is",
    "coverage": "share of an item's words and pairs of words that another item held which the estimator learnt from",
    "depth_steps": "the estimator's guess of an item's depth, in steps",
    "query_characters": "characters of what the user asks",
    "evaluate_s": "time of one evaluation of a search, with what was built for it",
    "decide_s": "time of one decision of the estimator, from the text to the probability",
    "decide_j": "energy of one decision, idle power included",
    "estimator_parameters": "number of weights of the estimator", "estimator_bytes": "bytes of them",
    "reply_s": "time of one whole answer: from the request to its last token, tokenisation excluded",
    "round_trip_s": "time to the cloud and back, without what the cloud takes for an answer",
    "up_s": "time between two outages of the network", "down_s": "time of an outage",
    "give_up_s": "time that a query spends on a cloud in an outage, all its attempts, before the device answers",
    "answers": "answers that one query got, counted where they are given",
    "wait_s": "time of the network, of pauses and of time limits, that one query spent on the cloud",
    "likeliest_token": "id of the token that a runtime finds likeliest at one position of a text, given the text before it",
    "written_token": "id of the token that a runtime writes at one position after the first half of a text",
    "margin_nats": "by how much the likeliest token of such a position is likelier than the next, in log-probability",
    "ran": "1 if one `call` of a document's listing did what it should under today's versions, else 0",
    "memory_bandwidth_byte_per_s": "read bandwidth measured on this device",
    "matmul_flop_per_s": "matrix-multiplication rate measured on this device",
}

# Every coordinate that a row may have. Those that a study varies are part of its rows' keys; the others tell the rows of one
# unit apart. What a unit has no part in is left out.
COORDINATES = {
    "task": "what was measured: speed, energy, loss, accuracy, …",
    "model": "the model that was measured, or from which a variant was made; of a pair the target",
    "engine": "the engine that ran it, or a runtime's own loop",
    "dtype": "float type of the arithmetic, or the type of the weights where they decide it (a GGUF type, a runtime's int4)",
    "weights": "how the weights are stored: a float type, a GGUF type, awq or gptq",
    "kernel": "what ran, in the runtime's own words",
    "provider_asked": "the back end that a runtime was asked to run its graph on",
    "provider": "the back ends that ran it, each with its nodes of the graph where there were several",
    "stored_as": "formats of a GGUF file's weights with their shares, which may not be the type that was asked for",
    "rescaled": "weights that came rounded were taken off their grid by factors up to 1 + this, which cancel",
    "threads": "threads of the engine", "device": "cpu, cuda or mps", "batch": "texts at a time",
    "prompt_tokens": "tokens before the first that was written", "output_tokens": "tokens that were written",
    "phase": "the part of a request to which energy belongs", "scope": "what a sensor's number includes",
    "origin": "the sensor",
    # in what a number is to be doubted; left out where in nothing
    "caveat": "how the board was not as it should be, and that was accepted",
    "throttled": "what held the device back meanwhile: in no table but that of rows",
    # how the weights were quantized
    "method": "method of quantization; of a bandwidth, how it was taken", "bits": "bits of a quantized weight",
    "group": "weights that share a scale", "type": "GGUF type", "search": "what of the method's own choices was varied",
    # how the model was pruned
    "score": "what ranks heads and neurons", "heads": "share of the heads removed", "mlp": "share of the MLP neurons removed",
    "layers": "share of whole layers removed",
    "rounds": "rounds of scoring and removing", "allocation": "uniform over layers, or global",
    # what a method looked at
    "calibration": "calibration set", "samples": "calibration sequences",
    "calibration_seed": "seed that drew the calibration sequences, or random scores",
    # how a chain of steps was made
    "student": "the model that a chain starts from", "pruning": "heads/MLP shares that go", "learning": "way to learn",
    "quantization": "quantization of a chain", "order": "which of pruning and quantizing came first",
    "draw": "seed of all that a chain draws: calibration sequences and training rows", "step": "steps of the optimizer so far",
    # on which texts and problems
    "against": "what a divergence is taken from", "domain": "what texts or problems are about",
    "task_name": "the task as a params file names it", "mode": "how an answer was asked for",
    "prompt_form": "chat: asked in the model's own chat template; left out where the text stood as it is",
    "sandbox": "what kept the programs that a model wrote from the network",
    "depth": "steps of a word problem, or level", "item": "the problem, story or prompt", "block": "block of evaluation texts",
    "tokens": "tokens that a number is summed over, or that had been seen",
    # of one layer
    "layer": "layer, from 0", "site": "place in a layer", "unit": "heads or neurons",
    "part": "which size of an architecture", "family": "family of an architecture",
    # of a target and its draft
    "techniques": "which of the pipeline's techniques a stage has, or none; drafting is told by `draft`",
    "rung": "how well a variant of a search was measured, from 0: the rungs that it came to say how good it looked",
    "draft": "the draft that met the target", "temperature": "0: the likeliest token", "length": "drafted tokens in a block",
    "pass_tokens": "tokens of one pass", "draft_on": "where the draft runs: none, host, or as the target",
    "position": "place in a block or a text, from 1", "drafted": "tokens that were drafted",
    "judged": "drafted tokens up to a refusal",
    "written": "tokens of the text", "round": "pass over the prompts", "recorded": "pair whose acceptance was replayed",
    # of a query between a device and a cloud
    "network": "what the network does: none (no cloud), clear, faulty, down",
    "outage": "refused: the host is not there; silent: it does not answer", "sent_to": "edge or cloud, as the policy says",
    "answered_by": "edge, cloud or nobody", "reason": "what failed, or why a query was not asked", "private":
    "whether a query may not leave the device", "attempts": "requests to the cloud for one query",
    "rest_tokens": "tokens after the first blocks", "rest_blocks": "blocks after the first", "rest_drafted":
    "tokens drafted after the first blocks",
    # of a runtime
    "acceleration": "what kernels may use: an instruction set and those before it, everything, or the host without its GPU",
    "listing": "listing of a document whose calls were made", "call": "one of its calls, or what takes its place",
    # of an engine that is checked
    "check": "what of the promises of every engine was checked", "outcome": "passed, declared, untold or failed",
    "seen": "what was seen, in words",
    # of a question that is reasoned about
    "answer": "the answer that was read, as votes count it", "sample": "sample of a question's pool, from 0",
    "cut": "whether a text was cut at a limit", "spent": "how much of its budget reasoning took, in what the budget counts",
    # of a device and its cloud
    "cloud": "the model in the cloud", "of": "whose answer: edge or cloud",
    "features": "what an estimator saw: the text alone, or the confidence of the device's answer too",
    "protocol": "on which items an estimator was judged: of other folds, or of a task that it saw nothing of",
    "fold": "part of the items, from 0",
}
# Columns of a table of rows beside its coordinates
COLUMNS = ("metric", "value", "repeat", "source", "run")

NO_ANSWER = "[no answer]"  # as an answer: none could be read in the text
NONE = "none"  # as a method, score, step of a chain, engine or dtype: nothing was done, or none had a part in it
ENDPOINT = "endpoint"  # as an engine: a cloud that is none of this machine's models
EVERYTHING, HOST_ONLY = "everything", "host only"  # as an acceleration: nothing left out, or the GPU
STORED = "stored"  # as a method or weights: a GGUF file as it came
ENGINE, DTYPE = REFERENCE = ("transformers", "float32")  # in which variants are compared with the model that they come from
UNQUANTIZED, DEQUANTIZED = "unquantized", "dequantized"  # `against`: the model as it was, or its quantized weights as floats
PRUNE_FIRST, QUANTIZE_FIRST = "prune first", "quantize first"  # `order`
FEATURES = TEXT, CONFIDENT = ("text", "text and confidence")  # what an estimator sees
FOLDS, UNKNOWN = "folds", "unknown task"  # `protocol`
# `outcome`: declared is to lack what is asked, by the catalog, and to refuse it; untold, that the model is too small to tell
PASSED, DECLARED, UNTOLD, FAILED = "passed", "declared", "untold", "failed"
LOOKUP = "lookup"  # as a draft: n-grams of the text itself
ADAPTIVE = "adaptive"  # as a length: as long as drafts were kept lately
RUNTIME, BITS, PRUNING, DRAFT = TECHNIQUES = ("runtime", "bits", "pruning", "draft")  # of a pipeline, in its order


def techniques(used: Iterable[str]) -> str:
    """Some of TECHNIQUES as the coordinate of that name: in the pipeline's order, or none."""
    return " + ".join(name for name in TECHNIQUES if name in set(used)) or NONE
