"""pyTME's names. `tme.backends` is `ember_ml.compat.tme.backends`; nothing else in a program changes."""

from ember_ml.compat.tme import backends as backends
