"""What a fit minimizes: its loss, and the same as an equation."""

from hydra.utils import instantiate
from torch import nn

from kdlab.config.experiment import Recipe, StudentRecipe, Targets

OF_TEACHER = "L = CE(z_t, y)"
# What y or z_t stands for, where it is not the labels or the teacher's logits.
STANDS_FOR = {
    Targets("teacher", soft=False): ", y = argmax z_t",
    Targets("bayes", soft=False): ", y = argmax P(y | x)",
    Targets("bayes", soft=True): ", z_t = log P(y | x) of the true posterior",
}


def loss_of(recipe: StudentRecipe) -> nn.Module:
    """Build a student's loss."""
    loss: nn.Module = instantiate(recipe.loss, _convert_="all")
    return loss


def temperature_of(loss: nn.Module) -> float:
    """Return the temperature at which a loss softens the teacher's logits; 1 for a loss that has none."""
    found = [value for name, value in loss.named_buffers() if name.rpartition(".")[2] == "temperature"]
    return float(found[0]) if found else 1.0


def equation_of(recipe: Recipe) -> str:
    """Return what a fit with this recipe minimizes, as an equation.

    z_s are the student's logits, z_t the teacher's, y the labels, CE the cross-entropy. A loss that does not write its
    equation in `extra_repr` is named.
    """
    if not isinstance(recipe, StudentRecipe):
        return OF_TEACHER
    loss = loss_of(recipe)
    control = f", z_t changed by {recipe.control['_target_'].rpartition('.')[2]}" if recipe.control else ""
    return (loss.extra_repr() or type(loss).__name__) + STANDS_FOR.get(recipe.learns_from, "") + control
