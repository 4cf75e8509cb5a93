"""Engines: how each differs from the op table, and which one is active."""

from ember_ml.backend.base import Backend as Backend
from ember_ml.backend.base import Gap as Gap
from ember_ml.backend.base import override as override
from ember_ml.backend.selection import ENGINES as ENGINES
from ember_ml.backend.selection import auto_select_backend as auto_select_backend
from ember_ml.backend.selection import available_backends as available_backends
from ember_ml.backend.selection import get_backend as get_backend
from ember_ml.backend.selection import get_backend_module as get_backend_module
from ember_ml.backend.selection import get_device as get_device
from ember_ml.backend.selection import is_installed as is_installed
from ember_ml.backend.selection import register_backend as register_backend
from ember_ml.backend.selection import set_backend as set_backend
from ember_ml.backend.selection import set_device as set_device
from ember_ml.backend.selection import unregister_backend as unregister_backend
from ember_ml.backend.selection import use_backend as use_backend
from ember_ml.backend.selection import why_active as why_active
