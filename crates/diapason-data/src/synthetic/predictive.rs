//! What an ideal observer expects next: probability mass functions, their conjugate
//! predictives, and exact sums over finitely many hypotheses.
//!
//! Every function returns `ln p(value)` in nats. A conjugate predictive takes the *posterior*
//! hyperparameters, that is the prior's plus what was counted so far.

/// `ln Γ(x)` for `x > 0`: Stirling's series, after the recurrence has moved `x` beyond 12.
pub(super) fn ln_gamma(x: f64) -> f64 {
    let (mut argument, mut product) = (x, 1.0);
    while argument < 12.0 {
        product *= argument;
        argument += 1.0;
    }
    let inverse = 1.0 / argument;
    let square = inverse * inverse;
    let series = inverse
        * (1.0 / 12.0
            - square
                * (1.0 / 360.0
                    - square * (1.0 / 1260.0 - square * (1.0 / 1680.0 - square / 1188.0))));
    let half_ln_two_pi = 0.918_938_533_204_672_8;
    (argument - 0.5) * argument.ln() - argument + half_ln_two_pi + series - product.ln()
}

/// `ln B(a, b)`.
pub(super) fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// `ln C(n, k)`, `-∞` if `k > n`.
fn ln_choose(n: u64, k: u64) -> f64 {
    if k > n {
        return f64::NEG_INFINITY;
    }
    let (n, k) = (n as f64, k as f64);
    ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0)
}

/// Trials up to and including the first success, `trials >= 1`.
pub(super) fn geometric(success: f64, trials: u64) -> f64 {
    match trials.checked_sub(1) {
        None => f64::NEG_INFINITY,
        Some(failures) => failures as f64 * (-success).ln_1p() + success.ln(),
    }
}

/// [`geometric`] under `success ~ Beta(a, b)`.
pub(super) fn beta_geometric(a: f64, b: f64, trials: u64) -> f64 {
    match trials.checked_sub(1) {
        None => f64::NEG_INFINITY,
        Some(failures) => ln_beta(a + 1.0, b + failures as f64) - ln_beta(a, b),
    }
}

/// Successes in `trials` trials.
pub(super) fn binomial(trials: u64, success: f64, value: u64) -> f64 {
    if value > trials {
        return f64::NEG_INFINITY;
    }
    ln_choose(trials, value)
        + value as f64 * success.ln()
        + (trials - value) as f64 * (-success).ln_1p()
}

/// [`binomial`] under `success ~ Beta(a, b)`.
pub(super) fn beta_binomial(trials: u64, a: f64, b: f64, value: u64) -> f64 {
    if value > trials {
        return f64::NEG_INFINITY;
    }
    ln_choose(trials, value) + ln_beta(a + value as f64, b + (trials - value) as f64)
        - ln_beta(a, b)
}

/// Failures before success number `successes`.
pub(super) fn negative_binomial(successes: u64, success: f64, failures: u64) -> f64 {
    ln_choose(failures + successes - 1, failures)
        + successes as f64 * success.ln()
        + failures as f64 * (-success).ln_1p()
}

/// [`negative_binomial`] under `success ~ Beta(a, b)`.
pub(super) fn beta_negative_binomial(successes: u64, a: f64, b: f64, failures: u64) -> f64 {
    ln_choose(failures + successes - 1, failures)
        + ln_beta(a + successes as f64, b + failures as f64)
        - ln_beta(a, b)
}

/// Events at a rate.
pub(super) fn poisson(rate: f64, value: u64) -> f64 {
    value as f64 * rate.ln() - rate - ln_gamma(value as f64 + 1.0)
}

/// [`poisson`] under `rate ~ Gamma(shape, 1 / inverse_scale)`.
pub(super) fn gamma_poisson(shape: f64, inverse_scale: f64, value: u64) -> f64 {
    let value = value as f64;
    ln_gamma(shape + value)
        - ln_gamma(shape)
        - ln_gamma(value + 1.0)
        - shape * (1.0 / inverse_scale).ln_1p()
        - value * inverse_scale.ln_1p()
}

