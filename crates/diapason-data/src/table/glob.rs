//! Patterns with `*`: for files and for names of tasks.

use std::path::{Path, PathBuf};

/// Whether a text matches a pattern in which `*` stands for any characters.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(rest) = text.strip_prefix(head) else {
        return false;
    };
    // Either the star ends here, or it swallows one more character.
    let starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    starts.into_iter().any(|at| matches(tail, &rest[at..]))
}

/// The files below a folder that match a pattern component by component, sorted.
pub(super) fn expand(root: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![root.to_owned()];
    for component in pattern.split('/') {
        let mut next = Vec::new();
        for folder in found {
            if !component.contains('*') {
                next.push(folder.join(component));
                continue;
            }
            let Ok(entries) = std::fs::read_dir(&folder) else {
                continue;
            };
            next.extend(entries.flatten().filter_map(|entry| {
                let name = entry.file_name();
                matches(component, name.to_str()?).then(|| entry.path())
            }));
        }
        found = next;
    }
    found.retain(|path| path.is_file());
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        assert!(matches("align/*", "align/urn"));
        assert!(matches("*_individual*", "lewidi_par_individual"));
        assert!(matches("*", ""));
        assert!(matches("a*b*c", "a-bb-c"));
        assert!(!matches("a*b", "a-b-c"));
        assert!(!matches("polis", "polis_vote"));
    }
}
