//! The decoder against its twin, against itself in other company, and against itself in pieces.

mod learning;
mod reference;

use diapason_flow::Pack;
use diapason_model::{
    Arch, Cache, Device, Feed, Model, ModelError, NodeId, PackLoss, Variant, Want, Workspace,
};
use learning::{assert_gradients, assert_slopes, bits, ids, learn, model, pack, whole};

fn arch(heads: usize, kv_heads: usize, tied: bool) -> Arch {
    Arch {
        family: "llama".to_owned(),
        width: 12,
        layers: 2,
        heads,
        kv_heads,
        head_width: 6,
        mlp_width: 10,
        vocabulary: 23,
        context: 300,
        norm_epsilon: 1e-5,
        rope_theta: 100.0,
        tied,
        variant: Variant::default(),
    }
}

#[test]
fn loss_and_every_gradient_are_those_of_the_twin() {
    for (heads, kv_heads, tied) in [(4, 2, true), (4, 1, false), (3, 3, false)] {
        assert_gradients(&model(&arch(heads, kv_heads, tied)), &pack(&[5, 1, 7]), 2e-5);
    }
}

#[test]
fn gradients_of_longer_segments_are_those_of_the_twin() {
    let wider = Arch { width: 64, head_width: 32, mlp_width: 96, ..arch(4, 2, true) };
    let mut model = model(&wider);
    model.weights.wide_mut().iter_mut().for_each(|weight| *weight *= 0.25);
    assert_slopes(&model, &pack(&[61, 20, 118]), |norm| 1e-5 * norm);
}

#[test]
fn gradients_add_up_and_scale() {
    let model = model(&arch(4, 2, true));
    let pack = pack(&[9, 4]);
    let (_, once) = learn(&model, &pack, 1);
    let mut workspace = Workspace::new(&model.arch, 64);
    let mut gradients = vec![1.0; model.layout.len];
    let device = Device::cpu(1);
    model.loss_and_gradients(&device, &pack, 0.25, &mut workspace, &mut gradients).unwrap();
    for (found, once) in gradients.iter().zip(&once) {
        assert!((found - (1.0 + 0.25 * once)).abs() < 1e-4 * (1.0 + once.abs()));
    }
}

