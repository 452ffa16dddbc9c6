"""Prompts: files, rendering, errors, and the limits of the template language."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from otel_llm.errors import ConfigError, PromptError, PromptNotFound, PromptRenderError
from otel_llm.prompts import Prompt, configure, prompt, use_prompt
from otel_llm.prompts.limits import MAX_OUTPUT
from otel_llm.prompts.template import MAX_TEMPLATE

TOPIC = """
description: Finds the topic of a question.
category: nlu
config: {model: gemini-flash-latest, temperature: 0.2}
versions:
  "1":
    template: |
      What is the topic of this question? {{ question }}
  2:
    template: |
      Name the topic in at most {{ words }} words: {{ question }}
      Answer as JSON: {"topic": {"name": "…"}}
    config: {temperature: 0.1}
    description: Shorter answers.
  "3":
    template: Topic? {{ question }}
labels:
  production: 2
  candidate: "3"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "nlu_topic_extraction.yaml").write_text(TOPIC, encoding="utf-8")
    (tmp_path / "greeting.yaml").write_text("versions: {a: {template: 'Hello {{ name }}'}, b: {template: Hi}}")
    configure(tmp_path)
    yield tmp_path
    configure(None)


def render(template: str, /, **variables: Any) -> str:
    return Prompt("test", template).render(**variables)


class TestFiles:
    def test_the_version_labelled_production_is_the_default(self, folder: Path) -> None:
        found = prompt("nlu_topic_extraction")
        assert (found.name, found.version, found.source) == ("nlu_topic_extraction", "2", "file")
        assert found.config == {"model": "gemini-flash-latest", "temperature": 0.1}
        assert (found.description, found.category) == ("Shorter answers.", "nlu")
        assert found.render(question="What is a prime?", words=3) == (
            'Name the topic in at most 3 words: What is a prime?\nAnswer as JSON: {"topic": {"name": "…"}}'
        )

    def test_without_the_label_the_last_version_is_the_default(self, folder: Path) -> None:
        assert prompt("greeting").version == "b"

    def test_by_version_and_by_label(self, folder: Path) -> None:
        assert prompt("nlu_topic_extraction", version=1) is prompt("nlu_topic_extraction", "1")
        assert prompt("nlu_topic_extraction", label="candidate").version == "3"
        assert prompt("nlu_topic_extraction", "1").config["temperature"] == 0.2

    def test_a_prompt_is_never_changed(self, folder: Path) -> None:
        found: Any = prompt("greeting")
        with pytest.raises(FrozenInstanceError):
            found.template = "other"
        with pytest.raises(TypeError):
            found.config["model"] = "other"
        assert found.template_hash == "3639efcd08abb273b1619e82e78c29a7df02c1051b1820e99fc395dcaa3326b8"

    def test_a_changed_file_is_read_again(self, folder: Path) -> None:
        before = prompt("greeting")
        assert prompt("greeting") is before
        (folder / "greeting.yaml").write_text("versions: {c: {template: 'Good morning'}}")
        assert prompt("greeting").render() == "Good morning"

    def test_an_unknown_prompt_names_every_source(self, folder: Path) -> None:
        with pytest.raises(PromptNotFound) as caught:
            prompt("nlu_topic")
        assert str(caught.value) == (
            f"No prompt is called 'nlu_topic'. Looked in folder {folder} (which has greeting, nlu_topic_extraction)."
        )
        assert isinstance(caught.value, KeyError)

    def test_an_unknown_version_or_label_names_those_there_are(self, folder: Path) -> None:
        with pytest.raises(PromptNotFound, match=r"no version 9: it has 1, 2, 3\."):
            prompt("nlu_topic_extraction", version=9)
        with pytest.raises(PromptNotFound, match=r"no label staging: it has production, candidate\."):
            prompt("nlu_topic_extraction", label="staging")
        with pytest.raises(ConfigError, match="a version or a label, not both"):
            prompt("nlu_topic_extraction", version=1, label="production")

    @pytest.mark.parametrize("name", ["../greeting", "/etc/passwd", "", ".hidden", "a/b", "a\0b", "x" * 300])
    def test_a_name_cannot_leave_the_folder(self, folder: Path, name: str) -> None:
        (folder.parent / "greeting.yaml").write_text("versions: {a: {template: outside}}")
        with pytest.raises(PromptNotFound):
            prompt(name)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("versions: {a: {template: x}", "cannot be read: while parsing a flow mapping"),
            ("just a text", "the file must be a mapping"),
            ("template: Hello", "the file has unknown field template; use category, config, description, labels, name"),
            ("description: nothing else", "versions must be a mapping"),
            ("versions: {}", "versions is empty"),
            ("versions: {a: Hello}", "version a must be a mapping"),
            ("versions: {a: {text: Hello}}", "version a has unknown field text; use config, description, template"),
            ("versions: {a: {config: {}}}", "version a has no template"),
            ("versions: {1.10: {template: x}}", 'write version 1.1 in quotes, such as "1.1"'),
            ("versions: {1: {template: x}, '1': {template: y}}", "1 is written twice"),
            ("versions: {a: {template: x}}\nlabels: {production: b}", "label production is on version b, which the"),
            ("name: other\nversions: {a: {template: x}}", "name is 'other', but the file is called wrong"),
            ("versions: {a: {template: x, config: 3}}", "config of version a must be a mapping"),
            ("versions: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ],
    )
    def test_a_wrong_file_says_what_is_wrong(self, folder: Path, content: str, message: str) -> None:
        (folder / "wrong.yaml").write_text(content)
        with pytest.raises(PromptError) as caught:
            prompt("wrong")
        assert message in str(caught.value)
        assert str(folder / "wrong.yaml") in str(caught.value)
        assert prompt("greeting").render() == "Hi", "the other prompts still work"

    def test_the_folder_comes_from_the_environment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        configure(None)
        (tmp_path / "greeting.yaml").write_text("versions: {a: {template: Hi}}")
        monkeypatch.setenv("OTEL_LLM_PROMPTS", str(tmp_path))
        assert prompt("greeting").render() == "Hi"
        monkeypatch.delenv("OTEL_LLM_PROMPTS")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(PromptNotFound, match=r"Looked in folder prompts \(which does not exist\)"):
            prompt("greeting")
        (tmp_path / "prompts").mkdir()
        (tmp_path / "greeting.yaml").rename(tmp_path / "prompts" / "greeting.yaml")
        assert prompt("greeting").render() == "Hi"

    def test_a_folder_that_is_not_there_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="is not a folder"):
            configure(tmp_path / "nowhere")

    def test_use_prompt_of_an_unknown_name_fails_at_once(self, folder: Path) -> None:
        with pytest.raises(PromptNotFound):
            use_prompt("no_such_prompt")


