//! Damages checkpoint folders at random and loads them: shared by a test, which does it some
//! thousand times, and by `examples/fuzz_load.rs`, which does it for minutes.

use diapason_flow::{Pack, Streams};
use diapason_model::{
    Arch, Device, FAMILIES, Model, ModelError, RopeScaling, SpecialIds, Variant, Window, Workspace,
};
use rand::{Rng, RngExt};
use std::fs;
use std::path::{Path, PathBuf};

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Values that parsers stumble over.
const VALUES: [&str; 24] = [
    "0",
    "1",
    "-1",
    "2",
    "3",
    "7",
    "16777216",
    "16777217",
    "4294967296",
    "18446744073709551615",
    "1e308",
    "-0.0",
    "1e-320",
    "null",
    "true",
    "false",
    "\"\"",
    "\"sliding_attention\"",
    "[]",
    "{}",
    "[0,4]",
    "[[[[[[]]]]]]",
    "{\"rope_type\":\"llama3\"}",
    "\"gemma3\"",
];

/// What became of the damaged folders.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub loaded: usize,
    pub refused: usize,
}

/// Undamaged files, and a folder to put damaged ones in.
pub(crate) struct Victims {
    folder: PathBuf,
    families: Vec<Vec<(&'static str, Vec<u8>)>>,
}

impl Victims {
    /// One small checkpoint a family, two of them in two shards. `folder` exists and is empty.
    pub(crate) fn new(folder: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let mut families = Vec::new();
        for (number, family) in FAMILIES.iter().enumerate() {
            let model = Model::random(shape(family.name), &Streams::new(number as u64))?;
            model.save(folder, &SpecialIds { begin: Some(1), end: vec![2], pad: None })?;
            let (config, weights) =
                (fs::read(folder.join(CONFIG))?, fs::read(folder.join(WEIGHTS))?);
            let mut files = vec![(CONFIG, config.clone()), (WEIGHTS, weights.clone())];
            families.push(files.clone());
            let index = index(&model);
            files.push((INDEX, index));
            files[1].0 = "model-1.safetensors";
            families.push(files);
        }
        fs::remove_file(folder.join(WEIGHTS))?;
        Ok(Victims { folder: folder.to_owned(), families })
    }

    /// Damages one file of one family, loads the folder, and runs what loads.
    pub(crate) fn attack(&self, streams: &Streams, round: u64, tally: &mut Tally) {
        let mut stream = streams.stream("mutation", round);
        let files = &self.families[stream.random_range(0..self.families.len())];
        // Headers are small beside their data, and configs beside both: choose files evenly.
        let chosen = stream.random_range(0..files.len());
        for (index, (name, content)) in files.iter().enumerate() {
            let mut content = content.clone();
            if index == chosen {
                for _ in 0..stream.random_range(1..4) {
                    damage(&mut content, &mut stream);
                }
            }
            fs::write(self.folder.join(name), content).expect("the folder takes files");
        }
        let result = Model::load(&self.folder);
        // What the error says must be sayable too.
        let message = result.as_ref().err().map(ToString::to_string);
        match result {
            Ok(model) => {
                tally.loaded += 1;
                run(&model);
            }
            Err(_) => tally.refused += 1,
        }
        assert!(message.is_none_or(|text| !text.is_empty()));
        let _ = SpecialIds::load(&self.folder);
        for (name, _) in files {
            fs::remove_file(self.folder.join(name)).expect("the file was just written");
        }
    }
}

/// A few tokens through a model that a damaged folder gave: any numbers, but no panic.
fn run(model: &Model) {
    let tokens = 6.min(model.arch.context);
    let mut pack = Pack::new();
    pack.push_weighted(&vec![0; tokens], |_| 1.0);
    let device = Device::cpu(1);
    let mut workspace = Workspace::new(&model.arch, tokens);
    let mut gradients = vec![0.0; model.layout.len];
    let loss = model.loss_and_gradients(&device, &pack, 1.0, &mut workspace, &mut gradients);
    assert!(matches!(loss, Ok(_) | Err(ModelError::NonFinite { .. })), "{loss:?}");
}

fn shape(family: &str) -> Arch {
    let family = FAMILIES.iter().find(|row| row.name == family).expect("a row of the table");
    let gemma = family.name.starts_with("gemma");
    let llama = family.name == "llama";
    let window = Window { tokens: 3, layers: vec![true, false], rope_theta: gemma.then_some(1e4) };
    let variant = Variant {
        query_scalar: gemma.then_some(4.0),
        rope_scaling: RopeScaling::Llama3 {
            factor: 8.0,
            low_frequency_factor: 1.0,
            high_frequency_factor: 4.0,
            original_context: 16,
        },
        window: (!llama).then_some(window),
        ..family.variant(8)
    };
    Arch {
        family: family.name.to_owned(),
        width: 8,
        layers: 2,
        heads: 2,
        kv_heads: 1,
        head_width: 4,
        mlp_width: 12,
        vocabulary: 11,
        context: 16,
        norm_epsilon: 1e-5,
        rope_theta: 1e4,
        tied: gemma,
        variant,
    }
}

fn index(model: &Model) -> Vec<u8> {
    let names =
        model.layout.tensors.iter().map(|spec| (spec.name.clone(), "model-1.safetensors".into()));
    let map: serde_json::Map<_, _> = names.collect();
    serde_json::to_vec(&serde_json::json!({"weight_map": map})).expect("a map of texts is JSON")
}

/// One change: of a byte, of a stretch, of a number or a value, or of the length.
fn damage(content: &mut Vec<u8>, stream: &mut impl Rng) {
    // Most of a weight file is data, in which changes mean nothing.
    let reach = content.len().min(4096);
    if reach == 0 {
        return;
    }
    let at = stream.random_range(0..reach);
    match stream.random_range(0..8) {
        0 => content[at] = (stream.next_u32() & 0xff) as u8,
        1 => content[at] ^= 1 << stream.random_range(0..8),
        2 => content.truncate(stream.random_range(0..=content.len())),
        3 => drop(content.drain(at..reach.min(at + stream.random_range(1..20)))),
        4 => {
            let piece = content[at..reach.min(at + 30)].to_vec();
            let to = stream.random_range(0..reach);
            content.splice(to..to, piece);
        }
        5 => {
            // The length of a safetensors header.
            let bytes = stream.next_u64() >> stream.random_range(0..64);
            let bytes = bytes.to_le_bytes();
            let count = content.len().min(8);
            content[..count].copy_from_slice(&bytes[..count]);
        }
        _ => {
            // The value behind a colon or a comma.
            let Some(start) = content[at..reach].iter().position(|byte| b":,[".contains(byte))
            else {
                return;
            };
            let start = at + start + 1;
            let rest = content[start..].iter().position(|byte| b",}]".contains(byte));
            let end = start + rest.unwrap_or(0);
            let value = VALUES[stream.random_range(0..VALUES.len())];
            content.splice(start..end, value.bytes());
        }
    }
}

/// The most virtual memory that this process ever had, in bytes; `None` where the system does not
/// say. Memory that was only reserved counts too.
pub(crate) fn peak_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"))?;
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok().map(|kib| kib << 10)
}
