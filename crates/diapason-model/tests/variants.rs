//! Every family against the twin and against itself in other company: what is a test of plain
//! Llama in `decoder.rs` holds for each of them.

mod learning;
mod reference;

use diapason_flow::{Pack, Streams};
use diapason_model::{
    Activations, Adapter, Arch, Cache, Device, FAMILIES, Feed, Learning, LoraSettings, Model,
    ModelError, NodeId, RopeScaling, Variant, Want, Window, Workspace,
};
use learning::{assert_gradients, assert_slopes, bits, ids, learn, model, pack, whole};

const LLAMA3: RopeScaling = RopeScaling::Llama3 {
    factor: 8.0,
    low_frequency_factor: 1.0,
    high_frequency_factor: 4.0,
    original_context: 48,
};

/// A small shape of a family; `window` tokens in all layers but the last.
fn arch(family: &str, window: Option<usize>, rope_scaling: RopeScaling) -> Arch {
    let (width, layers) = (12, 2);
    let gemma = family == "gemma3_text";
    let family = FAMILIES.iter().find(|row| row.name == family).expect("a known family");
    let window = window.map(|tokens| Window {
        tokens,
        layers: (1..=layers).map(|number| number < layers).collect(),
        rope_theta: gemma.then_some(20.0),
    });
    Arch {
        family: family.name.to_owned(),
        width,
        layers,
        heads: 4,
        kv_heads: 2,
        head_width: 6,
        mlp_width: 10,
        vocabulary: 23,
        context: 300,
        norm_epsilon: 1e-5,
        rope_theta: 100.0,
        tied: gemma,
        variant: Variant {
            query_scalar: gemma.then_some(10.0),
            rope_scaling,
            window,
            ..family.variant(width)
        },
    }
}

fn archs(window: usize) -> Vec<Arch> {
    vec![
        arch("llama", None, LLAMA3),
        arch("llama", None, RopeScaling::Linear { factor: 3.0 }),
        arch("qwen2", Some(window), RopeScaling::None),
        arch("qwen3", None, RopeScaling::None),
        arch("qwen3", Some(window), LLAMA3),
        arch("gemma3_text", Some(window), RopeScaling::Linear { factor: 8.0 }),
        arch("gemma3_text", None, RopeScaling::None),
    ]
}

#[test]
fn loss_and_every_gradient_are_those_of_the_twin() {
    for arch in archs(3) {
        // A bias on keys moves all scores of a row alike but for rotation: its gradient is small.
        assert_gradients(&model(&arch), &pack(&[5, 1, 9]), 1e-4);
    }
}

