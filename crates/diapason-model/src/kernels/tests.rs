//! Products against their scalar twin, bit by bit, and the other kernels against plain loops.

use super::apart::{ApartRow, Panels, multiply_apart};
use super::pack::{View, pack_panels};
use super::pairs::unpacked;
use super::product::{Out, PRODUCT_SCRATCH, multiply, product};
use super::tile::PANEL;
use super::way::Operands;
use super::*;
use crate::weights::wide;
use crate::{Activation, Device};

fn levels() -> Vec<Level> {
    let mut levels = vec![Level::Baseline];
    #[cfg(target_arch = "x86_64")]
    match Level::detect() {
        Level::Avx512 => levels.extend([Level::Avx2, Level::Avx512]),
        Level::Avx2 => levels.push(Level::Avx2),
        Level::Baseline => {}
    }
    levels
}

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    use rand::RngExt;
    let mut stream = diapason_flow::Streams::new(seed).stream("kernels", 0);
    (0..count).map(|_| stream.random_range(-1.0..1.0_f32)).collect()
}

/// All ways that this machine has.
fn ways() -> Vec<Way> {
    let pairs = |level: Level| {
        let dots = if level.multiplies_pairs() { vec![false, true] } else { vec![false] };
        dots.into_iter().map(move |dots| Way { level, operands: Operands::Bf16 { dots } })
    };
    let levels = levels();
    let plain = levels.iter().map(|level| Way::from(*level));
    let halves = plain.clone().map(u16::kept);
    plain.chain(halves).chain(levels.iter().copied().flat_map(pairs)).collect()
}

/// The nearest bfloat16 of numbers.
fn halves(values: &[f32]) -> Vec<u16> {
    values.iter().map(|value| bf16_of(*value) as u16).collect()
}

/// The twin: one chain per element in the order of k, or of words and in each the later k first.
fn plain(way: Way, out: &mut [f32], a: View<'_>, b: View<'_>, accumulate: bool) {
    let pairs = matches!(way.operands, Operands::Bf16 { .. });
    let operand = |value: f32| if pairs { wide(bf16_of(value) as u16) } else { value };
    let mut order: Vec<usize> = (0..a.columns()).collect();
    if pairs {
        order.chunks_exact_mut(2).for_each(<[usize]>::reverse);
    }
    for i in 0..a.rows() {
        for j in 0..b.columns() {
            let value = &mut out[i * b.columns() + j];
            let start = if accumulate { *value } else { 0.0 };
            *value = order.iter().fold(start, |sum, k| {
                let (a, b) = (operand(a.at(i, *k)), operand(b.at(*k, j)));
                if way.level == Level::Baseline { sum + a * b } else { a.mul_add(b, sum) }
            });
        }
    }
}

/// A product in every form against its twin.
fn has_the_bits_of_its_twin<T: Number>(
    way: Way,
    (m, n, k): (usize, usize, usize),
    a: &[f32],
    b: &[T],
) {
    let mut values = vec![0.0; b.len()];
    T::copy(way.level, b, &mut values);
    for form in 0..4 {
        let a_strides = if form & 1 == 0 { (k, 1) } else { (1, m) };
        let b_strides = if form & 2 == 0 { (n, 1) } else { (1, k) };
        let (a, b) = (View::new(a, (m, k), a_strides), View::new(b, (k, n), b_strides));
        let values = View::new(&values, (k, n), b_strides);
        for accumulate in [false, true] {
            let mut expected = numbers(m * n, 3);
            let mut found = expected.clone();
            plain(way, &mut expected, a, values, accumulate);
            let mut scratch = vec![f32::NAN; PRODUCT_SCRATCH];
            multiply(way, Out::own(&mut found, n), a, b, accumulate, &mut scratch);
            if way.operands == (Operands::Bf16 { dots: true }) {
                // The instruction takes numbers too small to matter for zero.
                near(&expected, &found, 1e-5);
            } else {
                assert_eq!(bits(&expected), bits(&found), "{way:?} {m} {n} {k} {form}");
            }
        }
    }
}

#[test]
fn a_product_has_the_bits_of_its_scalar_twin_in_every_form_and_size() {
    let sizes = [(1, 1, 1), (2, 33, 7), (7, 64, 300), (15, 31, 17), (64, 48, 600), (29, 400, 20)];
    for way in ways() {
        for (m, n, k) in sizes {
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            if way.operands != Operands::Halves {
                has_the_bits_of_its_twin(way, (m, n, k), &a, &b);
            }
            has_the_bits_of_its_twin(way, (m, n, k), &a, &halves(&b));
        }
    }
}

