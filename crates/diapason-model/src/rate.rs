//! How fast this machine multiplies matrices: the limit that a training step is held against.

use crate::Device;
use crate::forward::matrix;
use crate::kernels::product;
use std::time::Instant;

/// Billions of multiplications and additions a second of a product `[m, k] · [k, n]ᵀ` on a
/// device, the best of some repetitions: a limit is what was reached once.
pub fn product_gflops(device: &Device, (m, n, k): (usize, usize, usize)) -> f64 {
    const REPETITIONS: usize = 5;
    let (a, b) = (vec![0.5; m * k], vec![0.25; n * k]);
    let mut out = vec![0.0; m * n];
    let best = (0..REPETITIONS)
        .map(|_| {
            let started = Instant::now();
            product(device, &mut out, matrix(&a, m, k), matrix(&b, n, k).transposed(), false);
            started.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min);
    2.0 * (m * n * k) as f64 / best / 1e9
}
