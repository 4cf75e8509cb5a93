"""`ember_ml.tensor` under the name that the seeds give it: the same module, its parts too."""

import sys

from ember_ml import tensor as _tensor

for _name, _module in list(sys.modules.items()):
    if _name == _tensor.__name__ or _name.startswith(f"{_tensor.__name__}."):
        sys.modules[__name__ + _name.removeprefix(_tensor.__name__)] = _module
