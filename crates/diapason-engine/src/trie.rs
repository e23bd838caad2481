//! Options of one request as a trie of tokens, so that every shared prefix is computed once.
//!
//! Node 0 is the prompt; every other node is one token after its parent. A node with children must
//! be read by the model, and the logits there score all its children. Nodes in a row without a
//! fork form a [`Segment`], which is one node of the cache.

use diapason_flow::OptionScore;
use diapason_model::{LogSoftmax, NodeId};

#[derive(Debug)]
struct Node {
    parent: usize,
    id: u32,
    children: Vec<usize>,
    /// `ln p(id | everything before)`, once scored.
    logprob: f32,
}

/// Nodes in a row that the model reads.
#[derive(Debug)]
pub(crate) struct Segment {
    /// The segment above, `None` below the prompt. Lower than the segment's own number.
    pub(crate) parent: Option<usize>,
    /// Numbers of its nodes.
    nodes: Vec<usize>,
    /// Its place in the cache, once it has one.
    pub(crate) place: Option<NodeId>,
    /// How many of its tokens were given to the model.
    pub(crate) fed: usize,
}

/// The trie of some options of a request.
#[derive(Debug)]
pub(crate) struct Trie {
    nodes: Vec<Node>,
    /// (option, its last node)
    ends: Vec<(usize, usize)>,
    /// Parents before children.
    pub(crate) segments: Vec<Segment>,
    root_scored: bool,
}

impl Trie {
    /// The trie of the options with these numbers, sorted as in a [`Wave`].
    pub(crate) fn new(options: &[Vec<u32>], numbers: &[usize]) -> Self {
        let root = Node { parent: 0, id: 0, children: Vec::new(), logprob: 0.0 };
        let mut trie =
            Trie { nodes: vec![root], ends: Vec::new(), segments: Vec::new(), root_scored: false };
        // Nodes from the root to the end of the option before.
        let mut path = vec![0];
        for number in numbers {
            let option = &options[*number];
            let shared = path[1..]
                .iter()
                .zip(option)
                .take_while(|(node, id)| trie.nodes[**node].id == **id)
                .count();
            path.truncate(shared + 1);
            for id in &option[shared..] {
                let (parent, node) = (path[path.len() - 1], trie.nodes.len());
                trie.nodes[parent].children.push(node);
                trie.nodes.push(Node { parent, id: *id, children: Vec::new(), logprob: 0.0 });
                path.push(node);
            }
            trie.ends.push((*number, path[path.len() - 1]));
        }
        trie.cut_segments();
        trie
    }

    fn cut_segments(&mut self) {
        // (first node, segment above)
        let mut begins: Vec<(usize, Option<usize>)> =
            self.read_children(0).map(|node| (node, None)).collect();
        while let Some((first, parent)) = begins.pop() {
            let mut nodes = vec![first];
            let mut last = first;
            loop {
                let mut below = self.read_children(last);
                match (below.next(), below.next()) {
                    (Some(only), None) => last = only,
                    _ => break,
                }
                nodes.push(last);
            }
            let number = self.segments.len();
            begins.extend(self.read_children(last).map(|node| (node, Some(number))));
            self.segments.push(Segment { parent, nodes, place: None, fed: 0 });
        }
    }

    /// Children of a node that have children themselves.
    fn read_children(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        let children = self.nodes[node].children.iter().copied();
        children.filter(|child| !self.nodes[*child].children.is_empty())
    }

    /// Tokens of a segment that were not given to the model yet, at most `most`.
    pub(crate) fn unread(&self, segment: usize, most: usize) -> Vec<u32> {
        let segment = &self.segments[segment];
        let nodes = segment.nodes[segment.fed..].iter().take(most);
        nodes.map(|node| self.nodes[*node].id).collect()
    }

    /// Whether a segment was given to the model whole.
    pub(crate) fn is_read(&self, segment: usize) -> bool {
        self.segments[segment].fed == self.segments[segment].nodes.len()
    }

    /// Scores the children of token `index` of a segment with the logits there.
    pub(crate) fn score(
        &mut self,
        segment: usize,
        index: usize,
        softmax: &LogSoftmax,
        logits: &[f32],
    ) {
        self.score_children(self.segments[segment].nodes[index], softmax, logits);
    }

    /// Scores the first tokens with the logits after the prompt.
    pub(crate) fn score_first(&mut self, softmax: &LogSoftmax, logits: &[f32]) {
        self.root_scored = true;
        self.score_children(0, softmax, logits);
    }

    /// Whether the first tokens are scored.
    pub(crate) fn has_first(&self) -> bool {
        self.root_scored
    }

    fn score_children(&mut self, node: usize, softmax: &LogSoftmax, logits: &[f32]) {
        let children = std::mem::take(&mut self.nodes[node].children);
        for child in &children {
            let child = &mut self.nodes[*child];
            child.logprob = softmax.logprob(logits[child.id as usize]);
        }
        self.nodes[node].children = children;
    }

    /// Whether everything is read and scored.
    pub(crate) fn is_done(&self) -> bool {
        self.root_scored && (0..self.segments.len()).all(|segment| self.is_read(segment))
    }

    /// (option, score): each the sum in f64 of its tokens' log-probabilities, first to last.
    pub(crate) fn scores(&self) -> impl Iterator<Item = (usize, OptionScore)> + '_ {
        self.ends.iter().map(|(option, end)| {
            let mut path = Vec::new();
            let mut node = *end;
            while node != 0 {
                path.push(self.nodes[node].logprob);
                node = self.nodes[node].parent;
            }
            let logprob_nats = path.iter().rev().map(|logprob| f64::from(*logprob)).sum();
            (*option, OptionScore { logprob_nats, tokens: path.len() })
        })
    }
}

/// Some options that run together, and the tokens their trie holds in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wave {
    /// Numbers of the options, sorted by their ids.
    pub(crate) options: Vec<usize>,
    /// Tokens that the model reads.
    pub(crate) tokens: usize,
}

/// Sorts options so that shared prefixes are neighbours, and divides them into waves of at most
/// `room` tokens; one wave if they all fit. Every option alone must fit.
pub(crate) fn waves(options: &[Vec<u32>], room: usize) -> Vec<Wave> {
    let mut sorted: Vec<usize> = (0..options.len()).collect();
    sorted.sort_by(|a, b| options[*a].cmp(&options[*b]).then(a.cmp(b)));
    let mut waves: Vec<Wave> = Vec::new();
    for number in sorted {
        let option = &options[number];
        if let Some(wave) = waves.last_mut() {
            let before = &options[wave.options[wave.options.len() - 1]];
            let shared = before.iter().zip(option).take_while(|(a, b)| a == b).count();
            // The last token of an option is scored, not read.
            let added = option.len() - 1 - shared.min(before.len() - 1);
            if wave.tokens + added <= room {
                wave.tokens += added;
                wave.options.push(number);
                continue;
            }
        }
        waves.push(Wave { options: vec![number], tokens: option.len() - 1 });
    }
    waves
}

#[cfg(test)]
mod tests;