class TestRender:
    def test_gives_a_plain_text(self) -> None:
        class Loud(str):
            pass

        assert type(render("{{ x }}", x=Loud("hello"))) is str
        assert type(render("hello")) is str

    @pytest.mark.parametrize(
        ("template", "text"),
        [
            ("{{ name }}", "<Ada & Co>"),
            ("{% if n > 1 %}many{% else %}one{% endif %}", "many"),
            ("{% for x in xs %}\n- {{ loop.index }}/{{ loop.length }} {{ x }}\n{% endfor %}", "- 1/2 a\n- 2/2 b\n"),
            ("{% for k, v in d.items() %}{{ k }}={{ v }}{% if not loop.last %}, {% endif %}{% endfor %}", "p=1, q=2"),
            ("{% set total = n * 2 + 1 %}{{ total }}", "7"),
            ("{{ xs|join(', ') }} {{ name|upper|replace('&', 'and') }}", "a, b <ADA and CO>"),
            ("{{ d|tojson }}", '{"p": 1, "q": 2}'),
            ("{{ name|tojson }}", '"<Ada & Co>"'),
            ("{{ xs }}", "['a', 'b']"),
            ("{{ missing|default('none') }}", "none"),
            ("{% if missing is defined %}yes{% else %}no{% endif %}", "no"),
            ("{{ n ~ '-' ~ name[1:4] }}", "3-Ada"),
            ("{{ 'a' + 'b' }} {{ 7 // 2 }} {{ 7 % 4 }} {{ (1 / 3)|round(2) }}", "ab 3 3 0.33"),
            ("{{ name.strip('<>').split(' ')[0] }}", "Ada"),
            ("{% for i in range(3) %}{{ i }}{% endfor %}", "012"),
            ("{{ xs|map('upper')|join }} {{ xs|length }}", "AB 2"),
            ("{{ 'a\nb'|indent(2) }}", "a\n  b"),
            ("{% raw %}{{ not a variable }}{% endraw %}", "{{ not a variable }}"),
            ("{# nobody sees this #}shown", "shown"),
            ('{"a": {"b": 1}} and }} alone', '{"a": {"b": 1}} and }} alone'),
        ],
    )
    def test_the_language(self, template: str, text: str) -> None:
        assert render(template, name="<Ada & Co>", n=3, xs=["a", "b"], d={"p": 1, "q": 2}) == text

    def test_a_variable_may_have_any_name(self) -> None:
        assert (
            Prompt("t", "{{ name }} {{ template }} {{ version }}").render(name="a", template="b", version=1) == "a b 1"
        )

    def test_a_missing_variable_is_named_with_those_given(self) -> None:
        with pytest.raises(PromptRenderError) as caught:
            Prompt("greet", "{{ name }} {{ city }} {{ x|default(1) }}", version="7").render(nam="Ada", town="Paris")
        assert str(caught.value) == "Prompt greet, version 7: variable city, name is missing (given: nam, town)."
        assert isinstance(caught.value, ValueError)

    def test_a_variable_of_a_branch_not_taken_may_be_missing(self) -> None:
        assert render("{% if detail %}{{ text }}{% endif %}", detail=False) == ""

    def test_a_missing_field_is_named(self) -> None:
        with pytest.raises(PromptRenderError, match=r"has no attribute 'nam' \(given: user\)"):
            render("{{ user.nam }}", user={"name": "Ada"})

    @pytest.mark.parametrize(
        ("template", "message"),
        [
            ("a\n{% if x %}", "line 2 of the template: Unexpected end of template"),
            ("{{ x", "line 1 of the template: unexpected end of template"),
            ("{{ x|shout }}", "No filter named 'shout'"),
            ("{{ {'a': 1} }}", "braces that are text go between {% raw %} and {% endraw %}"),
            ('Answer as {{"topic": "…"}}', "braces that are text go between {% raw %} and {% endraw %}"),
        ],
    )
    def test_a_wrong_template_says_where(self, template: str, message: str) -> None:
        with pytest.raises(PromptRenderError) as caught:
            render(template, x=1)
        assert message in str(caught.value)
        assert "Prompt test, version 1: " in str(caught.value)

    def test_what_a_variable_raises_is_said(self) -> None:
        class Broken:
            def __str__(self) -> str:
                raise RuntimeError("broken by design")

        with pytest.raises(PromptRenderError, match=r"Prompt test, version 1: broken by design\."):
            render("{{ x }}", x=Broken())