/// Marked items among `drawn` out of `population`, of which `marked` are marked.
pub(super) fn hypergeometric(population: u64, marked: u64, drawn: u64, value: u64) -> f64 {
    if value > drawn || value > marked {
        return f64::NEG_INFINITY;
    }
    ln_choose(marked, value) + ln_choose(population - marked, drawn - value)
        - ln_choose(population, drawn)
}

/// Counts of categories in as many trials as they sum to.
pub(super) fn multinomial(probabilities: &[f64], counts: &[u64]) -> f64 {
    let trials: u64 = counts.iter().sum();
    let terms = probabilities.iter().zip(counts).map(|(probability, count)| {
        *count as f64 * probability.ln() - ln_gamma(*count as f64 + 1.0)
    });
    ln_gamma(trials as f64 + 1.0) + terms.sum::<f64>()
}

/// [`multinomial`] under `probabilities ~ Dirichlet(alphas)`.
pub(super) fn dirichlet_multinomial(alphas: &[f64], counts: &[u64]) -> f64 {
    let trials: u64 = counts.iter().sum();
    let concentration: f64 = alphas.iter().sum();
    let terms = alphas.iter().zip(counts).map(|(alpha, count)| {
        let count = *count as f64;
        ln_gamma(alpha + count) - ln_gamma(*alpha) - ln_gamma(count + 1.0)
    });
    ln_gamma(trials as f64 + 1.0) + ln_gamma(concentration)
        - ln_gamma(concentration + trials as f64)
        + terms.sum::<f64>()
}

/// A normal variable rounded to the nearest whole number: the mass of `[value ± 1/2]` by
/// five-point Gauss-Legendre quadrature, exact to 1e-10 for `deviation >= 3`.
pub(super) fn rounded_normal(mean: f64, deviation: f64, value: i64) -> f64 {
    const NODES: [(f64, f64); 3] = [
        (0.0, 0.568_888_888_888_888_9),
        (0.538_469_310_105_683_1, 0.478_628_670_499_366_47),
        (0.906_179_845_938_664, 0.236_926_885_056_189_08),
    ];
    let centre = (value as f64 - mean) / deviation;
    let half = 0.5 / deviation;
    // Relative to the density at the centre, so that far tails do not underflow.
    let relative = |at: f64| (centre * centre / 2.0 - at * at / 2.0).exp();
    let mass: f64 = NODES
        .iter()
        .map(|(node, weight)| {
            let sides = relative(centre - half * node) + relative(centre + half * node);
            weight * if *node == 0.0 { sides / 2.0 } else { sides }
        })
        .sum();
    (half * mass).ln() - centre * centre / 2.0 - 0.5 * std::f64::consts::TAU.ln()
}

/// Beliefs over finitely many hypotheses.
#[derive(Clone, Debug)]
pub(super) struct Mixture {
    /// Posterior probability of each hypothesis; sums to one.
    weights: Vec<f64>,
}

impl Mixture {
    /// Beliefs in proportion to `weights`, which are non-negative and not all zero.
    pub(super) fn new(mut weights: Vec<f64>) -> Self {
        let total: f64 = weights.iter().sum();
        for weight in &mut weights {
            *weight /= total;
        }
        Mixture { weights }
    }

    /// Equal beliefs in `hypotheses` hypotheses.
    pub(super) fn uniform(hypotheses: usize) -> Self {
        Mixture::new(vec![1.0; hypotheses])
    }

    /// `ln p(outcome)`, where `likelihood(h)` is its probability under hypothesis `h`.
    pub(super) fn ln_predictive(&self, likelihood: impl Fn(usize) -> f64) -> f64 {
        let weighted = self.weights.iter().enumerate();
        weighted
            .map(|(index, weight)| if *weight > 0.0 { weight * likelihood(index) } else { 0.0 })
            .sum::<f64>()
            .ln()
    }

    /// Beliefs after an outcome that is possible under some hypothesis.
    pub(super) fn after(&self, likelihood: impl Fn(usize) -> f64) -> Self {
        let weighted = self.weights.iter().enumerate();
        Mixture::new(
            weighted
                .map(|(index, weight)| if *weight > 0.0 { weight * likelihood(index) } else { 0.0 })
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests;
