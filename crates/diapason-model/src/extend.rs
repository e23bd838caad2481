//! The incremental forward pass: tokens appended to nodes of a [`Cache`].

use crate::forward::{chunks, matrix};
use crate::kernels::{Heads, Outlook, Reading, Visible, attend_cached, scatter_rows};
use crate::workspace::{Input, Workspace};
use crate::{Cache, Device, LogSoftmax, Model, ModelError, NodeId};
use std::collections::BTreeMap;
use std::ops::Range;

/// Which rows of a feed give logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// None: only the cache is filled.
    None,
    /// That of the last token.
    Last,
    /// That of every token.
    All,
}

/// Tokens to append to a node.
#[derive(Clone, Copy, Debug)]
pub struct Feed<'a> {
    /// The node.
    pub node: NodeId,
    /// Token ids.
    pub ids: &'a [u32],
    /// Rows wanted.
    pub want: Want,
    /// The adapter that reads them, by its number; `None` is the base alone. A node and everything
    /// above it must have been read by the same.
    pub adapter: Option<usize>,
}

impl Feed<'_> {
    /// Rows of the feed that give logits.
    fn wanted(&self) -> Range<usize> {
        let count = self.ids.len();
        match self.want {
            Want::None => count..count,
            Want::Last => count.saturating_sub(1)..count,
            Want::All => 0..count,
        }
    }
}

/// What gets the logits `[V]` of a row, as `(feed, row within the feed, logits, normaliser)`. Damaged
/// logits, which are not all finite numbers, have no normaliser.
pub type EachRow<'a> = dyn FnMut(usize, usize, &[f32], Option<LogSoftmax>) + 'a;

/// Feeds in the order of a walk through the tree, and the nodes that their rows see.
struct Plan {
    /// Feeds by their place in the walk.
    order: Vec<usize>,
    /// First row of each feed, by its index.
    first_rows: Vec<usize>,
    /// Nodes with tokens, every one after its parent.
    nodes: Vec<PlannedNode>,
}

struct PlannedNode {
    index: u32,
    rows: Range<usize>,
    start: usize,
}

