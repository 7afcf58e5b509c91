"""The prompt form, how a question becomes a prompt: `plain`, as its text stands, or `chat`, in the model's own chat template.

A template is rendered by transformers' own machinery (a sandbox of jinja), with the opening of the answer behind the question.
It writes all special tokens that it wants itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edgekit import text_files
from edgekit.catalog.hf_config import ModelError
from edgekit.errors import unknown_name

PLAIN, CHAT = FORMS = ("plain", "chat")
FILE = "chat_template.jinja"
OF_TODAY = "strftime_now"  # what a template calls for the day


def require_form(form: str, folder: Path, name: str) -> None:
    """Raise ModelError unless the model in `folder`, called `name`, can be asked in this prompt form."""
    if form not in FORMS:
        raise ModelError(unknown_name("prompt form", form, FORMS))
    if form == CHAT:
        of(folder, name)


def of(folder: Path, name: str) -> str:
    """The chat template of a folder: its own file, else of tokenizer_config.json the only one or the one named `default`.

    Raises ModelError where there is none, or several without a default.
    """
    if (folder / FILE).is_file():
        return text_files.text_of(folder / FILE, ModelError)
    file = folder / "tokenizer_config.json"
    found = text_files.json_of(file, ModelError, "restore the folder").get("chat_template") if file.is_file() else None
    if isinstance(found, list):  # of {name, template}
        known = {one["name"]: one["template"] for one in found if isinstance(one, dict) and {"name", "template"} <= one.keys()}
        if "default" not in known:
            raise ModelError(f"{file}: expected one chat template, or one named default, got {', '.join(known) or 'none'}"
                             f"; put the one that is meant into {FILE}")
        found = known["default"]
    if not isinstance(found, str):
        raise ModelError(f"{name} has no chat template ({FILE}, or chat_template in tokenizer_config.json), which prompt_form: "
                         "chat needs; ask it with prompt_form: plain, or name an instruct model")
    return found


def render(template: str, messages: Sequence[Mapping[str, str]], special: Mapping[str, str], name: str, opens: bool) -> str:
    """Messages (role, content) as text. special: the model's special tokens by name. opens: whether an answer is opened behind
    them; else the last of them goes on.

    Raises ModelError where the template refuses them.
    """
    import jinja2
    from transformers.utils.chat_template_utils import render_jinja_template

    try:
        [text], _ = render_jinja_template([list(messages)], chat_template=template, add_generation_prompt=opens,
                                          continue_final_message=not opens, **special)
    except (jinja2.TemplateError, ValueError, TypeError) as error:
        roles, said = ", ".join(one["role"] for one in messages), " ".join(str(error).split())[:200]
        raise ModelError(f"{name}: its chat template refuses messages of {roles}: {said}") from error
    return text
