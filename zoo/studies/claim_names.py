"""The studies by name, and what the paper claims there. Imports nothing."""

STUDIES = {
    "ordering": "online, HL-Gauss is above C51, MSE, Two-Hot, in that order, and above MSE on a softmax head",
    "sigma-bins": "the best absolute sigma of HL-Gauss does not depend on the number of bins",
    "reward-noise": "offline, HL-Gauss loses less than MSE when rewards are noisy",
    "stochastic-dynamics": "the gain of classification shrinks when the environment is deterministic",
    "plasticity": "on targets that keep changing MSE loses the ability to fit, Two-Hot less, HL-Gauss least",
    "linear-probe": "a linear head on frozen features learns more from those of HL-Gauss than of MSE",
    "offline": "under CQL HL-Gauss scores above MSE, which decays; under offline SARSA the gain vanishes",
    "value-accuracy": "values learned by cross-entropy are more accurate than those learned by MSE",
    "initial-values": "MSE's values are more accurate by where they begin; returns do not depend on it",
    "lead-causes": "HL-Gauss's lead on Asterix comes from its labels, not from gradient, support or target",
    "auto-support": "with support: auto every loss learns whatever the scale of the rewards",
    "actor-critic": "under the same conditions no loss of SAC's critics ends behind another",
    "reward-scale": "with a running divisor an actor-critic learns whatever the scale of the rewards",
    "multi-task": "one network for several games gains more by classification, the more the wider it is",
    "chess": "without search, chess is learned better with HL-Gauss than with one-hot labels or MSE",
    "robots": "a Q-Transformer moves a robot with more success by HL-Gauss than by MSE, and learns sooner",
    "wordle": "a language agent finds more of Wordle's answers with HL-Gauss than with MSE",
    "scaling": "with HL-Gauss scores grow with the network's width and experts, with MSE they do not",
    "theory": "cross-entropy has bounded gradients, HL-Gauss a bias at the edges and a floor of the loss",
}
"""Every study, and what the paper claims there (of `theory`: what follows from its formulas)."""
