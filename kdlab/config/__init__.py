"""From a composed config to an `Experiment`: the only room that knows OmegaConf. Called by `kdlab.pipeline`.

Nothing is imported here: the command line reads `compose` alone, without torch.
"""
