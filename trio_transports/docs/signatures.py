"""Signatures as they stand in the source: with the names that their author gave to types, not what those stand for."""

import ast
import inspect

from .._documented import definition


def of_callable(value: object) -> str:
    """What is in brackets, and what comes out; that of an ``__init__`` for a class that has one of its own."""
    if inspect.isclass(value):
        if "__init__" not in vars(value) or definition(value.__init__) is None:
            return ""
        return _brackets(value.__init__)
    return _brackets(value)


def of_result(value: object) -> str:
    """What a property gives."""
    node = definition(value)
    return f": {_type(node.returns)}" if isinstance(node, _FUNCTION) and node.returns is not None else ""


def of_field(cls: type, name: str) -> str:
    """The type of a field."""
    node = definition(cls)
    for statement in node.body if isinstance(node, ast.ClassDef) else ():
        match statement:
            case ast.AnnAssign(target=ast.Name(id=found), annotation=annotation) if found == name:
                return f": {_type(annotation)}"
    return ""


def kind_of(value: object) -> str:
    """How a function is called: as it is, with ``await``, or with ``async with``."""
    node = definition(value)
    decorators = node.decorator_list if isinstance(node, _FUNCTION) else []
    if any(isinstance(each, ast.Name) and each.id == "asynccontextmanager" for each in decorators):
        return "async with"
    return "async" if isinstance(node, ast.AsyncFunctionDef) else ""


_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


def _brackets(value: object) -> str:
    node = definition(value)
    if not isinstance(node, _FUNCTION):
        return ""
    arguments = node.args
    given = [*arguments.posonlyargs, *arguments.args]
    plain = ast.parse(f"def f({ast.unparse(arguments)}): ...").body[0]  # a copy to change
    assert isinstance(plain, ast.FunctionDef)
    if given and given[0].arg in ("self", "cls"):
        del (plain.args.posonlyargs or plain.args.args)[0]
    for each in ast.walk(plain.args):
        if isinstance(each, ast.arg) and each.annotation is not None:
            each.annotation = _Unquoted().visit(each.annotation)
    result = "" if node.returns is None else f" -> {_type(node.returns)}"
    return f"({ast.unparse(plain.args)}){result}"


def _type(annotation: ast.expr) -> str:
    return ast.unparse(_Unquoted().visit(ast.parse(ast.unparse(annotation), mode="eval").body))


class _Unquoted(ast.NodeTransformer):
    """Takes the quotes off names that are not known yet where they stand, but not off the words of a ``Literal``."""

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if isinstance(node.value, ast.Name) and node.value.id == "Literal":
            return node
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.parse(node.value, mode="eval").body if isinstance(node.value, str) else node