#[test]
fn a_pack_is_the_sum_of_its_segments() {
    let model = model(&arch(4, 2, false));
    let lengths = [17, 3, 60, 1, 130];
    let (together, together_gradients) = learn(&model, &pack(&lengths), 2);
    let mut apart = PackLoss::default();
    let mut apart_gradients = vec![0.0_f64; model.layout.len];
    for (index, length) in lengths.iter().enumerate() {
        let mut single = Pack::new();
        single.push_weighted(&ids(*length, index as u64), |at| [1.0, 0.5, 0.0][at % 3]);
        let (loss, gradients) = learn(&model, &single, 1);
        apart.nats += loss.nats;
        apart.learned += loss.learned;
        for (total, value) in apart_gradients.iter_mut().zip(&gradients) {
            *total += f64::from(*value);
        }
    }
    // The loss of a row has the same bits in any company; only the order of the sum differs.
    assert!((together.nats - apart.nats).abs() < 1e-9 * apart.nats);
    assert_eq!(together.learned, apart.learned);
    for (a, b) in together_gradients.iter().zip(&apart_gradients) {
        assert!((f64::from(*a) - b).abs() < 1e-4 * (1.0 + b.abs()), "{a} for {b}");
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let model = model(&arch(4, 2, true));
    let pack = pack(&[70, 3, 129, 64, 200]);
    let (loss, gradients) = learn(&model, &pack, 1);
    for threads in [2, 3] {
        let (other, other_gradients) = learn(&model, &pack, threads);
        assert_eq!(loss.nats.to_bits(), other.nats.to_bits());
        assert!(gradients.iter().zip(&other_gradients).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
}

#[test]
fn token_nats_and_logits_agree_with_the_loss() {
    let model = model(&arch(4, 2, true));
    let pack = pack(&[20, 1, 9]);
    let (device, mut workspace) = (Device::cpu(2), Workspace::forward_only(&model.arch, 40));
    let nats = model.token_nats(&device, &pack, &mut workspace).unwrap();
    let (loss, _) = learn(&model, &pack, 2);
    let weighted = nats.iter().zip(pack.learn()).map(|(n, w)| f64::from(*n) * f64::from(*w));
    assert_eq!(weighted.sum::<f64>(), loss.nats);
    let rows = [28, 3, 3, 19];
    let mut seen = Vec::new();
    let mut each = |row: usize, logits: &[f32]| seen.push((row, logits.to_vec()));
    model.logits(&device, &pack, &rows, &mut workspace, &mut each).unwrap();
    assert_eq!(seen.iter().map(|(row, _)| *row).collect::<Vec<_>>(), rows);
    assert_eq!(seen[1], seen[2]);
    let target = pack.ids()[4] as usize;
    let sum: f64 = seen[1].1.iter().map(|x| f64::from(*x).exp()).sum();
    let expected = sum.ln() - f64::from(seen[1].1[target]);
    assert!((f64::from(nats[4]) - expected).abs() < 1e-5);
}

/// A node, and the tokens it is fed.
type Piece<'a> = (NodeId, &'a [u32]);

/// A model with its cache and workspace.
struct Reader {
    model: Model,
    device: Device,
    cache: Cache,
    workspace: Workspace,
}

impl Reader {
    fn new(threads: usize) -> Self {
        let model = model(&arch(4, 2, false));
        let cache = Cache::new(&model.arch, 600);
        let workspace = Workspace::forward_only(&model.arch, 300);
        Reader { model, device: Device::cpu(threads), cache, workspace }
    }

    /// Feeds nodes and returns the bits of the logits of every row, feed by feed.
    fn feed(&mut self, feeds: &[Piece<'_>]) -> Result<Vec<Vec<Vec<u32>>>, ModelError> {
        let mut rows = vec![Vec::new(); feeds.len()];
        let feeds: Vec<Feed<'_>> = feeds
            .iter()
            .map(|(node, ids)| Feed { node: *node, ids, want: Want::All, adapter: None })
            .collect();
        let mut each = |feed: usize, row: usize, logits: &[f32], _: Option<_>| {
            assert_eq!(row, rows[feed].len(), "rows come in order");
            rows[feed].push(bits(logits));
        };
        let Reader { model, device, cache, workspace } = self;
        model.extend(device, cache, &feeds, workspace, &mut each)?;
        Ok(rows)
    }
}

#[test]
fn a_cache_gives_the_bits_of_the_whole_however_the_tokens_are_split() {
    let ids = ids(150, 9);
    let expected = whole(&model(&arch(4, 2, false)), &ids);
    for (threads, pieces) in [(1, vec![150]), (2, vec![1; 150]), (2, vec![70, 1, 56, 2, 21])] {
        let mut reader = Reader::new(threads);
        let root = reader.cache.branch(None).unwrap();
        let mut found = Vec::new();
        let mut rest = &ids[..];
        for piece in pieces {
            let (now, later) = rest.split_at(piece);
            found.extend(reader.feed(&[(root, now)]).unwrap().remove(0));
            rest = later;
        }
        assert_eq!(found, expected);
        assert_eq!(reader.cache.context_len(root), 150);
    }
}

#[test]
fn branches_give_the_bits_of_their_own_whole_in_any_company() {
    let prompt = ids(83, 1);
    let (left, right, deep) = (ids(5, 2), ids(1, 3), ids(66, 4));
    let other = ids(40, 5);
    let mut reader = Reader::new(2);
    let root = reader.cache.branch(None).unwrap();
    let stranger = reader.cache.branch(None).unwrap();
    let nodes = [root, root, root].map(|parent| reader.cache.branch(Some(parent)).unwrap());
    let below = reader.cache.branch(Some(nodes[1])).unwrap();
    // Parents and children in one call, between strangers, in no order but parents first.
    let rows = reader
        .feed(&[
            (root, &prompt),
            (stranger, &other),
            (nodes[1], &right),
            (nodes[0], &left),
            (below, &deep),
        ])
        .unwrap();
    let joined = |parts: &[&[u32]]| parts.concat();
    let model = reader.model.clone();
    assert_eq!(rows[0], whole(&model, &prompt));
    assert_eq!(rows[1], whole(&model, &other));
    assert_eq!(rows[2], whole(&model, &joined(&[&prompt, &right]))[83..]);
    assert_eq!(rows[3], whole(&model, &joined(&[&prompt, &left]))[83..]);
    assert_eq!(rows[4], whole(&model, &joined(&[&prompt, &right, &deep]))[84..]);
    // One token each, at different depths and lengths.
    let rows = reader.feed(&[(below, &[3]), (nodes[2], &[4]), (stranger, &[5])]).unwrap();
    assert_eq!(rows[0], whole(&model, &joined(&[&prompt, &right, &deep, &[3]]))[150..]);
    assert_eq!(rows[1], whole(&model, &joined(&[&prompt, &[4]]))[83..]);
    assert_eq!(rows[2], whole(&model, &joined(&[&other, &[5]]))[40..]);
    assert_eq!(reader.cache.used_tokens(), 83 + 40 + 1 + 5 + 66 + 3);
}

#[test]
fn released_tokens_are_used_again_without_a_trace() {
    let prompt = ids(100, 1);
    let mut reader = Reader::new(1);
    let root = reader.cache.branch(None).unwrap();
    reader.feed(&[(root, &prompt)]).unwrap();
    let mut previous = None;
    for round in 0..40 {
        let children = [(); 3].map(|()| reader.cache.branch(Some(root)).unwrap());
        let tails =
            [0, 1, 2].map(|index| ids(3 + (round + index) % 50, (round * 3 + index) as u64));
        let feeds = [0, 1, 2].map(|index| (children[index], &tails[index][..]));
        let rows = reader.feed(&feeds).unwrap();
        if round % 10 == 9 {
            let expected = whole(&reader.model, &[&prompt[..], &tails[1]].concat());
            assert_eq!(rows[1], expected[100..]);
        }
        for child in children {
            reader.cache.release(child);
        }
        assert_eq!(reader.cache.used_tokens(), 100);
        if let Some(stale) = previous.replace(children[0]) {
            assert!(matches!(reader.feed(&[(stale, &[1])]), Err(ModelError::Node { .. })));
        }
    }
    // A released parent lives as long as its child.
    let child = reader.cache.branch(Some(root)).unwrap();
    reader.cache.release(root);
    assert!(matches!(reader.cache.branch(Some(root)), Err(ModelError::Node { .. })));
    let rows = reader.feed(&[(child, &[7])]).unwrap();
    assert_eq!(rows[0], whole(&reader.model, &[&prompt[..], &[7]].concat())[100..]);
    reader.cache.release(child);
    assert_eq!(reader.cache.used_tokens(), 0);
}

#[test]
fn a_refused_call_appends_nothing() {
    let mut reader = Reader::new(1);
    let root = reader.cache.branch(None).unwrap();
    let child = reader.cache.branch(Some(root)).unwrap();
    reader.feed(&[(root, &ids(50, 1))]).unwrap();
    let long = vec![1; 251];
    let wrong: [(&[Piece<'_>], &str); 5] = [
        (&[(root, &[1]), (child, &[23])], "id 23"),
        (&[(child, &[1]), (root, &[1])], "cannot grow"),
        (&[(child, &[1]), (child, &[1])], "twice"),
        (&[(child, &long)], "context of 300"),
        (&[(child, &long), (root, &long)], "made for 300"),
    ];
    for (feeds, message) in wrong {
        let error = reader.feed(feeds).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
        assert_eq!(reader.cache.used_tokens(), 50);
        assert_eq!(reader.cache.context_len(child), 50);
    }
    let others = [(); 4].map(|()| reader.cache.branch(None).unwrap());
    let many = ids(150, 2);
    for node in &others[..3] {
        reader.feed(&[(*node, &many)]).unwrap();
    }
    let error = reader.feed(&[(others[3], &many)]).unwrap_err();
    assert!(matches!(error, ModelError::CacheFull { limit: 600, used: 500, asked: 150 }));
}

#[test]
fn packs_that_do_not_fit_are_refused() {
    let model = model(&arch(4, 2, true));
    let device = Device::cpu(1);
    let mut small = Workspace::forward_only(&model.arch, 8);
    let found = model.token_nats(&device, &pack(&[9]), &mut small);
    assert!(matches!(found, Err(ModelError::WorkspaceTooSmall { capacity: 8, found: 9 })));
    let mut gradients = vec![0.0; model.layout.len];
    let found = model.loss_and_gradients(&device, &pack(&[4]), 1.0, &mut small, &mut gradients);
    assert!(matches!(found, Err(ModelError::ForwardOnly)));
    let mut large = Workspace::new(&model.arch, 400);
    let found = model.token_nats(&device, &pack(&[301]), &mut large);
    assert!(matches!(found, Err(ModelError::Context { tokens: 301, context: 300 })));
    let found =
        model.loss_and_gradients(&device, &pack(&[4]), 1.0, &mut large, &mut gradients[1..]);
    assert!(matches!(found, Err(ModelError::Shape { .. })));
    let other = self::model(&arch(4, 1, true));
    assert!(matches!(
        other.token_nats(&device, &pack(&[4]), &mut large),
        Err(ModelError::Foreign { what: "workspace" })
    ));
    let mut nothing = Pack::new();
    nothing.push_weighted(&[1, 2, 3], |_| 0.0);
    let loss = model.loss_and_gradients(&device, &nothing, 1.0, &mut large, &mut gradients);
    assert_eq!(loss.unwrap(), PackLoss::default());
    assert!(gradients.iter().all(|gradient| *gradient == 0.0));
    let mut broken = model.clone();
    broken.weights.wide_mut()[0] = f32::NAN;
    broken.weights.wide_mut()[40] = f32::NAN;
    let found = broken.token_nats(&device, &pack(&[40]), &mut large);
    assert!(matches!(found, Err(ModelError::NonFinite { .. })));
}
