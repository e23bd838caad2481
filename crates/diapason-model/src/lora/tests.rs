use super::*;
use crate::{
    Activations, Cache, Device, FAMILIES, Feed, Layout, Learning, Variant, Want, Workspace,
};
use diapason_flow::Pack;

fn arch(family: &str, tied: bool) -> Arch {
    let family = FAMILIES.iter().find(|row| row.name == family).unwrap();
    let gemma = family.name == "gemma3_text";
    Arch {
        family: family.name.to_owned(),
        width: 12,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_width: 6,
        mlp_width: 10,
        vocabulary: 23,
        context: 64,
        norm_epsilon: 1e-5,
        rope_theta: 100.0,
        tied,
        variant: Variant { query_scalar: gemma.then_some(10.0), ..family.variant(12) },
    }
}

fn model(arch: &Arch) -> Model {
    let mut stream = Streams::new(5).stream("weights", 0);
    let weights: Vec<f32> =
        (0..Layout::of(arch).len).map(|_| stream.random_range(-0.5..0.5_f32)).collect();
    Model::new(arch.clone(), weights).unwrap()
}

/// An adapter of every module in which A and B are random, so that it changes everything.
fn adapter(arch: &Arch, seed: u64) -> Adapter {
    let settings = LoraSettings {
        rank: 3,
        alpha: 4.0,
        rslora: seed.is_multiple_of(2),
        targets: vec!["*".to_owned()],
        ..LoraSettings::default()
    };
    let mut adapter = Adapter::new(arch, &settings, &Streams::new(seed)).unwrap();
    let mut stream = Streams::new(seed).stream("both", 0);
    adapter.weights.iter_mut().for_each(|weight| *weight = stream.random_range(-0.3..0.3));
    adapter
}

fn pack() -> Pack {
    let mut pack = Pack::new();
    for (length, step) in [(9, 5), (4, 3), (17, 7)] {
        let ids: Vec<u32> = (0..length).map(|index| (index * step + 1) % 23).collect();
        pack.push_weighted(&ids, |index| [1.0, 0.5][index % 2]);
    }
    pack
}

/// Loss and gradients of what trains.
fn learn(model: &Model, dropout: Option<u64>) -> (f64, Vec<f32>) {
    let mut workspace = Workspace::new(&model.arch, 40);
    let mut gradients = vec![0.0; model.trained().1.len()];
    if let Some(seed) = dropout {
        workspace.drop_out(seed, 0.3);
    }
    let device = Device::cpu(2);
    let loss =
        model.loss_and_gradients(&device, &pack(), 1.0, &mut workspace, &mut gradients).unwrap();
    (loss.nats, gradients)
}

fn attached(model: &Model, adapter: Adapter) -> Model {
    let mut model = model.clone();
    model.attach(adapter).unwrap();
    model
}

fn shapes() -> Vec<Arch> {
    vec![arch("llama", true), arch("llama", false), arch("qwen2", false), arch("gemma3_text", true)]
}

#[test]
fn a_fresh_adapter_changes_nothing() {
    for arch in shapes() {
        let base = model(&arch);
        let settings = LoraSettings { targets: vec!["*".to_owned()], ..LoraSettings::default() };
        let fresh = Adapter::new(&arch, &settings, &Streams::new(1)).unwrap();
        assert!(fresh.weights.iter().any(|weight| *weight != 0.0));
        let with = attached(&base, fresh);
        let seen = [&base, &with].map(|model| {
            let mut workspace = Workspace::forward_only(&arch, 40);
            let mut all = Vec::new();
            let mut each = |_: usize, logits: &[f32]| all.push(logits.to_vec());
            let rows: Vec<usize> = (0..30).collect();
            model.logits(&Device::cpu(2), &pack(), &rows, &mut workspace, &mut each).unwrap();
            all
        });
        assert_eq!(seen[0], seen[1], "{}", arch.family);
    }
}

