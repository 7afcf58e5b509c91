"""HumanEval on any engine: what a model writes is run, and passes or does not.

Plain, a model goes on from the prompt itself until a line that begins something else. In chat form it is asked for the whole
function, and its program is the last block of code that defines it, else its text where that does, behind what stands before
the function in the prompt (imports, helpers). How a program is cut out of an answer is worth more than most changes of a model,
so numbers of other protocols are not put beside these.
"""

from __future__ import annotations

import re

from edgekit import progress
from edgekit.catalog import chat_template, code_problems
from edgekit.catalog.code_problems import Problem
from edgekit.catalog.tasks import TaskError
from edgekit.engines.base import EngineError
from edgekit.measure import sandbox
from edgekit.measure.engine_lm import EngineLM, Generation

DOMAIN = "code"
MODES = {chat_template.PLAIN: "completion", chat_template.CHAT: "instruction"}
UNTIL = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
MOST_TOKENS = 768  # three times the longest solution of the task's own
INSTRUCTION = ("Complete the Python function below. Answer with one block of code that holds the whole function, with the "
               "imports that it needs.\n\n```python\n{prompt}\n```")
_BLOCK = re.compile(r"^[ \t]*```[^\n]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"^(?:(?:from|import|def|async|class)[ \t]|@)", re.MULTILINE)


def answer(model: EngineLM, name: str, items: int) -> list[dict]:
    """`correct` (0 or 1) of each of the first `items` problems, asked in the model's prompt form.

    Observations have task_name, domain (code), mode (completion or instruction), item and the `sandbox` that it ran in. Then
    come `unanswered`, answers without a program, and `timed_out`: both are not correct too. Raises TaskError where there are
    fewer problems, EngineError for a context that holds no answer.
    """
    problems = code_problems.load()
    if not 1 <= items <= len(problems):
        raise TaskError(f"{name}: {items} items asked, it has {len(problems)}")
    if (context := model.engine.info.context) <= MOST_TOKENS:
        raise EngineError(f"{name}: an answer may have {MOST_TOKENS} tokens, and the model's context is {context}; ask another "
                          "model")
    form, at = model.prompt_form, dict(task_name=name, domain=DOMAIN, mode=MODES[model.prompt_form])
    texts = model.continued([question(model, problem) for problem in problems[:items]],
                            Generation(UNTIL if form == chat_template.PLAIN else (), MOST_TOKENS, None))
    seen, unanswered, timed_out = [], 0, 0
    for problem, text in zip(problems[:items], texts, strict=True):
        program = program_of(problem, text, form)
        verdict = sandbox.run(program or "", test_of(problem))
        progress.step()
        unanswered += program is None
        timed_out += verdict.timed_out
        seen.append(dict(metric="correct", value=int(verdict.passed), **at, item=problem.task_id, sandbox=verdict.guard))
    return [*seen, dict(metric="unanswered", value=unanswered, **at), dict(metric="timed_out", value=timed_out, **at)]


def question(model: EngineLM, problem: Problem) -> str:
    """What a model goes on from."""
    if model.prompt_form == chat_template.PLAIN:
        return problem.prompt
    return model.apply_chat_template([dict(role="user", content=INSTRUCTION.format(prompt=problem.prompt.strip()))])


def program_of(problem: Problem, text: str, form: str) -> str | None:
    """The program in what a model wrote; None where there is none."""
    if form == chat_template.PLAIN:
        return problem.prompt + text if text.strip() else None
    defines = re.compile(rf"^[ \t]*(?:async[ \t]+)?def[ \t]+{re.escape(problem.entry_point)}[ \t]*\(", re.MULTILINE)
    blocks = [block for block in _BLOCK.findall(text) if defines.search(block)]
    if not blocks and not defines.search(text):
        return None
    begins = defines.search(problem.prompt)
    before = problem.prompt[:begins.start()] if begins else ""
    code = _CODE.search(text)
    return f"{before}\n{blocks[-1] if blocks else text[code.start() if code else 0:]}"


def test_of(problem: Problem) -> str:
    """The program that raises where the function is wrong."""
    return f"{problem.test}\n\ncheck({problem.entry_point})\n"
