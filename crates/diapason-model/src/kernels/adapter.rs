//! What adapters need beside products: sums into some columns, and dropout.

use super::pack::View;
use super::{SharedMut, vectorised};
use crate::Device;

/// `out[:, start..start + columns] += factor · more`, for rows of `width` and of `columns`.
pub(crate) fn add_columns(
    device: &Device,
    (out, width, start): (&mut [f32], usize, usize),
    (more, columns): (&[f32], usize),
    factor: f32,
) {
    assert!(out.len() / width * columns == more.len() && start + columns <= width, "rows agree");
    let shared = SharedMut::new(out);
    device.each_range(more.len() / columns, 16, |rows, _| {
        for row in rows {
            // SAFETY: tasks have disjoint rows.
            let out = unsafe { shared.slice(row * width + start, columns) };
            add_scaled(device.level(), out, &more[row * columns..(row + 1) * columns], factor);
        }
    });
}

vectorised! {
    fn add_scaled(out: &mut [f32], more: &[f32], factor: f32) -> () {
        for (out, more) in out.iter_mut().zip(more) {
            *out += factor * more;
        }
    }
}

/// `out = x · mask / (1 - share)` for `x [n, columns]`, whose first row has the number `first`. The
/// mask is a function of the seed and of the place of an element alone.
pub(crate) fn drop_out(
    device: &Device,
    out: &mut [f32],
    x: View<'_>,
    (seed, share): (u64, f32),
    first: usize,
) {
    let columns = x.columns();
    assert_eq!(out.len(), x.rows() * columns, "the result has a place for every element");
    let kept = 1.0 / (1.0 - share);
    // Of 2^24 equally likely values, those below the bound are dropped.
    let bound = (f64::from(share) * f64::from(1 << 24)).round() as u64;
    let shared = SharedMut::new(out);
    device.each_range(x.rows(), 16, |rows, _| {
        for row in rows {
            // SAFETY: tasks have disjoint rows.
            let out = unsafe { shared.slice(row * columns, columns) };
            let place = ((first + row) * columns) as u64;
            for (column, (out, value)) in out.iter_mut().zip(x.row(row)).enumerate() {
                let dropped = scattered(seed, place + column as u64) >> 40 < bound;
                *out = if dropped { 0.0 } else { value * kept };
            }
        }
    });
}

/// The `index`-th value of SplitMix64 (Steele, Lea & Flood 2014) from a seed.
fn scattered(seed: u64, index: u64) -> u64 {
    let mut value = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_added_where_they_belong() {
        let mut out = vec![1.0; 3 * 5];
        let more: Vec<f32> = (0..6).map(|i| i as f32).collect();
        add_columns(&Device::cpu(2), (&mut out, 5, 2), (&more, 2), 0.5);
        assert_eq!(out[..5], [1.0, 1.0, 1.0, 1.5, 1.0]);
        assert_eq!(out[10..], [1.0, 1.0, 3.0, 3.5, 1.0]);
    }

    #[test]
    fn dropout_keeps_its_share_and_its_mean_and_depends_on_the_place_alone() {
        let x = vec![1.0; 400 * 50];
        let view = View::new(&x, (400, 50), (50, 1));
        let mut out = vec![0.0; x.len()];
        drop_out(&Device::cpu(2), &mut out, view, (7, 0.25), 0);
        let dropped = out.iter().filter(|value| **value == 0.0).count() as f64 / 20_000.0;
        // Four standard errors.
        assert!((dropped - 0.25).abs() < 4.0 * (0.25_f64 * 0.75 / 20_000.0).sqrt(), "{dropped}");
        assert!(out.iter().all(|value| *value == 0.0 || *value == 1.0 / 0.75));
        let mut later = vec![0.0; 100 * 50];
        let rows = view.part(300..400, 0..50);
        drop_out(&Device::cpu(1), &mut later, rows, (7, 0.25), 300);
        assert_eq!(later, out[300 * 50..]);
        let mut other = vec![0.0; x.len()];
        drop_out(&Device::cpu(1), &mut other, view, (8, 0.25), 0);
        assert_ne!(other, out);
        drop_out(&Device::cpu(1), &mut other, view, (8, 0.0), 0);
        assert_eq!(other, x);
    }
}
