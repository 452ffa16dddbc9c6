"""The subset of Jinja that prompt templates are written in; imported at the first render.

Templates may come from a registry that many people can write to, so a template is treated as hostile: it reads the
variables it is given and nothing else, and it cannot take more time or memory than a prompt needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, reduce
from types import BuiltinMethodType
from typing import Any

from jinja2 import StrictUndefined, nodes
from jinja2 import filters as jinja_filters
from jinja2.exceptions import SecurityError, TemplateAssertionError
from jinja2.meta import find_undeclared_variables
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range
from jinja2.visitor import NodeTransformer

from .limits import BUDGET, FILTERS, MAX_OUTPUT, Budget, finalize
from .template import BRACES

_NODES = (
    nodes.Add, nodes.And, nodes.Assign, nodes.Call, nodes.Compare, nodes.Concat, nodes.CondExpr, nodes.Const,
    nodes.Dict, nodes.Div, nodes.Filter, nodes.FloorDiv, nodes.For, nodes.Getattr, nodes.Getitem, nodes.If,
    nodes.Keyword, nodes.List, nodes.Mod, nodes.Mul, nodes.Name, nodes.Neg, nodes.Not, nodes.Operand, nodes.Or,
    nodes.Output, nodes.Pair, nodes.Pos, nodes.Slice, nodes.Sub, nodes.Template, nodes.TemplateData, nodes.Test,
    nodes.Tuple,
)  # fmt: skip

_METHODS = frozenset(
    [
        "capitalize",
        "count",
        "endswith",
        "find",
        "get",
        "index",
        "items",
        "keys",
        "lower",
        "lstrip",
        "removeprefix",
        "removesuffix",
        "rstrip",
        "split",
        "splitlines",
        "startswith",
        "strip",
        "title",
        "upper",
        "values",
    ]
)

_JINJA_FILTERS = [
    "abs",
    "capitalize",
    "count",
    "d",
    "default",
    "dictsort",
    "first",
    "float",
    "int",
    "items",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "reverse",
    "select",
    "selectattr",
    "sort",
    "title",
    "trim",
    "truncate",
    "unique",
    "upper",
    "wordcount",
]


#: How a template writes what is not allowed, where the name of the node does not say it.
_SIGNS: dict[type[nodes.Node], str] = {
    nodes.AssignBlock: "{% set %} with a block",
    nodes.CallBlock: "{% call %}",
    nodes.FilterBlock: "{% filter %}",
    nodes.FromImport: "{% from %}",
    nodes.NSRef: "namespace",
    nodes.Pow: "**",
}


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja without anything that could reach beyond the variables, or grow without end."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%"})

    def __init__(self) -> None:
        super().__init__(
            undefined=StrictUndefined, finalize=finalize, trim_blocks=True, lstrip_blocks=True, cache_size=0
        )
        self.globals = {"range": safe_range}
        self.filters = {name: jinja_filters.FILTERS[name] for name in _JINJA_FILTERS} | FILTERS

    def is_safe_callable(self, obj: Any) -> bool:
        """Methods that read a text, a list or a dictionary, and what loops offer; nothing of the application's."""
        owner, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        if isinstance(obj, BuiltinMethodType):
            return isinstance(owner, str | list | tuple | dict) and name in _METHODS
        return obj is safe_range or (isinstance(owner, LoopContext) and name in ("cycle", "changed"))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic of numbers, and ``+`` of texts."""
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            context.parent[BUDGET].make(len(left) + len(right))
        elif not (isinstance(left, int | float) and isinstance(right, int | float)):
            self._fail_if_undefined(left, right)
            raise SecurityError(f"{operator} does not take {type(left).__name__} and {type(right).__name__}")
        elif operator == "*" and _bits(left) + _bits(right) > 256:
            raise SecurityError("a number grows too large")
        return super().call_binop(context, operator, left, right)

    @staticmethod
    def _fail_if_undefined(*values: Any) -> None:
        for value in values:
            if isinstance(value, StrictUndefined):
                str(value)


def _bits(number: float) -> int:
    return number.bit_length() if isinstance(number, int) else 0


class _Meter(NodeTransformer):
    """Rewrites a checked template so that its loops and what makes text are counted."""

    def _wrapped(self, name: str, node: nodes.Node) -> nodes.Filter:
        return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)

    def visit_For(self, node: nodes.For) -> nodes.For:
        self.generic_visit(node)
        node.iter = self._wrapped("counted", node.iter)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Expr:
        self.generic_visit(node)
        texts: list[nodes.Expr] = [self._wrapped("string", each) for each in node.nodes]
        return reduce(lambda left, right: nodes.Add(left, right, lineno=node.lineno), texts)

    def _metered(self, node: nodes.Expr) -> nodes.Expr:
        self.generic_visit(node)
        return self._wrapped("metered", node)

    visit_Call = visit_Filter = _metered

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Expr:
        self.generic_visit(node)
        return self._wrapped("metered", node) if isinstance(node.arg, nodes.Slice) else node


class Template:
    """A template ready to render; ``names`` are the variables that it cannot do without."""

    def __init__(self, source: str) -> None:
        sandbox = _sandbox()
        tree = sandbox.parse(source)
        for node in tree.find_all(nodes.Node):
            _check(node)
        self.names = find_undeclared_variables(tree) - set(_optional(tree))
        code = sandbox.compile(_Meter().visit(tree))
        self._template = sandbox.template_class.from_code(sandbox, code, sandbox.make_globals(None))

    def render(self, variables: Mapping[str, Any]) -> str:
        """The filled template, a plain ``str``. Raises what Jinja, a filter or a variable raises."""
        context = self._template.new_context({**variables, BUDGET: Budget()})
        pieces, size = [], 0
        for piece in self._template.root_render_func(context):
            size += len(piece)
            if size > MAX_OUTPUT:
                raise SecurityError(f"it puts out more than {MAX_OUTPUT} characters")
            pieces.append(piece)
        return "".join(pieces)


_sandbox = cache(Sandbox)


def _check(node: nodes.Node) -> None:
    """Refuses what the subset does not have; raises TemplateAssertionError."""
    if not isinstance(node, _NODES):
        sign = _SIGNS.get(type(node), f"{{% {type(node).__name__.lower()} %}}")
        raise TemplateAssertionError(f"{sign} is not allowed", node.lineno)
    if isinstance(node, nodes.For) and node.recursive:
        raise TemplateAssertionError("a recursive loop is not allowed", node.lineno)
    if isinstance(node, nodes.Name) and node.name == "self":
        raise TemplateAssertionError("self is not allowed", node.lineno)
    if isinstance(node, nodes.Output) and any(isinstance(each, nodes.Dict) for each in node.nodes):
        raise TemplateAssertionError(f"{{{{ }}}} holds a dictionary{BRACES}", node.lineno)
    if isinstance(node, nodes.Assign):
        for literal in (node.node, *node.node.find_all((nodes.List, nodes.Tuple, nodes.Dict))):
            if isinstance(literal, nodes.List | nodes.Tuple | nodes.Dict) and literal.find(nodes.Name):
                raise TemplateAssertionError("set does not take a list or dictionary made of variables", node.lineno)


def _optional(tree: nodes.Template) -> Iterator[str]:
    """Variables that the template expects to be left out sometimes: it gives a default or asks whether they are."""
    for node in tree.find_all((nodes.Filter, nodes.Test)):
        if node.name in ("default", "d", "defined", "undefined") and isinstance(node.node, nodes.Name):
            yield node.node.name
