"""From functions to programs: gradients, graphs, printed Python."""

import ember_ml.compiler.algebra as _algebra  # its rules enter the passes
from ember_ml.compiler.compile import Compiled as Compiled
from ember_ml.compiler.compile import compile as compile
from ember_ml.compiler.compile import jit as jit
from ember_ml.compiler.grad import custom_vjp as custom_vjp
from ember_ml.compiler.grad import grad as grad
from ember_ml.compiler.grad import value_and_grad as value_and_grad
from ember_ml.compiler.grad import vjp as vjp
from ember_ml.compiler.jacobian import hessian as hessian
from ember_ml.compiler.jacobian import jacobian as jacobian
from ember_ml.compiler.jacobian import jvp as jvp
from ember_ml.compiler.passes import PASSES as PASSES
from ember_ml.compiler.passes import rule as rule
from ember_ml.compiler.vmap import vmap as vmap