impl Plan {
    /// The plan of feeds that were just appended to the nodes of these indexes.
    fn of(cache: &Cache, feeds: &[Feed<'_>], indexes: &[u32]) -> Self {
        let from_root = |index: &u32| {
            let mut path: Vec<u32> = cache.path(*index).collect();
            path.reverse();
            path
        };
        let paths: Vec<Vec<u32>> = indexes.iter().map(from_root).collect();
        let mut order: Vec<usize> = (0..feeds.len()).collect();
        order.sort_by(|a, b| paths[*a].cmp(&paths[*b]));
        let mut plan = Plan { order, first_rows: vec![0; feeds.len()], nodes: Vec::new() };
        // Nodes of the current path, as places in `plan.nodes`.
        let mut open: Vec<usize> = Vec::new();
        let mut row = 0;
        for feed in plan.order.clone() {
            let path = &paths[feed];
            let shared = open.iter().zip(path).take_while(|(at, i)| plan.nodes[**at].index == **i);
            open.truncate(shared.count());
            for index in &path[open.len()..] {
                let start = open.last().map_or(0, |at| plan.end(cache, *at));
                open.push(plan.nodes.len());
                plan.nodes.push(PlannedNode { index: *index, rows: row..row, start });
            }
            plan.first_rows[feed] = row;
            row += feeds[feed].ids.len();
            for at in &open {
                plan.nodes[*at].rows.end = row;
            }
        }
        plan
    }

    /// Position after the last token of a node.
    fn end(&self, cache: &Cache, at: usize) -> usize {
        self.nodes[at].start + cache.slots(self.nodes[at].index).len()
    }

    /// Takes in ids and positions of all feeds in the order of the walk; returns the slots.
    fn load(
        &self,
        cache: &Cache,
        feeds: &[Feed<'_>],
        indexes: &[u32],
        input: &mut Input,
    ) -> Vec<u32> {
        input.ids.clear();
        input.positions.clear();
        let mut slots = Vec::new();
        for feed in &self.order {
            let count = feeds[*feed].ids.len();
            let end = cache.context_len(feeds[*feed].node);
            input.ids.extend(feeds[*feed].ids);
            input.positions.extend((end - count..end).map(|position| position as u32));
            let all = cache.slots(indexes[*feed]);
            slots.extend(&all[all.len() - count..]);
        }
        slots
    }

    /// Rows that adapters read.
    fn adapters(&self, feeds: &[Feed<'_>]) -> Vec<(Range<usize>, usize)> {
        let rows = self.order.iter().filter_map(|feed| {
            let first = self.first_rows[*feed];
            feeds[*feed].adapter.map(|adapter| (first..first + feeds[*feed].ids.len(), adapter))
        });
        let mut parts: Vec<(Range<usize>, usize)> = Vec::new();
        for (rows, adapter) in rows {
            match parts.last_mut() {
                Some((last, same)) if *same == adapter && last.end == rows.start => {
                    last.end = rows.end;
                }
                _ => parts.push((rows, adapter)),
            }
        }
        parts
    }

    /// The nodes that matter to attention.
    fn visible<'a>(&self, cache: &'a Cache) -> Vec<Visible<'a>> {
        let nodes = self.nodes.iter().map(|node| Visible {
            rows: node.rows.clone(),
            start: node.start,
            slots: cache.slots(node.index),
        });
        nodes.filter(|node| !node.slots.is_empty() && !node.rows.is_empty()).collect()
    }
}

impl Model {
    /// Appends tokens to nodes of a cache and gives the logits of the rows wanted to `each`, feeds and
    /// rows in order.
    ///
    /// A parent and its child may be fed in one call, the parent first. The bits of the logits do
    /// not depend on how tokens are split over calls and nodes, nor on the other feeds.
    ///
    /// # Errors
    /// Nothing is appended when an error is returned.
    pub fn extend(
        &self,
        device: &Device,
        cache: &mut Cache,
        feeds: &[Feed<'_>],
        workspace: &mut Workspace,
        each: &mut EachRow<'_>,
    ) -> Result<(), ModelError> {
        self.check(workspace)?;
        if *cache.arch() != self.arch {
            return Err(ModelError::Foreign { what: "cache" });
        }
        let (capacity, found) = (workspace.max_tokens(), feeds.iter().map(|f| f.ids.len()).sum());
        if found > capacity {
            return Err(ModelError::WorkspaceTooSmall { capacity, found });
        }
        let unknown = |adapter: &usize| *adapter >= self.adapters.len();
        if let Some(adapter) = feeds.iter().filter_map(|feed| feed.adapter).find(unknown) {
            let problem = format!("it is number {adapter} of {}", self.adapters.len());
            return Err(ModelError::Adapter { problem });
        }
        let indexes = cache.append(feeds)?;
        let plan = Plan::of(cache, feeds, &indexes);
        workspace.forward.lora.begin(plan.adapters(feeds));
        let slots = plan.load(cache, feeds, &indexes, &mut workspace.input);
        if slots.is_empty() {
            return Ok(());
        }
        let wanted: Vec<(usize, usize)> = feeds
            .iter()
            .enumerate()
            .flat_map(|(feed, tokens)| tokens.wanted().map(move |row| (feed, row)))
            .collect();
        let rows = wanted.iter().map(|(feed, row)| (plan.first_rows[*feed] + row) as u32);
        let mut places: Vec<u32> = rows.collect();
        workspace.input.read_only(&mut places);
        self.run_cached(device, cache, &plan, &slots, workspace);
        self.each_logits(device, workspace, &places, &mut |first, rows| {
            let rows: Vec<&[f32]> = rows.chunks_exact(self.arch.vocabulary).collect();
            let normalisers = device.map(rows.len(), |row| LogSoftmax::of(rows[row]));
            for ((logits, normaliser), (feed, row)) in
                rows.into_iter().zip(normalisers).zip(&wanted[first..])
            {
                each(*feed, *row, logits, normaliser);
            }
        });
        Ok(())
    }

    fn run_cached(
        &self,
        device: &Device,
        cache: &mut Cache,
        plan: &Plan,
        slots: &[u32],
        workspace: &mut Workspace,
    ) {
        let heads = Heads::of(&self.arch, 0);
        let (row, out) = (heads.row_width(), heads.out_width());
        let (count, kv) = (slots.len(), (row - out) / 2);
        let (mut keys, mut values) =
            (std::mem::take(&mut cache.keys), std::mem::take(&mut cache.values));
        let nodes = plan.visible(cache);
        let input = &workspace.input;
        let mut outlooks = BTreeMap::new();
        for heads in (0..self.arch.layers).map(|layer| Heads::of(&self.arch, layer)) {
            let outlook = || Outlook::of(heads, &nodes, &input.positions);
            outlooks.entry(heads.window).or_insert_with(outlook);
        }
        self.run_layers(device, input, &mut workspace.forward, |layer, saved| {
            let heads = Heads::of(&self.arch, layer);
            let qkv = &mut saved.qkv[..count * row];
            let rope = cache.ropes.of(heads.windowed());
            rope.rotate(device, qkv, &input.positions, heads.rotated(), false);
            let parts = [(&mut keys[layer], out), (&mut values[layer], out + kv)];
            for (store, from) in parts {
                let part = matrix(qkv, count, row).part(0..count, from..from + kv);
                scatter_rows(device, store, part, slots);
            }
            let outlook = &outlooks[&heads.window];
            let reading = Reading { qkv, outlook, keys: &keys[layer], values: &values[layer] };
            attend_cached(device, heads, &mut saved.attended[..count * out], &reading);
        });
        drop(nodes);
        (cache.keys, cache.values) = (keys, values);
    }

    /// Logits of rows that are read, by their places among these, a chunk at a time:
    /// `each(first of the chunk in places, logits [rows, V])`.
    pub(crate) fn each_logits(
        &self,
        device: &Device,
        workspace: &mut Workspace,
        places: &[u32],
        each: &mut dyn FnMut(usize, &[f32]),
    ) {
        let Workspace { forward, head, .. } = workspace;
        let mut done = 0;
        // More rows than the workspace holds may be asked for, some of them again.
        for places in places.chunks(head.inverse.len()) {
            head.rows.clear();
            head.rows.extend(places);
            self.gather_head(device, forward, head);
            for part in chunks(head.rows.len(), head.chunk) {
                let normed = forward.for_head();
                let gathered = (&head.rows[..], &part);
                each(done + part.start, self.logits_of(device, normed, gathered, &mut head.logits));
            }
            done += head.rows.len();
        }
    }
}
