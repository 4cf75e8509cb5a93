"""What `ember-ml train` shows: lines that stay, in colour on a terminal, plain elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from ember_ml.cli.run_folder import REPORT, RunFolder
from ember_ml.cli.table import counted, moment_text, steps_in_words
from ember_ml.visualization.report import NAMES

if TYPE_CHECKING:
    from ember_ml.cli.results import Results
    from ember_ml.cli.train import Task
    from ember_ml.training import History

AGREEMENT = 1e-4  # what we promise of the engines' losses


class TrainingScreen:
    """Tells a run on stdout, in the order in which things happen."""

    def __init__(self, task: Task):
        self.task = task
        self.console = Console(highlight=False)

    def opening(self) -> None:
        """Say what is about to be done."""
        settings, problem = self.task.settings, self.task.problem
        series, plan = problem.series, problem.plan
        moments = moment_text(series.moments)
        missing = f", {series.missing:,} without a value" if series.missing else ""
        self._pair(
            "data",
            f"{self.task.table.path.name}: {len(series):,} rows, {moments[0]} to {moments[-1]}{missing}",
        )
        first = moment_text(problem.test.target_times)[0]
        ahead = steps_in_words(plan.horizon, plan.clock)
        parts = f"train {len(problem.train):,}, test {len(problem.test):,} from {first}"
        self._pair("task", f"{plan.target}, {ahead} ahead: {parts}")
        count, epochs = self.task.module.num_parameters(), counted(settings.epochs, "epoch")
        self._pair(
            "model",
            f"{self.task.module.words}: {count:,} parameters, {epochs}, seed {settings.seed}",
        )

    def trained(self, engine: str, history: History) -> None:
        """Say how it went on one engine."""
        steps, rate = len(history.losses), history.steps_per_second
        loss = history.epochs[-1]["train"]
        self._pair(
            engine, f"{steps:,} steps in {history.seconds:.1f} s, {rate:.0f} a second, loss {loss:.3g}"
        )

    def closing(self, results: Results, folder: RunFolder) -> None:
        """Say what came of it."""
        if len(results.fits) > 1:
            apart, steps = results.disagreement, results.steps_compared
            verdict = Text(f"losses differ by at most {apart:.1g} (relative) over the first {steps} steps")
            if apart > AGREEMENT:
                verdict.append(f", more than the {AGREEMENT:g} that we promise", style="bold red")
            self._pair("engines", verdict)
        self._scores(results.scores)
        self._pair("report", str(folder.path / REPORT))

    def finished_before(self, folder: RunFolder) -> None:
        """Say that there is nothing left to do."""
        self.console.print(
            f"The run in {folder.path} is finished; there is nothing to go on with.", soft_wrap=True
        )

    def _scores(self, scores: dict[str, dict[str, float]]) -> None:
        unit = f", {self.task.settings.unit}" if self.task.settings.unit else ""
        grid = Grid(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False)
        grid.add_column("test part", no_wrap=True)
        grid.add_column(f"RMSE{unit}", justify="right")
        grid.add_column(f"MAE{unit}", justify="right")
        grid.add_column("")
        most = max(each["rmse"] for each in scores.values()) or 1.0
        for name, each in sorted(scores.items(), key=lambda item: item[1]["rmse"]):
            style = "bold orange3" if name == "model" else ""
            bar = Text("━" * max(1, round(20 * each["rmse"] / most)), style=style or "dim")
            grid.add_row(Text(NAMES[name], style=style), f"{each['rmse']:.4g}", f"{each['mae']:.4g}", bar)
        self.console.print(grid)

    def _pair(self, key: str, text: str | Text) -> None:
        line = Text.assemble((f"{key:<9}", "dim"), text)
        self.console.print(line, soft_wrap=True)
