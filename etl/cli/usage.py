"""Wrong usage in one line like every other error: what is wrong, what was meant perhaps, and which help says more."""

from __future__ import annotations

import re
from typing import Any

import typer

from etl.cli.output import program
from etl.errors import did_you_mean

USAGE: type[Exception] = typer.BadParameter.__mro__[1]  # click's UsageError, which typer brings along or takes from the package, by version
NOT_AMONG = re.compile(r"(?:Value error, )?'(?P<word>[^']*)' is not one of (?P<choices>.*?)\.?$", re.DOTALL)
NOT_AS_IT_SHOULD_BE = re.compile(r"Input should be (?P<what>.*?)(?:, unable to parse .*)?$", re.DOTALL)
TOO_MANY = re.compile(r"Got unexpected extra arguments?(?:\(s\))? \((?P<words>.*)\)", re.DOTALL)
NO_COMMAND = re.compile(r"No such command '(?P<word>.*?)'\.", re.DOTALL)


def asks_for_help(error: Any) -> bool:
    """Whether a group was called without a command: typer raises then what it calls a wrong usage, with the help as its text."""
    return type(error).__name__ == "NoArgsIsHelpError"


def usage_message(error: Any) -> str:
    """What a wrong usage says: its own words where they name what was meant, else ours."""
    context = error.ctx
    path = re.sub(r"^etl\b", program(), context.command_path) if context is not None else program()
    message = " ".join(error.format_message().split())
    if type(error).__name__ == "NoSuchOption":
        options = [name for param in context.command.params for name in param.opts if name.startswith("-")]
        message = f"there is no option {error.option_name}{did_you_mean(error.option_name, options)}"
    elif command := NO_COMMAND.match(message):
        message = f"there is no command {command['word']}{did_you_mean(command['word'], context.command.commands)}"
    elif choice := NOT_AMONG.search(message):
        choices = re.findall(r"'([^']*)'", choice["choices"])
        known = f"none of {', '.join(choices)}" if len(choices) > 1 else f"not {choices[0]}"
        message = f"{message[: choice.start()]}{choice['word']} is {known}{did_you_mean(choice['word'], choices)}"
    elif extra := TOO_MANY.match(message):
        message = f"nothing takes {extra['words']}: it is one word too many, or needs its option before it"
    else:
        message = NOT_AS_IT_SHOULD_BE.sub(lambda match: f"it should be {match['what']}", message).replace("a valid integer", "a whole number")
    message = message.rstrip(".")
    return f"{message[:1].lower()}{message[1:]}; `{path} --help` says more"