#[test]
fn a_product_with_halves_has_the_bits_of_one_with_their_f32() {
    for (m, n, k) in [(3, 40, 301), (1, 33, 1), (20, 64, 1000)] {
        let (a, b) = (numbers(m * k, 1), halves(&numbers(k * n, 2)));
        let values: Vec<f32> = b.iter().map(|half| wide(*half)).collect();
        for precision in [ProductPrecision::F32, ProductPrecision::Bf16] {
            for threads in [1, 3] {
                let device = Device::cpu(threads).with_products(precision);
                let [mut found, mut kept, mut expected] = [1, 1, 1].map(|_| numbers(m * n, 3));
                let a = View::new(&a, (m, k), (k, 1));
                let (b, values) =
                    (View::new(&b, (k, n), (1, k)), View::new(&values, (k, n), (1, k)));
                product(&device, &mut found, a, b, true);
                product(&device, &mut expected, a, values, true);
                assert_eq!(bits(&found), bits(&expected), "{precision:?}, {threads} threads");
                let way = u16::kept(device.way());
                let mut room = vec![f32::NAN; packed_len(way.words(k), n)];
                let packed = Packed::on(&device, way, b, &mut room);
                product_packed(&device, &mut kept, a, packed, true);
                assert_eq!(bits(&kept), bits(&expected), "packed before");
            }
        }
    }
}

fn near(expected: &[f32], found: &[f32], error: f32) {
    for (expected, found) in expected.iter().zip(found) {
        assert!((expected - found).abs() <= error, "{found} for {expected}");
    }
}

#[test]
fn a_word_holds_the_two_nearest_bfloat16() {
    let step = 2.0_f32.powi(-7);
    for (given, expected) in [
        (1.0 + 0.49 * step, 1.0),
        (1.0 + 0.5 * step, 1.0),
        (1.0 + 1.5 * step, 1.0 + 2.0 * step),
        (1e-39, f32::from_bits(0x000b_0000)),
        (f32::MAX, f32::INFINITY),
        (f32::NEG_INFINITY, f32::NEG_INFINITY),
        (-0.0, -0.0),
    ] {
        let [earlier, later] = unpacked(bf16_of(given) | bf16_of(-given) << 16);
        assert_eq!(earlier.to_bits(), expected.to_bits(), "{given}");
        assert_eq!(later.to_bits(), (-earlier).to_bits());
    }
    assert!(unpacked(bf16_of(f32::from_bits(0x7f80_0001)))[0].is_nan());
}

/// Rows of different lengths and widths that lie anywhere, over lines in place and packed.
#[test]
fn rows_that_lie_apart_have_the_bits_of_a_packed_product() {
    for level in levels() {
        for (count, steps, columns) in [(1, 1, 1), (3, 40, 70), (17, 9, 33), (29, 64, 16)] {
            let (a_row, b_row) = (steps + 3, columns + 5);
            let (mut a, b) = (numbers(count * a_row, 1), numbers(steps * b_row, 2));
            let needed = |row: usize| (1 + row * 7 % steps, 1 + row * 5 % columns);
            for (row, a) in a.chunks_exact_mut(a_row).enumerate() {
                a[needed(row).0..].fill(0.0);
            }
            let lines = View::new(&b, (steps, columns), (b_row, 1));
            let mut room = vec![f32::NAN; packed_len(steps, columns)];
            pack_panels(level.into(), lines.transposed(), &mut room, (PANEL, PANEL));
            for accumulate in [false, true] {
                let before = numbers(count * b_row, 3);
                let mut expected = vec![0.0; count * columns];
                for (expected, before) in
                    expected.chunks_exact_mut(columns).zip(before.chunks_exact(b_row))
                {
                    expected.copy_from_slice(&before[..columns]);
                }
                let view = View::new(&a, (count, steps), (a_row, 1));
                plain(level.into(), &mut expected, view, lines, accumulate);
                for panels in [Panels::in_place(&b, b_row), Panels::packed(&room, steps)] {
                    let mut found = before.clone();
                    let rows = (0..count).map(|row| ApartRow {
                        a: row * a_row,
                        c: row * b_row,
                        steps: needed(row).0,
                        columns: needed(row).1,
                    });
                    let shared = SharedMut::new(&mut found);
                    // SAFETY: nobody else has the result.
                    unsafe { multiply_apart(level, shared, (&a, rows), panels, accumulate) };
                    for (row, (found, before)) in
                        found.chunks_exact(b_row).zip(before.chunks_exact(b_row)).enumerate()
                    {
                        let expected = &expected[row * columns..][..columns];
                        let wanted = ..needed(row).1;
                        let (own, expected) = (bits(&found[wanted]), bits(&expected[wanted]));
                        assert_eq!(own, expected, "{level:?} row {row}");
                        assert_eq!(bits(&found[columns..]), bits(&before[columns..]), "beyond");
                    }
                }
            }
        }
    }
}

