//! Features of an example: words and runs of letters, hashed. Runs carry further than words: to
//! inflected forms, and to scripts without spaces.

/// Letters of each text that are looked at.
const LETTERS_READ: usize = 3000;

/// Letters of a run, word ends included.
const RUN: usize = 4;

/// The distinct features of an example, ascending, each below `2^bits`. Input and output have
/// features of their own, as the same word means another thing in a question.
pub(super) fn features(input: &str, output: &str, bits: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for (side, text) in [(1u64, input), (2, output)] {
        let end = text.char_indices().nth(LETTERS_READ).map_or(text.len(), |(at, _)| at);
        let lower = text[..end].to_lowercase();
        for word in words(&lower) {
            found.push(hash(side, word.as_bytes()));
            runs(side, word, &mut found);
        }
    }
    // The high bits of the last multiplication are the best mixed.
    let mut folded: Vec<u32> = found.into_iter().map(|hash| (hash >> (64 - bits)) as u32).collect();
    folded.sort_unstable();
    folded.dedup();
    folded
}

/// Words, and single signs between them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let first = rest.chars().next()?;
        let end = if first.is_alphanumeric() {
            rest.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (word, after) = rest.split_at(end);
        rest = after;
        Some(word)
    })
}

fn runs(side: u64, word: &str, found: &mut Vec<u64>) {
    let letters: Vec<char> = [' '].into_iter().chain(word.chars()).chain([' ']).collect();
    let mut bytes = String::new();
    for run in letters.windows(RUN) {
        bytes.clear();
        bytes.extend(run);
        found.push(hash(side + 2, bytes.as_bytes()));
    }
}

/// FNV-1a, then one round of mixing.
fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let mut state = 0xcbf2_9ce4_8422_2325 ^ seed;
    for byte in bytes {
        state = (state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    mixed(state)
}

fn mixed(state: u64) -> u64 {
    (state ^ (state >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