#[test]
fn gradients_of_longer_segments_are_those_of_the_twin() {
    for arch in archs(40) {
        let mut model = model(&arch);
        model.weights.wide_mut().iter_mut().for_each(|weight| *weight *= 0.7);
        assert_slopes(&model, &pack(&[61, 20, 118]), |norm| 1e-4 * norm + 1e-6);
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for arch in archs(50) {
        let (model, pack) = (model(&arch), pack(&[70, 3, 129, 64]));
        let (loss, gradients) = learn(&model, &pack, 1);
        let (other, other_gradients) = learn(&model, &pack, 3);
        assert_eq!(loss.nats.to_bits(), other.nats.to_bits());
        assert!(bits(&gradients) == bits(&other_gradients), "{arch:?}");
    }
}

#[test]
fn a_cache_gives_the_bits_of_the_whole_however_the_tokens_are_split() {
    let ids = ids(150, 9);
    for arch in [1, 7, 60, 200].into_iter().flat_map(archs) {
        let model = model(&arch);
        let expected = whole(&model, &ids);
        for (threads, pieces) in [(1, vec![150]), (2, vec![70, 1, 56, 2, 1, 20])] {
            let device = Device::cpu(threads);
            let mut cache = Cache::new(&arch, 200);
            let mut workspace = Workspace::forward_only(&arch, 150);
            let (mut found, mut rest) = (Vec::new(), &ids[..]);
            let node = cache.branch(None).unwrap();
            for piece in pieces {
                let (now, later) = rest.split_at(piece);
                let feed = [Feed { node, ids: now, want: Want::All, adapter: None }];
                let mut each =
                    |_: usize, _: usize, logits: &[f32], _: Option<_>| found.push(bits(logits));
                model.extend(&device, &mut cache, &feed, &mut workspace, &mut each).unwrap();
                rest = later;
            }
            assert!(found == expected, "{arch:?}");
        }
    }
}

/// Windows that end inside a prompt, at its edge, and inside a branch; branches of many depths in
/// one tile, some of which see nothing of the prompt any more.
#[test]
fn branches_give_the_bits_of_their_own_whole_in_any_company() {
    let prompt = ids(33, 1);
    let tails: Vec<Vec<u32>> = [5, 1, 66, 12].map(|len| ids(len, len as u64)).to_vec();
    for arch in [4, 12, 30, 80].into_iter().flat_map(archs) {
        let model = model(&arch);
        let device = Device::cpu(2);
        let mut cache = Cache::new(&arch, 400);
        let mut workspace = Workspace::forward_only(&arch, 300);
        let root = cache.branch(None).unwrap();
        let nodes: Vec<_> = tails.iter().map(|_| cache.branch(Some(root)).unwrap()).collect();
        let below = cache.branch(Some(nodes[2])).unwrap();
        let mut feeds = vec![Feed { node: root, ids: &prompt, want: Want::None, adapter: None }];
        let children = nodes.iter().zip(&tails);
        feeds.extend(children.map(|(node, ids)| Feed {
            node: *node,
            ids,
            want: Want::All,
            adapter: None,
        }));
        feeds.push(Feed { node: below, ids: &tails[3], want: Want::All, adapter: None });
        let mut rows = vec![Vec::new(); feeds.len()];
        let mut each =
            |feed: usize, _: usize, logits: &[f32], _: Option<_>| rows[feed].push(bits(logits));
        model.extend(&device, &mut cache, &feeds, &mut workspace, &mut each).unwrap();
        for (rows, tail) in rows[1..=4].iter().zip(&tails) {
            let expected = whole(&model, &[&prompt[..], tail].concat());
            assert!(*rows == expected[33..], "{arch:?}");
        }
        let deep = [&prompt[..], &tails[2], &tails[3]].concat();
        assert!(rows[5] == whole(&model, &deep)[99..], "{arch:?}");
        // One more token each, decoded together.
        let again: Vec<_> = nodes[..2].iter().chain([&below, &nodes[3]]).copied().collect();
        let feeds: Vec<_> = again
            .iter()
            .map(|node| Feed { node: *node, ids: &[3], want: Want::Last, adapter: None })
            .collect();
        let mut last = Vec::new();
        let mut each = |_: usize, _: usize, logits: &[f32], _: Option<_>| last.push(bits(logits));
        model.extend(&device, &mut cache, &feeds, &mut workspace, &mut each).unwrap();
        let texts = [&tails[0], &tails[1], &deep[33..].to_vec(), &tails[3]];
        for (last, tail) in last.iter().zip(texts) {
            let expected = whole(&model, &[&prompt[..], tail, &[3]].concat());
            assert!(Some(last) == expected.last(), "{arch:?}");
        }
    }
}

/// Short nodes above, between and below long ones, some of whose tokens lie apart in the store: what
/// of a path is read together depends on all of that, its bits on nothing.
#[test]
fn a_tree_of_short_and_long_nodes_gives_the_bits_of_every_path() {
    const TREE: [(Option<usize>, usize); 11] = [
        (None, 3),
        (Some(0), 40),
        (Some(1), 2),
        (Some(2), 1),
        (Some(2), 35),
        (Some(4), 4),
        (Some(1), 6),
        (Some(0), 2),
        (Some(7), 70),
        (Some(8), 1),
        (Some(8), 2),
    ];
    let own: Vec<Vec<u32>> = TREE.iter().map(|(_, len)| ids(*len, 40 + *len as u64)).collect();
    for arch in [4, 12, 30, 200].into_iter().flat_map(archs) {
        let model = model(&arch);
        let device = Device::cpu(2);
        let mut cache = Cache::new(&arch, 300);
        let mut workspace = Workspace::forward_only(&arch, 200);
        let mut nodes: Vec<NodeId> = Vec::new();
        for (parent, _) in TREE {
            nodes.push(cache.branch(parent.map(|parent| nodes[parent])).unwrap());
        }
        // The second node is read in two calls, with another in between.
        let calls = [
            vec![(0, 0..3), (1, 0..25), (7, 0..2)],
            [(1, 25..40)]
                .into_iter()
                .chain([2, 3, 4, 5, 6, 8, 9, 10].map(|n| (n, 0..TREE[n].1)))
                .collect(),
        ];
        let mut rows = vec![Vec::new(); TREE.len()];
        for call in &calls {
            let feeds: Vec<Feed<'_>> = call
                .iter()
                .map(|(node, part)| Feed {
                    node: nodes[*node],
                    ids: &own[*node][part.clone()],
                    want: Want::All,
                    adapter: None,
                })
                .collect();
            let mut each = |feed: usize, _: usize, logits: &[f32], _: Option<_>| {
                let (node, _) = &call[feed];
                rows[*node].push(bits(logits));
            };
            model.extend(&device, &mut cache, &feeds, &mut workspace, &mut each).unwrap();
        }
        for (node, rows) in rows.iter().enumerate() {
            let path: Vec<usize> =
                std::iter::successors(Some(node), |node| TREE[*node].0).collect();
            let text: Vec<u32> = path.iter().rev().flat_map(|node| &own[*node]).copied().collect();
            let expected = whole(&model, &text);
            assert!(*rows == expected[text.len() - TREE[node].1..], "node {node} of {arch:?}");
        }
    }
}

#[test]
fn a_variant_that_its_family_does_not_have_is_refused() {
    let plain = arch("llama", None, RopeScaling::None);
    let windowed = arch("qwen2", Some(3), RopeScaling::None);
    let gemma = arch("gemma3_text", Some(3), RopeScaling::None);
    let with = |arch: &Arch, variant: Variant| Arch { variant, ..arch.clone() };
    let short = windowed.variant.window.clone().map(|mut window| {
        window.layers.pop();
        window
    });
    let wrong = [
        (with(&plain, windowed.variant.clone()), "`llama` has no variant"),
        (with(&plain, gemma.variant.clone()), "`llama` has no variant"),
        (with(&gemma, plain.variant.clone()), "`gemma3_text` has no variant"),
        (Arch { family: "lama".to_owned(), ..plain.clone() }, "`lama` is no known family"),
        (with(&windowed, Variant { window: short, ..windowed.variant.clone() }), "1 of 2 layers"),
        (
            with(&gemma, Variant { query_scalar: Some(0.0), ..gemma.variant.clone() }),
            "a scale of its variant is 0",
        ),
    ];
    for (arch, message) in wrong {
        let error = arch.check().unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    for arch in archs(3) {
        arch.check().unwrap();
        let fresh = Model::random(arch, &Streams::new(1)).unwrap();
        for spec in fresh.layout.tensors.iter().filter(|spec| spec.shape.len() == 1) {
            let offset = fresh.arch.variant.norm_offset;
            let expected = if spec.name.contains("_proj.bias") { 0.0 } else { 1.0 - offset };
            let found = fresh.weights.part(spec.range.clone()).wide();
            assert!(found.iter().all(|weight| *weight == expected));
        }
    }
}

/// Difference of two gradients, relative to the second.
fn relative(found: &[f32], expected: &[f64]) -> f64 {
    let error: f64 = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum();
    let size: f64 = expected.iter().map(|b| b * b).sum();
    (error / size).sqrt()
}

#[test]
fn branches_learn_what_their_options_learn_apart() {
    let trunk = ids(70, 1);
    let weight = |index: usize| if index.is_multiple_of(5) { 0.5 } else { 0.0 };
    // Some options are longer than a tile of attention and than the window.
    let options = [(ids(4, 2), 0.5), (ids(1, 3), 0.125), (ids(90, 4), 0.25), (ids(60, 5), 0.125)];
    for at in [0, 61, 69] {
        for arch in archs(3).into_iter().chain(archs(40)) {
            let mut model = model(&arch);
            model.weights.wide_mut().iter_mut().for_each(|weight| *weight *= 0.7);
            let (mut together, mut trunk_alone) = (Pack::new(), Pack::new());
            together.push_weighted(&ids(9, 6), |_| 0.0);
            for pack in [&mut together, &mut trunk_alone] {
                pack.push_weighted(&trunk, weight);
            }
            let (loss, gradients) = learn(&model, &trunk_alone, 1);
            let mut expected: Vec<f64> = gradients.iter().map(|x| f64::from(*x)).collect();
            let mut nats = loss.nats;
            for (option, probability) in &options {
                let branch = [&trunk[at..=at], option].concat();
                together.push_branch(at, &branch, |_| *probability);
                let mut apart = Pack::new();
                apart.push_weighted(&[&trunk[..=at], option].concat(), |index| {
                    f32::from(u8::from(index > at))
                });
                let (loss, gradients) = learn(&model, &apart, 1);
                nats += f64::from(*probability) * loss.nats;
                for (sum, x) in expected.iter_mut().zip(&gradients) {
                    *sum += f64::from(*probability) * f64::from(*x);
                }
            }
            let (loss, gradients) = learn(&model, &together, 2);
            assert!((loss.nats / nats - 1.0).abs() < 1e-6, "{} for {nats}", loss.nats);
            let error = relative(&gradients, &expected);
            assert!(error < 1e-5, "{}: {error:e} at {at}", arch.family);
            let (again, more_threads) = learn(&model, &together, 3);
            assert_eq!(again.nats.to_bits(), loss.nats.to_bits());
            assert_eq!(bits(&more_threads), bits(&gradients));
        }
    }
}

/// Every way to leave something out that `freeze` has: whole kinds, layers from below, a part of a
/// fused matrix, norms, all but one end of the decoder.
#[test]
fn what_learns_has_the_bits_of_the_full_backward_pass_and_nothing_else_is_touched() {
    const UNTOUCHED: f32 = 7.0;
    let sets: [&[&str]; 10] = [
        &["embed_tokens", "mlp"],
        &["embed_tokens", "layers.0."],
        &["embed_tokens", "layers.0.self_attn", "layers.0.input_layernorm"],
        &["k_proj", "up_proj"],
        &["q_proj", "v_proj", "gate_proj", "k_norm"],
        &["norm"],
        &["embed_tokens", "layers.0.input_layernorm", "layers.0.mlp"],
        &["embed_tokens", "layers."],
        &["embed_tokens", "layers.", "model.norm"],
        &[""],
    ];
    let untied = Arch { tied: false, ..arch("llama", None, RopeScaling::None) };
    for arch in archs(3).into_iter().chain([untied]) {
        let (model, pack) = (model(&arch), pack(&[61, 5, 20]));
        let (loss, full) = learn(&model, &pack, 1);
        for set in sets {
            let tensors = &model.layout.tensors;
            let stays = |name: &str| set.iter().any(|part| name.contains(part));
            let learning = Learning::without(tensors, |tensor| stays(&tensor.name));
            let activations = [Activations::Kept, Activations::Recomputed][set.len() % 2];
            let mut workspace = Workspace::learning(&model, learning, pack.len(), activations);
            let mut gradients = vec![0.0; full.len()];
            for tensor in tensors.iter().filter(|tensor| stays(&tensor.name)) {
                gradients[tensor.range.clone()].fill(UNTOUCHED);
            }
            let device = Device::cpu(2);
            let found =
                model.loss_and_gradients(&device, &pack, 1.0, &mut workspace, &mut gradients);
            assert_eq!(found.unwrap().nats.to_bits(), loss.nats.to_bits());
            for tensor in tensors {
                let found = bits(&gradients[tensor.range.clone()]);
                let expected = if stays(&tensor.name) {
                    vec![UNTOUCHED.to_bits(); found.len()]
                } else {
                    bits(&full[tensor.range.clone()])
                };
                assert!(found == expected, "{} without {set:?} of {arch:?}", tensor.name);
            }
        }
    }
}

#[test]
fn activations_that_are_computed_again_have_the_same_bits() {
    for arch in archs(3) {
        let arch = Arch {
            layers: 3,
            variant: Variant {
                window: arch
                    .variant
                    .window
                    .clone()
                    .map(|window| Window { layers: vec![true, true, false], ..window }),
                ..arch.variant.clone()
            },
            ..arch
        };
        let (model, pack) = (model(&arch), pack(&[61, 5, 20]));
        let (loss, kept) = learn(&model, &pack, 1);
        let mut workspace =
            Workspace::learning(&model, Learning::all(), pack.len(), Activations::Recomputed);
        assert!(workspace.bytes() < Workspace::new(&arch, pack.len()).bytes() * 3 / 4);
        // The second time the buffers hold what the first time left.
        for _ in 0..2 {
            let mut found = vec![0.0; kept.len()];
            let device = Device::cpu(2);
            let again = model.loss_and_gradients(&device, &pack, 1.0, &mut workspace, &mut found);
            assert_eq!(again.unwrap().nats.to_bits(), loss.nats.to_bits());
            assert!(bits(&found) == bits(&kept), "{arch:?}");
        }
    }
}

#[test]
fn a_workspace_of_fewer_layers_than_learn_is_refused() {
    let model = model(&arch("llama", None, RopeScaling::None));
    let targets = vec!["layers.1.mlp.up_proj".to_owned()];
    let settings = LoraSettings { targets, ..LoraSettings::default() };
    let mut adapted = model.clone();
    adapted.attach(Adapter::new(&model.arch, &settings, &Streams::new(1)).unwrap()).unwrap();
    let mut workspace = Workspace::learning(&adapted, Learning::all(), 20, Activations::Kept);
    let mut gradients = vec![0.0; model.weights.len()];
    let (device, pack) = (Device::cpu(1), pack(&[9]));
    let found = model.loss_and_gradients(&device, &pack, 1.0, &mut workspace, &mut gradients);
    assert!(matches!(found, Err(ModelError::Foreign { what: "workspace" })));
}

#[test]
fn packed_copies_change_no_bit_and_stay_in_their_budget() {
    let ids = ids(70, 9);
    for arch in archs(30) {
        let model = model(&arch);
        let expected = whole(&model, &ids);
        let (device, mut all) = (Device::cpu(2), 0);
        for budget in [usize::MAX, 0, 5000, 20_000] {
            let mut workspace = Workspace::resident(&model, &device, 70, budget);
            let bytes = workspace.packed_bytes();
            all = all.max(bytes);
            assert!(
                bytes <= budget && (bytes > 0) == (budget > 0) && (bytes == all) == (budget > all)
            );
            let mut cache = Cache::new(&arch, 70);
            let node = cache.branch(None).unwrap();
            let mut found = Vec::new();
            for part in [&ids[..64], &ids[64..65], &ids[65..]] {
                let feed = [Feed { node, ids: part, want: Want::All, adapter: None }];
                let mut each =
                    |_: usize, _: usize, logits: &[f32], _: Option<_>| found.push(bits(logits));
                model.extend(&device, &mut cache, &feed, &mut workspace, &mut each).unwrap();
            }
            assert!(found == expected, "{budget} of {arch:?}");
            let (other, pack) = (model.clone(), pack(&[3]));
            let refused = other.token_nats(&device, &pack, &mut workspace);
            assert!(matches!(refused, Err(ModelError::Foreign { what: "workspace" })));
        }
    }
}
