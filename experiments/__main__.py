"""The command ``jaxdl``: the experiments by short names, ``jaxdl study FILE --target y``.

``python -m experiments`` is the same, and ``jaxdl NAME`` is ``python -m experiments.MODULE`` with the
same options. Nothing heavy is imported before the command is known.
"""

import difflib
import runpy
import sys

from experiments import command
from jaxdl import __version__

COMMANDS = {  # name: module, what follows, what it does
    "study": ("model_selection", "FILE --target COLUMN", "which model, with which settings"),
    "predict": ("predict", "RUN FILE", "predictions of a saved model"),
    "figures": ("figures", "", "the figures of the notes, with their claims"),
    "deep-digits": ("deep_digits", "", "from a linear model to a deep ensemble"),
    "digits-cnn": ("digits_cnn", "", "MLP, CNN and residual CNN on images"),
    "sentiment": ("sentiment", "", "recurrent networks and a transformer on reviews"),
    "dates": ("dates", "", "dates as people write them to ISO form"),
    "toy-sequences": ("toy_sequences", "", "copy, reverse, addition, memory"),
    "language-model": ("language_model", "--data FILE", "a transformer on a text of yours"),
    "generate": ("generate", "", "a flow, VAE, diffusion or GAN, judged and drawn"),
    "generative-table": ("generative_table", "", "all of them side by side"),
    "plans": ("plans", "", "what large studies and models take, on paper"),
}
BENCHMARKS = (
    "accelerator",
    "generative",
    "model-selection",
    "regret",
    "scale",
    "search",
    "sequences",
    "tables",
    "training",
)


def usage() -> str:
    """The help, one screen of 80 columns."""
    heads = [f"{name} {more}".rstrip() for name, (_, more, _) in COMMANDS.items()]
    width = max(map(len, heads)) + 2
    lines = [
        f"  {head:{width}}{does}" for head, (*_, does) in zip(heads, COMMANDS.values(), strict=True)
    ]
    return "\n".join(
        [
            "usage: jaxdl COMMAND [OPTION ...]",
            "",
            *lines,
            f"  {'benchmark NAME':{width}}{', '.join(BENCHMARKS[:3])},",
            f"  {'':{width}}{', '.join(BENCHMARKS[3:])}",
            "",
            "jaxdl COMMAND --help lists its options; jaxdl --version",
        ]
    )


def found(arguments: list[str]) -> tuple[str, str, list[str]]:
    """What was typed, the module that is meant, and its arguments; a ValueError for other names.

    >>> found(["study", "irises.csv", "--target", "kind"])
    ('jaxdl study', 'experiments.model_selection', ['--data', 'irises.csv', '--target', 'kind'])
    >>> found(["benchmark", "tables"])
    ('jaxdl benchmark tables', 'experiments.benchmarks.tables', [])
    """
    name, *rest = arguments
    if name == "benchmark":
        if not rest or rest[0].startswith("-"):
            raise ValueError(f"benchmark wants a name: {', '.join(BENCHMARKS)}")
        name, *rest = rest
        _known(name, BENCHMARKS, "benchmark")
        return f"jaxdl benchmark {name}", f"experiments.benchmarks.{name.replace('-', '_')}", rest
    _known(name, (*COMMANDS, "benchmark"), "command")
    if name == "study" and rest and not rest[0].startswith("-"):
        rest = ["--data", *rest]
    return f"jaxdl {name}", f"experiments.{COMMANDS[name][0]}", rest


def _known(name: str, names, what: str) -> None:
    if name not in names:
        (near,) = difflib.get_close_matches(name.replace("_", "-"), names, 1, cutoff=0)
        raise ValueError(f"there is no {what} {name!r}; the nearest is {near!r}; see jaxdl --help")


def main() -> None:
    """Run the command that the process was given; always exits."""
    arguments = sys.argv[1:]
    if arguments in ([], ["-h"], ["--help"], ["help"]):
        print(usage())
        sys.exit(0)
    if arguments == ["--version"]:
        print(__version__)
        sys.exit(0)
    try:
        typed, module, rest = found(arguments)
    except ValueError as error:
        print(f"jaxdl: {error}", file=sys.stderr)
        sys.exit(2)
    command.typed = typed
    sys.argv = [sys.argv[0], *rest]
    # As `python -m` does it, so that processes that the command starts find its module again.
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
