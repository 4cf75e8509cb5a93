"""`python -m ember_ml.cli` is `ember-ml`."""

from ember_ml.cli import main

main()
