"""From a recipe to a trained network: what a fit depends on, the plan of all fits, and how each is had."""