/// `[rows, columns]` times `[columns, more]` in f64, either of them transposed by its strides.
fn times(
    (a, b): (&[f32], &[f32]),
    (rows, inner, columns): (usize, usize, usize),
    (a_at, b_at): (impl Fn(usize, usize) -> usize, impl Fn(usize, usize) -> usize),
) -> Vec<f64> {
    let element = |row: usize, column: usize| {
        (0..inner).map(|k| f64::from(a[a_at(row, k)]) * f64::from(b[b_at(k, column)])).sum()
    };
    (0..rows * columns).map(|index| element(index / columns, index % columns)).collect()
}

/// The twin: with `W' = W + s·B·A`, `dA = s·Bᵀ·dW'` and `dB = s·dW'·Aᵀ`.
#[test]
fn gradients_are_those_of_the_merged_model_taken_through_both_factors() {
    for arch in shapes() {
        let base = model(&arch);
        for seed in [1, 2] {
            let adapter = adapter(&arch, seed);
            let merged = base.merged(&Device::cpu(1), &adapter).unwrap();
            let (expected_nats, whole) = learn(&merged, None);
            let (nats, found) = learn(&attached(&base, adapter.clone()), None);
            assert!((nats / expected_nats - 1.0).abs() < 1e-5, "{nats} for {expected_nats}");
            let (rank, scale) = (adapter.settings.rank, f64::from(adapter.settings.scale()));
            for (site, pair) in &adapter.pairs {
                let (input, out) = pair.shape;
                let d_weight = &whole[merged.weight_of(*site)];
                let (a, b) = (&adapter.weights[pair.a.clone()], &adapter.weights[pair.b.clone()]);
                // The weight of an embedding stands transposed: a row for every token.
                let embed = *site == Site::Embed;
                let at = move |o: usize, i: usize| if embed { i * out + o } else { o * input + i };
                let d_a = times((b, d_weight), (rank, out, input), (|r, o| o * rank + r, at));
                let d_b = times((d_weight, a), (out, input, rank), (at, |i, r| r * input + i));
                for (range, expected) in [(&pair.a, d_a), (&pair.b, d_b)] {
                    let pairs = found[range.clone()].iter().zip(&expected);
                    let error: f64 = pairs.map(|(x, y)| (f64::from(*x) - scale * y).powi(2)).sum();
                    let size: f64 = expected.iter().map(|y| (scale * y).powi(2)).sum();
                    let relative = (error / size).sqrt();
                    assert!(size > 0.0 && relative < 2e-5, "{site:?} {}: {relative}", arch.family);
                }
            }
        }
    }
}

#[test]
fn dropout_has_the_gradient_of_its_own_mask() {
    let arch = arch("llama", true);
    let base = model(&arch);
    let mut adapter = adapter(&arch, 1);
    let (nats, gradients) = learn(&attached(&base, adapter.clone()), Some(7));
    assert_eq!(learn(&attached(&base, adapter.clone()), Some(7)).1, gradients);
    assert_ne!(learn(&attached(&base, adapter.clone()), Some(8)).0, nats);
    assert_ne!(learn(&attached(&base, adapter.clone()), None).0, nats);
    dropout_is_over_after_one_call(&attached(&base, adapter.clone()));
    let norm = gradients.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
    let before = adapter.weights.clone();
    let [above, below] = [1e-2, -1e-2].map(|step| {
        let direction = gradients.iter().map(|g| step * (f64::from(*g) / norm) as f32);
        let moved: Vec<f32> = before.iter().zip(direction).map(|(w, d)| w + d).collect();
        adapter.weights = moved;
        learn(&attached(&base, adapter.clone()), Some(7)).0
    });
    let slope = (above - below) / 2e-2;
    assert!((slope / norm - 1.0).abs() < 2e-3, "{slope} for {norm}");
}

/// Even a call that does nothing takes the dropout with it.
fn dropout_is_over_after_one_call(model: &Model) {
    let (device, mut workspace) = (Device::cpu(1), Workspace::new(&model.arch, 40));
    let mut silent = Pack::new();
    silent.push_weighted(&[1, 2], |_| 0.0);
    let mut gradients = vec![0.0; model.trained().1.len()];
    let expected = model.token_nats(&device, &pack(), &mut workspace).unwrap();
    workspace.drop_out(7, 0.3);
    model.loss_and_gradients(&device, &silent, 1.0, &mut workspace, &mut gradients).unwrap();
    assert_eq!(model.token_nats(&device, &pack(), &mut workspace).unwrap(), expected);
    workspace.drop_out(7, 0.3);
    model.loss_and_gradients(&device, &pack(), 1.0, &mut workspace, &mut gradients).unwrap();
    assert_eq!(model.token_nats(&device, &pack(), &mut workspace).unwrap(), expected);
}

