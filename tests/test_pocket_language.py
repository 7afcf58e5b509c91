"""The language: sentences mean what the problem says, splits never meet, files are a function of their seed."""

from __future__ import annotations

import json
import re
from itertools import product
from random import Random

import pytest

from edgekit.pocket import chain, language, queries, splits, tasks, words
from edgekit.store import ROOT

TASKS = ROOT / "data" / "tasks"


def read_and_solve(text: str) -> str:
    """Solve a problem from its sentences alone, knowing English and nothing of the package: who has what is kept in a book,
    and the question's person and thing are looked up at the end."""
    sentences = re.split(r"(?<=[.?])\s", text)
    name, thing = re.fullmatch(r"How many (\w+)s does (\w+) have now\?", sentences[-1]).groups()[::-1] if "does" in \
        sentences[-1] else re.fullmatch(r"How many (\w+)s are left with (\w+)\?", sentences[-1]).groups()[::-1]
    book: dict[tuple[str, str], int] = {}
    for sentence in sentences[:-1]:
        plain = re.sub(r"^(Then|Later) ", "", sentence)
        if found := re.fullmatch(r"(\w+) (?:has|starts with) (\d+) (\w+?)s?\.", plain):
            book[found[1], found[3]] = int(found[2])
        elif found := re.fullmatch(r"(\w+) (?:finds|picks up) (\d+) (\w+?)s?\.", plain):
            book[found[1], found[3]] = book.get((found[1], found[3]), 0) + int(found[2])
        elif found := re.fullmatch(r"(\w+) (?:loses|throws away) (\d+) (\w+?)s?\.", plain):
            book[found[1], found[3]] = book.get((found[1], found[3]), 0) - int(found[2])
        elif found := re.fullmatch(r"(\w+) gives (\w+) (\d+) (\w+?)s?\.", plain):
            for who, sign in ((found[1], -1), (found[2], 1)):
                book[who, found[4]] = book.get((who, found[4]), 0) + sign * int(found[3])
        elif re.search(r"\bdoubles?\b", plain):
            book[name, thing] *= 2
        else:
            assert re.search(r"\b[Hh]alf of the \w+s\b", plain), sentence
            assert book[name, thing] % 2 == 0, "half of an odd number of things"
            book[name, thing] //= 2
    return str(book[name, thing])


def problems(count: int, split: str = "train", depths=range(1, 9)):
    rng = Random(3)
    return [chain.draw_problem(rng, depth=d, split=split) for d in depths for _ in range(count)]


def test_sentences_alone_give_the_answer():
    found = problems(150)
    assert sum(bool(p.distractors) for p in found) > 300, "some tell of other people and things too"
    for problem in found:
        assert read_and_solve(chain.tell(problem)) == problem.answer


def test_reasoning_is_true_arithmetic_that_leads_from_start_to_answer():
    for problem in problems(60):
        *lines, last = language.completion(problem, "think").strip().splitlines()
        value = problem.start
        for line in lines:
            before, sign, operand, result = re.search(r"(\d+)([-+*/])(\d+)=(\d+)$", line).groups()
            before, operand = int(before), int(operand)
            right = {"+": before + operand, "-": before - operand, "*": before * operand, "/": before / operand}[sign]
            assert before == value and right == int(result) and 0 <= right <= 99
            value = int(result)
        assert len(lines) == problem.depth
        assert last == f"answer {value}"
        assert language.completion(problem, "direct") == f"\nanswer {value}"


def test_a_budget_cuts_the_reasoning_and_nothing_else():
    for problem, k in product(problems(20), range(1, language.MAX_BUDGET + 1)):
        whole = language.completion(problem, "think").strip().splitlines()
        cut = language.completion(problem, f"budget-{k}").strip().splitlines()
        assert cut == whole[: min(k, problem.depth)] + whole[-1:]
        assert language.prompt(problem, f"budget-{k}").endswith(f"\nbudget {k}")


def test_lines_of_reasoning_differ_in_length():
    lengths = {len(line.split()) for p in problems(40) for line in chain.reasoning(p)}
    assert {1, 3, 4} <= lengths


def test_words_are_several_hundred_and_every_template_occurs():
    rng = Random(0)
    texts = [language.draw_text(rng, split="train", max_depth=6) for _ in range(20_000)]
    whole = " ".join(text.prompt + text.completion for text in texts)
    known = set(re.findall(r"[a-z]+", whole.lower()))
    assert len(known) > 330
    everything = (*words.NAMES, *words.THINGS, *words.TOWNS, *words.ADJECTIVES, *words.QUALITIES, *words.ADVERBS)
    assert {word.lower() for word in everything} <= known
    for phrase in ("finds", "picks up", "loses", "throws away", "doubles the", "s double", "shares half", "are sold"):
        assert phrase in whole
    assert not re.search(r"\b1 \w+s\b", whole), "one thing is told in the singular"
    shares = {domain: sum(text.domain == domain for text in texts) / len(texts) for domain in ("prose", "prices", "tracking")}
    assert shares == pytest.approx({name: dict(language.EARLY.shares)[name] for name in shares}, abs=0.01)
    assert not any(text.domain in ("letters", "large") for text in texts), "two domains are never taught"


