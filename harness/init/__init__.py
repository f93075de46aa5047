"""A benchmark of one's own: a database and questions with golds -> a commented folder that every command works on."""

from harness.init.folder import Made, Request, init
from harness.init.questions import GOLD_NAMES, QUESTION_NAMES

__all__ = ["GOLD_NAMES", "QUESTION_NAMES", "Made", "Request", "init"]
