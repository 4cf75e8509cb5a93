"""The commands and their options. What they do is loaded when one of them is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ember_ml.cli.errors import reported
from ember_ml.cli.settings import Settings

DATA, MODEL, TRAINING, RUN = "Data", "Model", "Training", "The run"
PATIENCE = "Stop after so many epochs without a better validation loss, and keep the best."
ENGINES = (
    "One or several, as in numpy,torch: each trains from the same weights; the first one's model is kept."
)

app = typer.Typer(
    help="Train liquid networks on CSV files, forecast with them, and see which engines run here.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def option(name: str, panel: str, text: str, default: object = None, **more: Any) -> Any:
    """Return an option of `train`, in its panel of the help, with what holds where it is left out."""
    shown = False if default is None else str(default)
    return typer.Option(name, help=text, rich_help_panel=panel, show_default=shown, **more)


def print_version(wanted: bool) -> None:
    """Print the version and end."""
    if wanted:
        import ember_ml

        typer.echo(f"ember-ml {ember_ml.__version__}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and end.")
]


@app.callback()
def root(version: Version = False) -> None:
    """Take what stands before a command."""


Data = Annotated[
    Path | None, typer.Argument(help="A CSV file with column names; may be compressed.", show_default=False)
]
Target = Annotated[str | None, option("--target", DATA, "The column to forecast.", metavar="NAME")]
Time = Annotated[
    str | None, option("--time", DATA, "The column of times.", "the first that holds dates", metavar="NAME")
]
Inputs = Annotated[
    list[str] | None,
    option(
        "--input",
        DATA,
        "A further column for the model to see; may be repeated.",
        "every numeric one",
        metavar="NAME",
    ),
]
ExampleName = Annotated[
    str | None, option("--example", DATA, "Data of the package, instead of a file: co2.", metavar="NAME")
]
Unit = Annotated[str | None, option("--unit", DATA, "The target's unit, for the report.", metavar="TEXT")]
Horizon = Annotated[
    int | None,
    option("--horizon", DATA, "Steps to forecast ahead.", "a quarter of the season", metavar="N", min=1),
]
Season = Annotated[
    int | None,
    option(
        "--season",
        DATA,
        "Steps in a season; 0: none.",
        "a day, a week or a year, by the step",
        metavar="N",
        min=0,
    ),
]
Model = Annotated[
    str | None, option("--model", MODEL, "cfc, cfc-dense, ltc or ltc-dense.", Settings.model, metavar="NAME")
]
Units = Annotated[int | None, option("--units", MODEL, "Neurons.", Settings.units, metavar="N", min=1)]
Window = Annotated[
    int | None, option("--window", MODEL, "Observations that it sees.", Settings.window, metavar="N", min=1)
]
Epochs = Annotated[
    int | None,
    option("--epochs", TRAINING, "Passes through the training part.", Settings.epochs, metavar="N", min=1),
]
BatchSize = Annotated[
    int | None,
    option("--batch-size", TRAINING, "Windows in a step.", Settings.batch_size, metavar="N", min=1),
]
LearningRate = Annotated[
    float | None,
    option(
        "--learning-rate", TRAINING, "Adam's at first; it falls to 0.", Settings.learning_rate, metavar="X"
    ),
]
EarlyStopping = Annotated[
    int | None,
    option("--early-stopping", TRAINING, PATIENCE, "never", min=1, metavar="EPOCHS"),
]
Seed = Annotated[
    int | None, option("--seed", TRAINING, "Of weights, wiring and order.", Settings.seed, metavar="N", min=0)
]
BackendNames = Annotated[
    str | None,
    option("--backend", TRAINING, ENGINES, "the active one", metavar="NAME,..."),
]
Out = Annotated[
    Path | None, option("--out", RUN, "The folder to write.", "runs/ and the target's name", metavar="DIR")
]
Overwrite = Annotated[bool, option("--overwrite", RUN, "Replace the run in the folder.")]
Resume = Annotated[
    bool,
    option("--resume", RUN, "Go on with the run in the folder, as it was begun: all else may be left out."),
]


@app.command("train")
def train_command(
    data: Data = None, target: Target = None, time: Time = None, inputs: Inputs = None,
    example: ExampleName = None, unit: Unit = None, horizon: Horizon = None, season: Season = None,
    model: Model = None, units: Units = None, window: Window = None,
    epochs: Epochs = None, batch_size: BatchSize = None, learning_rate: LearningRate = None,
    early_stopping: EarlyStopping = None, seed: Seed = None, backend: BackendNames = None,
    out: Out = None, overwrite: Overwrite = False, resume: Resume = False,
) -> None:  # fmt: skip
    """Train a liquid network to forecast a column of DATA, and compare it with baselines.

    Writes report.html, metrics.json, predictions.csv, model.safetensors and config.json into one folder.
    """
    asked = {name: value for name, value in locals().items() if value is not None}
    with reported():
        from ember_ml.cli.asked import chosen
        from ember_ml.cli.train import train

        settings, folder = chosen(asked)
        train(settings, folder, overwrite=overwrite, resume=resume)


RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="A folder that `ember-ml train` wrote.", show_default=False)
]
NewData = Annotated[
    Path, typer.Argument(help="A CSV file with the columns that the run was trained on.", show_default=False)
]
OutFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write the forecasts to a CSV file.", show_default=False)
]
Engine = Annotated[str, typer.Option(metavar="NAME", help="The engine to compute on.")]


@app.command("predict")
def predict_command(run: RunArgument, data: NewData, out: OutFile = None, backend: Engine = "numpy") -> None:
    """Forecast from every window of DATA with the model of RUN, as far ahead as it was trained for.

    Without --out a terminal shows the last forecasts, and a pipe takes all of them as CSV.
    """
    with reported():
        from ember_ml.cli.predict import predict
        from ember_ml.cli.run_folder import RunFolder

        predict(RunFolder(run), data, out=out, backend=backend)


Use = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Make a backend the default from now on.", show_default=False),
]
Ops = Annotated[
    bool, typer.Option("--ops", help="Show which op runs on which engine, and each gap with its reason.")
]


Check = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Hold a backend to the laws: a name, or module:Class.", show_default=False
    ),
]


@app.command("backends")
def backends_command(use: Use = None, ops: Ops = False, check: Check = None) -> None:
    """Show which engines are installed, which work, which is active and why."""
    with reported():
        from ember_ml.cli import backends

        if check is not None:
            from ember_ml.cli.check import check as hold

            if not hold(check):
                raise typer.Exit(1)
        elif use is not None:
            backends.use(use)
        elif ops:
            backends.show_ops()
        else:
            backends.show_backends()
