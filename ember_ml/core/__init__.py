"""What an op is: names, rules, records. Standard library only; no engine is known here."""

from ember_ml.core.dispatch import Interpreter as Interpreter
from ember_ml.core.dtypes import DType as DType
from ember_ml.core.dtypes import as_dtype as as_dtype
from ember_ml.core.dtypes import get_default_dtype as get_default_dtype
from ember_ml.core.dtypes import set_default_dtype as set_default_dtype
from ember_ml.core.graph import Graph as Graph
from ember_ml.core.op import ALIASES as ALIASES
from ember_ml.core.op import TABLE as TABLE
from ember_ml.core.op import Op as Op
from ember_ml.core.op import Specs as Specs
from ember_ml.core.op import alias as alias
from ember_ml.core.op import composite as composite
from ember_ml.core.op import op_named as op_named
from ember_ml.core.op import primitive as primitive
from ember_ml.core.spec import Spec as Spec
from ember_ml.core.spec import spec_of as spec_of
from ember_ml.core.trace import Traced as Traced