#[test]
fn several_adapters_read_beside_each_other_and_the_base() {
    let arch = arch("gemma3_text", true);
    let base = model(&arch);
    let adapters = [adapter(&arch, 1), adapter(&arch, 2)];
    let mut both = base.clone();
    let numbers = adapters.clone().map(|adapter| both.attach(adapter).unwrap());
    let texts: [&[u32]; 4] = [&[1, 2, 3, 4, 5], &[1, 2, 3, 4, 5], &[7, 8], &[1, 2, 3, 4, 5]];
    let uses = [Some(numbers[1]), None, Some(numbers[0]), Some(numbers[0])];
    let read = |model: &Model, which: &[usize], uses: &[Option<usize>]| {
        let mut cache = Cache::new(&arch, 64);
        let mut workspace = Workspace::forward_only(&arch, 64);
        let mut feeds = Vec::new();
        for (place, adapter) in which.iter().zip(uses) {
            let node = cache.branch(None).unwrap();
            feeds.push(Feed { node, ids: texts[*place], want: Want::All, adapter: *adapter });
        }
        let mut rows = vec![Vec::new(); feeds.len()];
        let mut each =
            |feed: usize, _: usize, logits: &[f32], _: Option<_>| rows[feed].push(logits.to_vec());
        let done = model.extend(&Device::cpu(2), &mut cache, &feeds, &mut workspace, &mut each);
        done.map(|()| rows)
    };
    let together = read(&both, &[0, 1, 2, 3], &uses).unwrap();
    for (place, adapter) in uses.iter().enumerate() {
        let alone = match adapter {
            Some(number) => attached(&base, adapters[*number].clone()),
            None => base.clone(),
        };
        let alone = read(&alone, &[place], &[adapter.map(|_| 0)]).unwrap();
        assert_eq!(alone[0], together[place], "the same bits in any company");
    }
    assert_ne!(together[0], together[1]);
    assert!(matches!(read(&both, &[0], &[Some(2)]), Err(ModelError::Adapter { .. })));
}

#[test]
fn merging_unties_what_an_adapter_takes_apart() {
    let arch = arch("llama", true);
    let base = model(&arch);
    let only = |target: &str| {
        let settings = LoraSettings { targets: vec![target.to_owned()], ..LoraSettings::default() };
        Adapter::new(&arch, &settings, &Streams::new(1)).unwrap()
    };
    let device = Device::cpu(1);
    assert!(base.merged(&device, &only("q_proj")).unwrap().arch.tied);
    let head = base.merged(&device, &only("lm_head")).unwrap();
    assert!(!head.arch.tied, "the head is no longer the embedding");
    let copied = head.weights.part(head.layout.head.clone());
    assert_eq!(copied, base.weights.part(base.layout.embed.clone()));
}

#[test]
fn names_fit_ends_of_paths_and_patterns_whole_paths() {
    let path = "model.layers.11.self_attn.q_proj";
    for pattern in ["q_proj", "self_attn.q_proj", path, "*", "*.q_proj", "model.layers.1*q*"] {
        assert!(fits(pattern, path), "{pattern}");
    }
    for pattern in ["proj", "k_proj", "layers.1.self_attn.q_proj", "*.k_proj", "layers*", "*q"] {
        assert!(!fits(pattern, path), "{pattern}");
    }
    let settings = LoraSettings {
        targets: vec!["layers.0.mlp.up_proj".to_owned(), "lm_head".to_owned()],
        ..LoraSettings::default()
    };
    let adapter = Adapter::new(&arch("llama", true), &settings, &Streams::new(1)).unwrap();
    let names: Vec<&str> = adapter.tensors.iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight",
            "base_model.model.model.layers.0.mlp.up_proj.lora_B.weight",
            "base_model.model.lm_head.lora_A.weight",
            "base_model.model.lm_head.lora_B.weight",
        ]
    );
}