class Secret:
    """An object of the application."""

    name = "public"
    _token = "hidden"

    def wipe(self) -> str:
        raise AssertionError("a template called into the application")


class TestSandbox:
    @pytest.mark.parametrize(
        "template",
        [
            "{{ ''.__class__.__mro__ }}",
            "{{ ''['__class__'] }}",
            "{{ ''|attr('__class__') }}",
            "{{ x.__init__.__globals__ }}",
            "{{ x._token }}",
            "{{ x.wipe() }}",
            "{{ x.wipe.__globals__ }}",
            "{{ self }}",
            "{{ self._TemplateReference__context }}",
            "{{ range.__globals__ }}",
            "{{ loop.__init__ }}",
            "{{ '%s'|format(x) }}",
            "{{ '{0.__class__}'.format(x) }}",
            "{{ xs.append(1) }}",
            "{{ xs.__class__ }}",
            "{{ cycler('a') }}",
            "{{ lipsum() }}",
            "{{ dict(a=1) }}",
            "{{ namespace(a=1) }}",
            "{% include 'other' %}",
            "{% import 'other' as o %}",
            "{% extends 'other' %}",
            "{% macro m() %}{% endmacro %}",
            "{% set x %}block{% endset %}",
            "{% block b %}{% endblock %}",
            "{% for a in xs recursive %}{{ loop(a) }}{% endfor %}",
            "{% with a = 1 %}{% endwith %}",
            "{{ xs|map(attribute='__class__')|list }}",
            "{{ xs|sum }}",
            "{{ xs|random }}",
        ],
    )
    def test_reaches_nothing_but_the_variables(self, template: str) -> None:
        xs = ["a"]
        with pytest.raises(PromptRenderError):
            render(template, x=Secret(), xs=xs)
        assert xs == ["a"]

    def test_a_public_field_of_an_object_is_readable(self) -> None:
        assert render("{{ x.name }}", x=Secret()) == "public"

    @pytest.mark.parametrize(
        "template",
        [
            "{{ 'a' * 10**9 }}",
            "{{ 'a' * 1000000000 }}",
            "{{ xs * 1000000000 }}",
            "{{ [0] * 1000000000 }}",
            "{{ 9**9**9 }}",
            "{{ '%1000000000d' % 1 }}",
            "{{ 'a'.ljust(1000000000) }}",
            "{{ 'a'.zfill(1000000000) }}",
            "{{ 'a'|center(1000000000) }}",
            "{{ 'a\nb'|indent(1000000000) }}",
            "{{ 1.5|round(1000000000) }}",
            "{{ xs|tojson(indent=1000000000) }}",
            "{{ 'a'.expandtabs(1000000000) }}",
            "{% for i in range(10**9) %}x{% endfor %}",
            "{% for i in range(1000000000) %}x{% endfor %}",
            "{{ range(1000000000)|list }}",
            "{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}",
            "{% for i in range(90000) %}{{ long }}{% endfor %}",
            "{% for i in range(90000) %}{% set x = long.upper() %}{% endfor %}",
            "{% for i in range(90000) %}{% set x = long + long %}{% endfor %}",
            "{% for i in range(90000) %}{% set x = long ~ i %}{% endfor %}",
            "{% for i in range(90000) %}{% set x = long[1:] %}{% endfor %}",
            "{{ long|replace('a', long) }}",
            "{{ xs_long|join(long) }}",
            "{{ [xs_long, xs_long, xs_long]|string|length }}",
            "{{ [xs_long, xs_long, xs_long] }}",
            "{{ [xs_long, xs_long, xs_long]|tojson }}",
            "{% set a = long %}" + "{% set a = a + a %}" * 40,
            "{% set a = 3 %}" + "{% set a = a * a %}" * 40,
            "{% set a = [1, 2] %}" + "{% set a = [a, a] %}" * 40,
            "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
            "{{ " + "-" * 30000 + "1 }}",
            "{{ [long, " + "long + long, " * 2000 + "1]|length }}",
        ],
        ids=lambda template: template[:40],
    )
    def test_cannot_take_without_end(self, template: str) -> None:
        long = "a" * 50_000
        with pytest.raises(PromptRenderError):
            render(template, xs=["a"], long=long, xs_long=[long] * 15)

    def test_loops_may_not_take_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ticks = iter(range(1000))
        monkeypatch.setattr("otel_llm.prompts.limits.time.thread_time", lambda: float(next(ticks)))
        with pytest.raises(PromptRenderError, match="loops take more than 2 seconds"):
            render("{% for i in range(1000) %}{% endfor %}")

    def test_large_prompts_fit(self) -> None:
        assert len(render("{{ a }}{{ b }}", a="a" * (MAX_OUTPUT - 10), b="b" * 10)) == MAX_OUTPUT
        rows = [{"q": f"question {n}", "a": "answer " * 10} for n in range(5000)]
        text = render("{% for row in rows %}{{ row.q }}: {{ row.a|trim|title }}\n{% endfor %}", rows=rows)
        assert text.count("\n") == 5000
        assert len(json.loads(render("{{ rows|tojson }}", rows=rows))) == 5000

    def test_a_template_may_not_be_too_long(self) -> None:
        assert render("a" * MAX_TEMPLATE) == "a" * MAX_TEMPLATE
        with pytest.raises(PromptRenderError, match="262145 characters; 262144 are allowed"):
            render("a" * (MAX_TEMPLATE + 1))

    def test_variables_are_not_templates(self) -> None:
        assert render("{{ x }}", x="{{ 7 * 7 }} {% include 'y' %}") == "{{ 7 * 7 }} {% include 'y' %}"


def test_importing_it_imports_neither_jinja_nor_yaml() -> None:
    code = (
        "import sys, otel_llm.prompts\n"
        "print([name for name in ('jinja2', 'yaml', 're2', 'openai', 'google.genai') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
