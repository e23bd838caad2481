//! Loops over rows in one fixed order, wide enough for any vector unit: lane j takes the elements
//! with index j mod 32, and lanes are added pairwise at the end. What is left of a row after whole
//! chunks goes through a padded chunk, for rows of attention are short.
#![expect(clippy::inline_always, reason = "they must take on their callers' target features")]

const LANES: usize = 32;

/// Σ f(a, b) over two rows of equal length.
#[inline(always)]
pub(super) fn sum_pairs(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    assert_eq!(a.len(), b.len(), "rows agree in length");
    let mut lanes = [0.0_f32; LANES];
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for j in 0..LANES {
            lanes[j] += f(a[j], b[j]);
        }
    }
    if !a_rest.is_empty() {
        let (a, b) = (padded(a_rest, 0.0), padded(b_rest, 0.0));
        for j in 0..LANES {
            lanes[j] += if j < a_rest.len() { f(a[j], b[j]) } else { 0.0 };
        }
    }
    fold(lanes)
}

/// Σ f(a, b, c) over three rows of equal length.
#[inline(always)]
pub(super) fn sum_triples(
    a: &[f32],
    b: &[f32],
    c: &[f32],
    f: impl Fn(f32, f32, f32) -> f32,
) -> f32 {
    assert!(a.len() == b.len() && b.len() == c.len(), "rows agree in length");
    let mut lanes = [0.0_f32; LANES];
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let (c, c_rest) = c.as_chunks::<LANES>();
    for ((a, b), c) in a.iter().zip(b).zip(c) {
        for j in 0..LANES {
            lanes[j] += f(a[j], b[j], c[j]);
        }
    }
    for (lane, ((a, b), c)) in lanes.iter_mut().zip(a_rest.iter().zip(b_rest).zip(c_rest)) {
        *lane += f(*a, *b, *c);
    }
    fold(lanes)
}

/// Replaces each value x by f(x).
#[inline(always)]
pub(super) fn map(values: &mut [f32], f: impl Fn(f32) -> f32) {
    let (chunks, rest) = values.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for value in chunk {
            *value = f(*value);
        }
    }
    if !rest.is_empty() {
        let mut last = padded(rest, 0.0);
        for value in &mut last {
            *value = f(*value);
        }
        rest.copy_from_slice(&last[..rest.len()]);
    }
}

/// Replaces each value x by f(x), and returns the sum of the results.
#[inline(always)]
pub(super) fn map_sum(values: &mut [f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let (chunks, rest) = values.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for j in 0..LANES {
            chunk[j] = f(chunk[j]);
            lanes[j] += chunk[j];
        }
    }
    if !rest.is_empty() {
        let mut last = padded(rest, 0.0);
        for j in 0..LANES {
            last[j] = f(last[j]);
            lanes[j] += if j < rest.len() { last[j] } else { 0.0 };
        }
        rest.copy_from_slice(&last[..rest.len()]);
    }
    fold(lanes)
}

/// The largest value, -∞ of none. NaN is passed over.
#[inline(always)]
pub(super) fn max(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for j in 0..LANES {
            lanes[j] = if chunk[j] > lanes[j] { chunk[j] } else { lanes[j] };
        }
    }
    let last = padded(rest, f32::NEG_INFINITY);
    for j in 0..LANES {
        lanes[j] = if last[j] > lanes[j] { last[j] } else { lanes[j] };
    }
    let mut half = LANES / 2;
    while half > 0 {
        for j in 0..half {
            lanes[j] = if lanes[j + half] > lanes[j] { lanes[j + half] } else { lanes[j] };
        }
        half /= 2;
    }
    lanes[0]
}

#[inline(always)]
fn padded(rest: &[f32], with: f32) -> [f32; LANES] {
    let mut chunk = [with; LANES];
    chunk[..rest.len()].copy_from_slice(rest);
    chunk
}

#[inline(always)]
fn fold(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for j in 0..half {
            lanes[j] += lanes[j + half];
        }
        half /= 2;
    }
    lanes[0]
}