#[test]
fn rows_that_are_narrowed_come_back_with_zeros_between() {
    let (count, width) = (9, 70);
    let rows = numbers(count * width, 4);
    for kept in [&[][..], &[0], &[8], &[0, 1, 2], &[1, 4, 5, 8], &[0, 1, 2, 3, 4, 5, 6, 7, 8]] {
        let device = Device::cpu(2);
        let mut found = rows.clone();
        narrow_rows(&device, &mut found, kept, width);
        let picked: Vec<f32> = kept
            .iter()
            .flat_map(|row| &rows[*row as usize * width..(*row as usize + 1) * width])
            .copied()
            .collect();
        assert_eq!(bits(&found[..picked.len()]), bits(&picked));
        found[picked.len()..].fill(f32::NAN);
        widen_rows(&device, &mut found, kept, width);
        for (row, values) in found.chunks_exact(width).enumerate() {
            let expected = if kept.contains(&(row as u32)) {
                bits(&rows[row * width..(row + 1) * width])
            } else {
                vec![0; width]
            };
            assert_eq!(bits(values), expected, "row {row} of {kept:?}");
        }
        let mut table = vec![0.0; count * width];
        let view = View::new(&picked, (kept.len(), width), (width, 1));
        scatter_rows(&device, &mut table, view, kept);
        assert_eq!(bits(&table), bits(&found));
    }
}

#[test]
fn a_product_begins_at_another_matrix_with_the_bits_of_one_that_is_added_to_its_copy() {
    let (m, n, k) = (61, 75, 700);
    let (a, b, from) = (numbers(m * k, 1), numbers(k * n, 2), numbers(m * n, 3));
    let (a, b) = (View::new(&a, (m, k), (k, 1)), View::new(&b, (k, n), (n, 1)));
    for level in levels() {
        for precision in [ProductPrecision::F32, ProductPrecision::Bf16] {
            let device = Device::with_level(2, level).with_products(precision);
            let mut expected = from.clone();
            product(&device, &mut expected, a, b, Begin::Result);
            let mut found = vec![f32::NAN; m * n];
            product(&device, &mut found, a, b, Begin::At(&from));
            assert_eq!(bits(&found), bits(&expected), "{level:?} {precision:?}");
        }
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn a_row_has_the_same_bits_in_any_company_and_at_any_number_of_threads() {
    let (m, n, k) = (150, 410, 521);
    let (a, b) = (numbers(m * k, 4), numbers(n * k, 5));
    let weights = View::new(&b, (n, k), (k, 1)).transposed();
    for precision in [ProductPrecision::F32, ProductPrecision::Bf16] {
        let run = |threads: usize, rows: usize, kept: bool| {
            let mut out = vec![0.0; rows * n];
            let view = View::new(&a, (rows, k), (k, 1));
            let device = Device::cpu(threads).with_products(precision);
            if kept {
                let mut room = vec![f32::NAN; packed_len(device.way().words(k), n)];
                let packed = Packed::on(&device, device.way(), weights, &mut room);
                product_packed(&device, &mut out, view, packed, false);
            } else {
                product(&device, &mut out, view, weights, false);
            }
            bits(&out)
        };
        let all = run(1, m, false);
        for threads in [1, 2, 3] {
            for rows in [1, 2, 7, 14, 15, 64, m] {
                for kept in [false, true] {
                    let found = run(threads, rows, kept);
                    assert_eq!(found, all[..rows * n], "{threads} threads, {rows} rows, {kept}");
                }
            }
        }
    }
}

#[test]
fn adamw_of_pieces_is_adamw_of_each_weight() {
    let len = 70_000;
    let gradients = numbers(len, 6);
    let constants = AdamWConstants {
        beta1: 0.9,
        beta2: 0.98,
        epsilon: 1e-8,
        rate: 0.01,
        root_bias: 0.3,
        keep: 1.0,
        scale: 0.5,
        draw: 0,
    };
    let keeps = |at: usize| match at {
        ..40_001 => (40_001, Some(0.9)),
        40_001..50_000 => (50_000, None),
        _ => (len, Some(1.0)),
    };
    let (mut w, mut m, mut v) = (numbers(len, 7), numbers(len, 8), vec![0.25; len]);
    let before = (w.clone(), m.clone());
    let buffers =
        AdamWBuffers { weights: &mut w, gradients: &gradients, first: &mut m, second: &mut v };
    adamw_update(&Device::cpu(2), buffers, constants, keeps);
    let stay = 40_001..50_000;
    assert_eq!(w[stay.clone()], before.0[stay.clone()]);
    assert_eq!(m[stay.clone()], before.1[stay.clone()]);
    assert!(v[stay.clone()].iter().all(|second| *second == 0.25));
    for i in (0..stay.start).chain(stay.end..len) {
        let g = f64::from(gradients[i]) * 0.5;
        let first = 0.9 * f64::from(before.1[i]) + 0.1 * g;
        let second = 0.98 * 0.25 + 0.02 * g * g;
        let keep = if i < 40_001 { 0.9 } else { 1.0 };
        let expected = f64::from(before.0[i]) * keep - 0.01 * first / (second.sqrt() / 0.3 + 1e-8);
        assert!((f64::from(w[i]) - expected).abs() < 1e-6, "weight {i}");
        assert!((f64::from(m[i]) - first).abs() < 1e-6);
        assert!((f64::from(v[i]) - second).abs() < 1e-6);
    }
    let truth: f64 = gradients.iter().map(|g| f64::from(*g) * f64::from(*g)).sum();
    let sums = [1, 2].map(|threads| square_sum(&Device::cpu(threads), &gradients));
    assert_eq!(sums[0].to_bits(), sums[1].to_bits());
    assert!((sums[0] / truth - 1.0).abs() < 1e-12);
}

#[test]
fn cross_entropy_and_its_gradient_are_those_of_plain_softmax() {
    let (rows, vocabulary) = (9, 701);
    let logits: Vec<f32> = numbers(rows * vocabulary, 9).iter().map(|x| x * 20.0).collect();
    let targets: Vec<Target> =
        (0..rows).map(|r| Target { id: (r * 77) as u32, weight: r as f32 * 0.5 }).collect();
    let device = Device::cpu(2);
    let (mut nats, mut gradient) = (vec![0.0; rows], logits.clone());
    cross_entropy(&device, &mut nats, &mut gradient, &targets, Some(0.3));
    let mut again = vec![0.0; rows];
    cross_entropy(&device, &mut again, &mut logits.clone(), &targets, None);
    assert_eq!(bits(&nats), bits(&again), "with and without gradient");
    for (r, target) in targets.iter().enumerate() {
        let row = &logits[r * vocabulary..(r + 1) * vocabulary];
        let sum: f64 = row.iter().map(|x| f64::from(*x).exp()).sum();
        let loss = sum.ln() - f64::from(row[target.id as usize]);
        assert!((f64::from(nats[r]) - loss).abs() < 1e-5);
        for (id, x) in row.iter().enumerate() {
            let hot = f64::from(u8::from(id == target.id as usize));
            let expected = 0.3 * f64::from(target.weight) * (f64::from(*x).exp() / sum - hot);
            assert!((f64::from(gradient[r * vocabulary + id]) - expected).abs() < 1e-6);
        }
    }
}

/// An activation in double precision.
fn activated(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            0.5 * x * (1.0 + inner.tanh())
        }
    }
}