@pytest.mark.parametrize("mixture", [language.EARLY, language.LATE, language.AGAIN])
def test_mixtures_are_whole_and_the_late_one_answers_sooner(mixture):
    assert sum(share for _, share in mixture.shares) == pytest.approx(1)
    rng = Random(1)
    texts = [language.draw_text(rng, split="train", mixture=mixture) for _ in range(4000)]
    chains = [text for text in texts if text.domain == "chain"]
    lines = [text.completion.count("=") for text in chains]
    told = [len(re.findall(r"\d+=", language.completion(p, "think"))) for p in problems(5)]
    assert max(lines) == max(told) == chain.MAX_DEPTH
    at_once = sum(text.prompt.endswith("direct") for text in chains) / len(chains)
    expected = dict(mixture.shares)
    of_chains = sum(expected[kind] for kind in ("think", "budget", "direct"))
    assert at_once == pytest.approx(expected["direct"] / of_chains, abs=0.03)


def test_half_of_the_late_budgets_are_one_line_short():
    rng = Random(1)
    short = total = 0
    for _ in range(6000):
        text = language.draw_text(rng, split="train", mixture=language.LATE)
        if found := re.search(r"\nbudget (\d)$", text.prompt):
            steps = len(re.findall(r"finds|picks up|gives|loses|throws|doubles?\b|[Hh]alf", text.prompt))
            total += 1
            short += text.completion.count("=") == int(found[1]) and steps > int(found[1])
    assert total > 1000 and short / total > 0.5


def test_tracking_is_answered_by_following_the_hands():
    rng = Random(2)
    for level, split in product(queries.LEVELS, splits.SPLITS):
        for _ in range(40):
            query = queries.draw_query(rng, domain="tracking", level=level, split=split)
            holder = {}
            for sentence in query.question.split(". "):
                if (found := re.match(r"(\w+) has the (\w+)", sentence)) and found[1] != "Who":
                    holder[found[2]] = found[1]
                elif found := re.match(r"(\w+) hands the (\w+) to (\w+)", sentence):
                    assert holder[found[2]] == found[1] != found[3]
                    holder[found[2]] = found[3]
            assert query.answer == holder[re.search(r"Who has the (\w+) now\?", query.question)[1]]
            assert query.question.count("hands") == level


def test_prices_are_facts_that_are_rarer_by_level():
    rng = Random(4)
    drawn = [queries.draw_price(rng, split="train") for _ in range(8000)]
    prices: dict[tuple[str, ...], set[str]] = {}
    for query in drawn:
        prices.setdefault(tuple(query.key.split("/")[:2]), set()).add(query.answer)
    assert all(len(found) == 1 for found in prices.values()), "one price a town and thing"
    assert all(1 <= int(next(iter(found))) <= 99 for found in prices.values())
    counts = [sum(query.level == level for query in drawn) for level in queries.LEVELS]
    assert counts == sorted(counts, reverse=True) and counts[0] > 5 * counts[3] > 0


def test_queries_outside_of_the_models_domains_have_right_answers():
    rng = Random(5)
    for level in queries.LEVELS:
        query = queries.draw_query(rng, domain="letters", level=level, split="test")
        known = {*words.THINGS, *(w for kinds in words.TOPICS.values() for group in kinds.values() for w in group)}
        named = [w for w in re.findall(r"[a-z]+", query.question.split("letters")[-1] if "are in" in query.question else
                                       query.question) if w in known]
        assert len(named) == level and int(query.answer) == sum(map(len, named))
        query = queries.draw_query(rng, domain="large", level=level, split="test")
        value = int(re.search(r"has (\d+)", query.question)[1])
        for verb, n in re.findall(r"(finds|loses) (\d+)", query.question):
            value += int(n) if verb == "finds" else -int(n)
        assert value >= 0 and query.answer == str(value)


def test_splits_are_disjoint_whatever_the_seed_and_have_their_shares():
    keys = {split: set() for split in splits.SPLITS}
    for split, seed in product(splits.SPLITS, range(4)):
        rng = Random(seed)
        for depth in range(1, 7):
            keys[split] |= {chain.draw_problem(rng, depth=depth, split=split).key for _ in range(60)}
        for domain, level in product(queries.DOMAINS, queries.LEVELS):
            keys[split] |= {queries.draw_query(rng, domain=domain, level=level, split=split).key for _ in range(15)}
        keys[split] |= {language.draw_prose(rng, split=split)[0].completion for _ in range(60)}
    assert not keys["train"] & keys["test"]
    assert not keys["train"] & keys["validation"]
    assert not keys["validation"] & keys["test"]
    rng = Random(0)
    drawn = [splits.split_of(chain._draw(rng, 4).key) for _ in range(4000)]
    # three standard errors of the share in 4000 draws
    assert abs(drawn.count("test") / 4000 - 0.2) < 3 * (0.2 * 0.8 / 4000) ** 0.5
    assert abs(drawn.count("validation") / 4000 - 0.1) < 3 * (0.1 * 0.9 / 4000) ** 0.5


