use super::*;
use diapason_flow::Streams;
use std::collections::HashSet;

#[test]
fn kinds_are_distinct_and_filled() {
    let mut names = HashSet::new();
    for kind in kinds() {
        assert!(names.insert(&kind.one), "{} twice", kind.one);
        assert!(kind.members.len() >= 3, "{}", kind.one);
        let members: HashSet<_> = kind.members.iter().collect();
        assert_eq!(members.len(), kind.members.len(), "{} repeats a member", kind.one);
    }
    assert!(kinds().iter().any(|kind| kind.tuned) && kinds().iter().any(|kind| !kind.tuned));
}

#[test]
fn held_out_words_never_occur_in_the_corpus_or_in_training_labels() {
    let streams = Streams::new(5);
    let mut text = String::new();
    for index in 0..3000 {
        text.push_str(&document(6, &mut streams.stream("corpus", index)));
        text.push(' ');
        let labels = WordPool::Training.labels(4, &mut streams.stream("labels", index));
        text.push_str(&labels.join(" "));
        text.push('\n');
    }
    let seen: HashSet<&str> = text
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    for index in 0..2000 {
        let word = nonce_word(true, &mut streams.stream("held-out", index));
        assert!(words::is_held_out(&word));
        assert!(!seen.contains(word.as_str()), "{word} was seen in training");
    }
}

#[test]
fn labels_of_one_draw_differ() {
    let streams = Streams::new(6);
    for index in 0..500 {
        for pool in [WordPool::Training, WordPool::HeldOut] {
            let labels = pool.labels(6, &mut streams.stream("labels", index));
            assert_eq!(labels.iter().collect::<HashSet<_>>().len(), 6);
        }
    }
}

#[test]
fn the_corpus_never_shows_the_format_of_an_episode() {
    let streams = Streams::new(7);
    for index in 0..500 {
        let text = document(6, &mut streams.stream("corpus", index));
        assert!(!text.contains("Description") && !text.contains("Output") && !text.contains("<|"));
        assert!(text.lines().count() >= 1 && text.len() < 2000, "{text}");
    }
}