#[test]
fn gated_activations_and_their_slopes_are_those_of_the_formulas_at_every_level() {
    let (rows, width) = (11, 37);
    let gate_up: Vec<f32> = numbers(rows * 2 * width, 10).iter().map(|x| x * 12.0).collect();
    let d_out = numbers(rows * width, 11);
    for activation in [Activation::Silu, Activation::GeluTanh] {
        let results = levels().into_iter().map(|level| {
            let device = Device::with_level(2, level);
            let mut out = vec![0.0; rows * width];
            gated(&device, &mut out, &gate_up, width, activation);
            let (mut gradient, mut hidden) = (gate_up.clone(), d_out.clone());
            gated_backward(&device, &mut gradient, &mut hidden, width, activation);
            (out, gradient, hidden)
        });
        let results: Vec<_> = results.collect();
        let (out, gradient, again) = &results[0];
        for (other_out, other_gradient, other_again) in &results[1..] {
            assert_eq!(bits(out), bits(other_out));
            assert_eq!(bits(gradient), bits(other_gradient));
            assert_eq!(bits(again), bits(other_again));
        }
        let near = |found: f32, expected: f64| {
            let error = (f64::from(found) - expected).abs();
            assert!(error < 2e-6 * (1.0 + expected.abs()), "{found} for {expected}");
        };
        for index in 0..rows * width {
            let at = index / width * 2 * width + index % width;
            let [gate, up, d] = [gate_up[at], gate_up[at + width], d_out[index]].map(f64::from);
            let value = activated(activation, gate);
            let above = activated(activation, gate + 1e-6);
            let slope = (above - activated(activation, gate - 1e-6)) / 2e-6;
            near(out[index], value * up);
            near(again[index], value * up);
            near(gradient[at], d * up * slope);
            near(gradient[at + width], d * value);
        }
    }
}
