"""Mithril's names: `import ember_ml.compat.mithril as ml`; nothing else in a program changes."""

from ember_ml.compat.mithril import backends as backends