#[test]
fn a_folder_of_peft_holds_the_same_adapter() {
    let arch = arch("llama", true);
    let dir = tempfile::tempdir().unwrap();
    let saved = adapter(&arch, 2);
    saved.save(dir.path(), "base").unwrap();
    let loaded = Adapter::load(dir.path(), &arch).unwrap();
    assert_eq!(loaded.weights, saved.weights);
    assert_eq!(loaded.tensors, saved.tensors);
    assert_eq!(loaded.settings.scale(), saved.settings.scale());
    let path = dir.path().join("adapter_config.json");
    let config: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(config["lora_alpha"], 4);
    assert!(config["target_modules"].as_array().unwrap().iter().all(|name| name != "*"));
    let refused = |key: &str, value: serde_json::Value| {
        let mut config = config.clone();
        config[key] = value;
        std::fs::write(&path, config.to_string()).unwrap();
        Adapter::load(dir.path(), &arch).unwrap_err().to_string()
    };
    assert!(refused("use_dora", true.into()).contains("`use_dora` is true"));
    assert!(refused("peft_type", "IA3".into()).contains("`peft_type`"));
    assert!(refused("r", 0.into()).contains("`r` is 0"));
    assert!(refused("r", 4.into()).contains("shape"), "another rank than the tensors have");
    let narrow = Arch { mlp_width: 8, ..arch.clone() };
    std::fs::write(&path, config.to_string()).unwrap();
    assert!(Adapter::load(dir.path(), &narrow).unwrap_err().to_string().contains("shape"));
    let fewer = Arch { layers: 1, ..arch };
    assert!(Adapter::load(dir.path(), &fewer).unwrap_err().to_string().contains("layers.1"));
}

#[test]
fn what_makes_no_adapter_is_refused() {
    let arch = arch("llama", true);
    let refused = |settings: LoraSettings| {
        Adapter::new(&arch, &settings, &Streams::new(1)).unwrap_err().to_string()
    };
    let base = LoraSettings::default();
    assert!(refused(LoraSettings { rank: 0, ..base.clone() }).contains("rank is 0"));
    assert!(refused(LoraSettings { dropout: 1.0, ..base.clone() }).contains("dropout 1"));
    assert!(refused(LoraSettings { targets: Vec::new(), ..base.clone() }).contains("no targets"));
    let idle = vec!["c_proj".to_owned()];
    assert!(refused(LoraSettings { targets: idle, ..base }).contains("`c_proj` fits no module"));
    let wider = adapter(&Arch { mlp_width: 16, ..arch.clone() }, 1);
    let mut model = model(&arch);
    assert!(matches!(model.attach(wider), Err(ModelError::Adapter { .. })));
}

#[test]
fn a_part_of_an_adapter_learns_with_the_bits_of_the_whole() {
    for arch in shapes() {
        let model = attached(&model(&arch), adapter(&arch, 3));
        let (loss, full) = learn(&model, Some(5));
        let sets: [&[&str]; 4] =
            [&["embed_tokens", "layers.0."], &["lora_A"], &["lora_B", "embedding_B"], &["_proj"]];
        for set in sets {
            let tensors = model.trained().0;
            let stays = |spec: &TensorSpec| set.iter().any(|part| spec.name.contains(part));
            let learning = Learning::without(tensors, stays);
            let activations = [Activations::Kept, Activations::Recomputed][set.len() % 2];
            let mut workspace = Workspace::learning(&model, learning, 40, activations);
            workspace.drop_out(5, 0.3);
            let mut gradients = vec![0.0; full.len()];
            let found = model.loss_and_gradients(
                &Device::cpu(2),
                &pack(),
                1.0,
                &mut workspace,
                &mut gradients,
            );
            assert_eq!(found.unwrap().nats.to_bits(), loss.to_bits());
            for spec in tensors {
                let expected = if stays(spec) { &[][..] } else { &full[spec.range.clone()] };
                let found = &gradients[spec.range.clone()];
                let same = found.iter().zip(expected).all(|(a, b)| a.to_bits() == b.to_bits());
                let silent = !stays(spec) || found.iter().all(|value| *value == 0.0);
                assert!(same && silent, "{} without {set:?} of {}", spec.name, arch.family);
            }
        }
    }
}
