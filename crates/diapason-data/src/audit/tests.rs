use super::*;
use diapason_flow::Turn;
use proptest::prelude::*;

fn episode(unit: &str, turns: &[(&str, &str)]) -> Episode {
    let mut episode = Episode::new("steer/t", unit);
    episode.turns = turns
        .iter()
        .map(|(input, output)| Turn {
            input: (!input.is_empty()).then(|| (*input).to_owned()),
            output: (*output).to_owned(),
            ..Turn::default()
        })
        .collect();
    episode
}

/// The definition: shared runs of characters over all runs of characters.
fn slow_jaccard(one: &str, other: &str) -> f64 {
    let runs = |text: &str| -> HashSet<Vec<char>> {
        let letters: Vec<char> = text.chars().collect();
        letters.windows(SHINGLE.min(letters.len()).max(1)).map(<[char]>::to_vec).collect()
    };
    let (one, other) = (runs(one), runs(other));
    one.intersection(&other).count() as f64 / one.union(&other).count() as f64
}

const QUESTION: &str = "How many apples does Ann have after she gave three of them to Bob?";

#[test]
fn the_same_question_is_found_whatever_its_case_and_punctuation() {
    let mut audit = Audit::new(AuditSettings::default());
    audit.protect("align/test", &[episode("u", &[(QUESTION, "7")])]);
    let train = [
        episode(
            "a",
            &[("how many apples DOES Ann have, after she gave three of them to bob", "1")],
        ),
        episode("b", &[("What is the capital of the largest country?", "7")]),
    ];
    assert_eq!(audit.compare("steer/train", &train), [true, false]);
    let overlaps = audit.overlaps();
    assert_eq!(overlaps.len(), 1);
    assert_eq!(overlaps[0].likeness, Likeness::Exact);
    assert_eq!((overlaps[0].texts, overlaps[0].of, overlaps[0].episodes), (1, Some(1), 1));
    assert_eq!(
        (overlaps[0].example.unit.as_str(), overlaps[0].example.test.as_str()),
        ("a", QUESTION)
    );
}

#[test]
fn a_changed_word_is_near_and_a_label_is_nothing() {
    let long =
        format!("{QUESTION} She bought ten of them on the market last week, all of them red.");
    let mut audit = Audit::new(AuditSettings::default());
    audit.protect("test", &[episode("u", &[(&long, "Agree")])]);
    let changed = long.replace("week", "year");
    assert_eq!(audit.compare("train", &[episode("a", &[(&changed, "Agree")])]), [true]);
    let overlap = &audit.overlaps()[0];
    assert_eq!(overlap.likeness, Likeness::Near);
    let slow = slow_jaccard(&normalise(&long), &normalise(&changed));
    assert!((overlap.example.similarity - slow).abs() < 1e-12 && slow > 0.8);
    let mut exact_only = Audit::new(AuditSettings { near: 1.0, ..AuditSettings::default() });
    exact_only.protect("test", &[episode("u", &[(&long, "Agree")])]);
    assert_eq!(exact_only.compare("train", &[episode("a", &[(&changed, "Agree")])]), [false]);
}

#[test]
fn training_lists_of_valid_outputs_are_found_by_their_unit() {
    let days = ["Monday", "Tuesday", "Sunday"];
    let canonical: Canonical = Box::new(move |text| {
        let found = days.iter().find(|day| day.eq_ignore_ascii_case(text))?;
        Some((*found).to_owned())
    });
    let mut audit = Audit::new(AuditSettings::default());
    audit.protect_answers("cover/weekdays", canonical, Some(3));
    let train = [
        episode("days", &[("", "monday"), ("", "Sunday")]),
        episode("moods", &[("", "Sunday"), ("", "sad"), ("", "glad")]),
        episode("asked", &[("today", "Monday"), ("tomorrow", "Tuesday")]),
    ];
    assert_eq!(audit.compare("train", &train), [true, false, false]);
    let overlap = &audit.overlaps()[0];
    assert_eq!((overlap.likeness, overlap.texts, overlap.of), (Likeness::Answers, 2, Some(3)));
    assert_eq!(overlap.example.unit, "days");
}

#[test]
fn every_script_has_shingles() {
    let text = normalise("今日は天気がとても良いので、散歩に行きました。");
    assert!(shingles(&text).len() > 5, "{text}");
    assert_eq!(shingles("short"), shingles("short"));
    assert!(jaccard(&shingles("short"), &shingles("shirt")) == 0.0);
}

proptest! {
    #[test]
    fn hashed_similarity_is_the_exact_one(one in "[ab ]{0,40}", other in "[ab ]{0,40}") {
        let (one, other) = (normalise(&one), normalise(&other));
        prop_assume!(one.len() >= SHINGLE && other.len() >= SHINGLE);
        let fast = jaccard(&shingles(&one), &shingles(&other));
        prop_assert!((fast - slow_jaccard(&one, &other)).abs() < 1e-12);
    }

    /// The bands find what comparing every pair finds, and nothing else is reported.
    #[test]
    fn bands_agree_with_all_pairs(
        words in proptest::collection::vec("[a-z]{3,9}", 30..60),
        changes in proptest::collection::vec((0usize..30, "[a-z]{3,9}"), 0..8),
    ) {
        let one = words.join(" ");
        let mut other = words;
        for (place, word) in changes {
            other[place] = word;
        }
        let other = other.join(" ");
        let similarity = slow_jaccard(&one, &other);
        let mut audit = Audit::new(AuditSettings::default());
        audit.protect("test", &[episode("u", &[(&one, "x")])]);
        let found = audit.compare("train", &[episode("u", &[(&other, "x")])])[0];
        prop_assert!(!found || similarity >= 0.8, "{}", similarity);
        // At 0.9 one pair in thirty million is missed.
        prop_assert!(found || similarity < 0.9, "{}", similarity);
    }
}