def problem(start, steps, wording=None, name="Mia", thing="shell", **more):
    return chain.Problem(start, steps, name, "Tom", thing, "nut", wording or (0,) * (len(steps) + 2), **more)


def test_wording_names_and_distractors_do_not_move_a_problem_to_another_split():
    one = problem(23, (("find", 4), ("double", 2)))
    other = problem(23, (("find", 4), ("double", 2)), (5, 4, 3, 2), "Ida", "coin", distractors=((0, 1, 5),))
    assert chain.tell(one) != chain.tell(other)
    assert one.key == other.key == "23+4*2"


def test_the_split_is_the_same_on_every_machine_and_python():
    found = {n: splits.split_of(problem(n, (("find", 1),)).key) for n in range(1, 60)}
    assert [n for n, split in found.items() if split == "validation"] == [1, 14, 44, 55, 59]
    assert [n for n, split in found.items() if split == "test"] == [17, 19, 20, 22, 24, 28, 32, 38, 50, 52, 58]


def test_same_seed_same_texts_and_different_seed_different_ones():
    def draw(seed):
        rng = Random(seed)
        return [language.draw_text(rng, split="test", max_depth=6) for _ in range(40)]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("\n3+4=7\nanswer 7", "7"),
        ("\nanswer 42<|endoftext|>", "42"),
        ("\nanswer Mia\n", "Mia"),
        ("\nanswer 3\nanswer 12", "12"),
        ("\n3+4=7\nans", None),
        ("\nanswer ", None),
        ("\nanswer two words", None),
        ("the answer 7 is not on its own line", None),
        ("", None),
    ],
)
def test_parse_answer(text, answer):
    assert language.parse_answer(text) == answer


def test_perfect_completions_are_parsed():
    for one, mode in product(problems(20), language.MODES):
        assert language.parse_answer(language.completion(one, mode)) == one.answer


def test_a_problem_out_of_range_or_with_unknown_words_is_refused():
    with pytest.raises(ValueError, match="0..99"):
        problem(90, (("find", 14),))
    with pytest.raises(ValueError, match="known: find, lose, double, share"):
        problem(90, (("eat", 14),))
    with pytest.raises(ValueError, match="1..8 steps, got 9"):
        problem(1, (("find", 1),) * 9)
    with pytest.raises(splits.SplitError, match="known: train, validation, test"):
        chain.draw_problem(Random(0), depth=1, split="dev")
    with pytest.raises(language.ModeError, match="known: think, direct, budget-1"):
        language.prompt(problems(1)[0], "dream")
    with pytest.raises(queries.DomainError, match="known: tracking, prices, letters, large"):
        queries.draw_query(Random(0), domain="poems", level=1, split="test")
    with pytest.raises(queries.DomainError, match="level of 1 to 4, got 5"):
        queries.draw_query(Random(0), domain="prices", level=5, split="test")
    with pytest.raises(ValueError, match="found only"):
        tasks.draw_items("prices", 1, count=450)


@pytest.mark.parametrize("name", tasks.TASKS)
def test_shipped_tasks_are_rebuilt_byte_for_byte(name):
    spec = tasks.TASKS[name]
    assert (TASKS / f"pocket_{spec.domain}.jsonl").read_text(encoding="utf-8") == tasks.item_file(spec.domain)
    assert (TASKS / f"{name}.yaml").read_text(encoding="utf-8") == tasks.task_yaml(name)


def test_shipped_problems_are_distinct_right_and_of_the_test_split():
    items = [json.loads(line) for line in tasks.item_file("chain").splitlines()]
    assert len(items) == len({item["id"] for item in items}) == 8 * tasks.TASK_COUNT
    assert {item["depth"] for item in items} == set(range(1, 9))
    train = {chain.tell(p) for p in problems(200)}
    for item in items:
        assert read_and_solve(item["question"]) == item["answer"]
        assert item["question"] not in train
    for depth in (1, 8):
        chosen = tasks.draw_items("chain", depth)
        assert tasks.draw_items("chain", depth, count=20) == chosen[:20]


def test_task_yaml_filter_agrees_with_parse_answer():
    yaml = pytest.importorskip("yaml")
    task = yaml.safe_load(tasks.task_yaml("pocket_chain_budget_2"))
    assert task["doc_to_text"] == "{{question}}\nbudget 2" and task["metadata"]["mode"] == "budget-2"
    assert not task["dataset_kwargs"]["data_files"]["test"].startswith("/")
    regex = next(f for f in task["filter_list"][0]["filter"] if f["function"] == "regex")
    for text in ("\n3+4=7\nanswer 7", "\nanswer 3\nanswer 12", "\nanswer Mia", "\nanswer ", "\n3+4=7"):
        found = re.findall(regex["regex_pattern"], text)
        assert (found[regex["group_select"]] if found else None) == language.parse_answer(text)
