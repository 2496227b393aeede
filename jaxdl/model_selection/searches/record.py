"""What a search keeps in its folder: the proposals of its rounds, and a study's checkpoints for each."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxdl import files, parallel
from jaxdl.checks import is_whole
from jaxdl.model_selection.words import plain
from jaxdl.training.host.checkpoints import Checkpoint

_FILE = "proposals.json"


class Record:
    """The rounds of a search, in the folder of a Checkpoint; nowhere for None.

    Raises a ValueError in one line for a file that is damaged.
    """

    def __init__(self, checkpoint: Checkpoint | None):
        self.checkpoint = checkpoint
        self.rounds: list[dict[str, Any]] = []
        if checkpoint is None:
            return
        self.path = Path(checkpoint.folder) / _FILE
        if self.path.exists():
            self.rounds = _read(self.path)

    def numbers(self, turn: int) -> list[int] | None:
        """The numbers of a round's proposals, in an earlier call; None where it did not come so far."""
        return self.rounds[turn]["numbers"] if turn < len(self.rounds) else None

    def note(self, turn: int, numbers: Sequence[int], settings: Sequence[dict[str, Any]]) -> None:
        """Write down what a round is to train; a ValueError where it was something else."""
        if self.checkpoint is None:
            return
        entry = {
            "numbers": [int(n) for n in numbers],
            "settings": [{k: plain(v) for k, v in setting.items()} for setting in settings],
        }
        if turn < len(self.rounds):
            if self.rounds[turn]["settings"] != json.loads(json.dumps(entry["settings"])):
                raise ValueError(
                    f"{self.path}: round {turn} was of other settings: another space, sampler, key "
                    "or number of proposals, or another version of Optuna; take another folder"
                )
            return
        self.rounds.append(entry)
        if not parallel.processes().first:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(_FILE + ".partial")
        partial.write_text(json.dumps(self.rounds))
        partial.replace(self.path)

    def of_round(self, turn: int) -> Checkpoint | None:
        """Where the study of a round leaves its checkpoints."""
        if self.checkpoint is None:
            return None
        folder = Path(self.checkpoint.folder) / f"round_{turn:04d}"
        return self.checkpoint._replace(folder=folder)


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        rounds = files.parse_json(files.read_bytes(path), finite=False)
        for entry in rounds:
            numbers, settings = entry["numbers"], entry["settings"]
            whole = all(is_whole(number) and number >= 0 for number in numbers)
            if not (whole and len(numbers) == len(settings)):
                raise ValueError("its numbers make no sense")
        return rounds
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ValueError(f"{path}: damaged ({files.reason(error)}); take another folder") from None
